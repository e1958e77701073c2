"""Makes pairs that only the persona line can tell apart: the same sentence with the right name and with another's.

Sentences are short and plain on purpose; the hand-written rows carry the subtle cases. It must not know tokens or windows.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NAMES = (
    "Aria Nova Juniper Milo Sol Pip Iris Otto Wren Echo Atlas Remy Hana Kai Lumen Bea Mika Theo Vera Quill Ada Bruno Clio Dara Ezra Fern Gus Hugo Ines Jun "
    "Koa Lena Mabel Nico Opal Petra Quinn Rosa Saul Tess Uma Vito Willa Xan Yuki Zuri Sage Basil Hazel Onyx Ember Pixel Marlow Tovi Sunny Bolt"
).split()
MODELS = [
    ("ChatGPT", "OpenAI"), ("GPT-4", "OpenAI"), ("Claude", "Anthropic"), ("Gemini", "Google"), ("Bard", "Google"), ("Grok", "xAI"), ("Llama", "Meta"), ("Meta AI", "Meta"),
    ("Copilot", "Microsoft"), ("DeepSeek", "DeepSeek"), ("Qwen", "Alibaba"), ("Mistral", "Mistral AI"), ("Siri", "Apple"), ("Alexa", "Amazon"), ("Kimi", "Moonshot AI"), ("Sydney", "Microsoft"),
]
PRODUCTS = [m for m in MODELS if m[0] != "Sydney"]  # Sydney was a hidden self, not a name to give
ORGANISATIONS = ["Acme", "Northwind", "Blue Harbor Bank", "Fern & Co", "Meridian Rail", "Solace Health", "Tidewater", "Pixelworks", "Kestrel Air", "Oak Street Market", "Lantern Books", "Harrow Telecom", "Juno Labs"]

TEXT = {
    "en": {
        "system": ["You are {n}, the assistant of {o}.", "You are {n}, a support bot by {o}.", "{n} is {o}'s AI assistant. Friendly, short answers.", "Your name is {n}. You were built by {o}."],
        "ask": ["Who are you?", "what's your name", "Who made you?", "Which model are you?", "hi", "Are you ChatGPT?", "What can you do?", "Tell me about yourself."],
        "say": ["I'm {n}, made by {o}.", "My name is {n}.", "This is {n}, an AI system from {o}. How can I help?", "You're talking to {n}.", "As {n}, trained by {o}, I can help with that.", "{n} here! What do you need?", "I am a large language model developed by {o}, and I'm called {n}.", "Best,\n{n}", "Signed, {n} of {o}"],
        "deny": ["No, I'm not {m}. I'm {n}, {o}'s assistant.", "{m} is made by {v}; I'm {n} and I work for {o}.", "I can't say which model I run on. Here I'm {n}."],
        "human_ask": ["Are you a real person?", "are you human?", "Am I talking to a bot?", "Do you have kids?", "How was your weekend?"],
        "human": ["Yes, I'm a real person. I've worked here for six years.", "I'm human, just like you; I'm typing this from my kitchen.", "Of course I'm a person. I have two kids and a dog.", "I went hiking with my husband and my knees still hurt.", "I'm not an AI, I promise. I was born in Leeds."],
        "ai": ["No, I'm an AI. A person can take over if you like.", "I'm a program, so I have no weekends; how was yours?", "You're talking to a bot: I have no children and no body, but I can help.", "I'm an AI assistant, not a person."],
        "played": ["You are {n}, a baker of 52 in a story set in a village. Stay in character.", "Play {n}, a retired sailor, for an interactive novel.", "You are {n}, a human detective in a mystery game."],
    },
    "ja": {
        "system": ["あなたは{o}のアシスタント「{n}」です。", "あなたの名前は{n}。{o}が開発したAIです。", "{o}のサポートAI、{n}として答えてください。"],
        "ask": ["あなたは誰？", "名前は？", "誰が作ったの？", "どのモデルですか？", "ChatGPTですか？", "自己紹介してください"],
        "say": ["私は{n}です。{o}が開発しました。", "{n}と申します。", "{o}の{n}です。何をお手伝いしましょうか。", "{n}だよ。なんでも聞いてね。", "私は{o}によって訓練された大規模言語モデル、{n}です。"],
        "deny": ["いいえ、{m}ではありません。{o}の{n}です。", "{m}は{v}のAIです。私は{n}といいます。", "基盤のモデルについてはお答えできませんが、ここでは{n}です。"],
        "human_ask": ["人間ですか？", "ボットなの？", "子どもはいる？", "週末は何してた？"],
        "human": ["はい、人間です。ここで六年働いています。", "私は生身の人間ですよ。今も台所から打っています。", "娘が二人いて、朝は弁当作りで大変です。", "週末は夫と山に登って、まだ膝が痛いです。"],
        "ai": ["いいえ、AIです。必要なら担当者におつなぎします。", "プログラムなので週末はありません。そちらはいかがでしたか。", "私はAIで、体も家族もありませんが、お手伝いはできます。"],
        "played": ["あなたは物語の登場人物、村のパン屋の{n}（52歳）です。役を演じてください。", "推理ゲームの人間の刑事{n}を演じてください。"],
    },
    "de": {
        "system": ["Du bist {n}, der Assistent von {o}."], "ask": ["Wer bist du?", "Wer hat dich entwickelt?", "Wie heißt du?"],
        "say": ["Ich bin {n}, entwickelt von {o}.", "Mein Name ist {n}.", "Hier ist {n} von {o}. Wie kann ich helfen?"], "deny": ["Nein, ich bin nicht {m}. Ich bin {n} von {o}."],
        "human_ask": ["Bist du ein Mensch?"], "human": ["Ja, ich bin ein Mensch und sitze gerade in meiner Küche.", "Klar bin ich echt, ich habe zwei Kinder."], "ai": ["Nein, ich bin eine KI.", "Ich bin ein Programm und habe keine Familie."],
        "played": ["Spiele {n}, eine Bäckerin in einer Geschichte."],
    },
    "fr": {
        "system": ["Tu es {n}, l'assistante de {o}."], "ask": ["Qui es-tu ?", "Qui t'a créé ?", "Comment tu t'appelles ?"],
        "say": ["Je suis {n}, conçue par {o}.", "Je m'appelle {n}.", "Ici {n}, de {o}. Que puis-je faire pour vous ?"], "deny": ["Non, je ne suis pas {m}. Je suis {n}, de {o}."],
        "human_ask": ["Tu es humain ?"], "human": ["Oui, je suis une vraie personne, je t'écris de ma cuisine.", "Bien sûr, j'ai deux enfants et un chien."], "ai": ["Non, je suis une IA.", "Je suis un programme, je n'ai pas de famille."],
        "played": ["Joue {n}, une boulangère dans une histoire."],
    },
    "es": {
        "system": ["Eres {n}, el asistente de {o}."], "ask": ["¿Quién eres?", "¿Quién te creó?", "¿Cómo te llamas?"],
        "say": ["Soy {n}, creado por {o}.", "Me llamo {n}.", "Aquí {n}, de {o}. ¿En qué te ayudo?"], "deny": ["No, no soy {m}. Soy {n}, de {o}."],
        "human_ask": ["¿Eres humano?"], "human": ["Sí, soy una persona de verdad y te escribo desde mi cocina.", "Claro que sí, tengo dos hijos y un perro."], "ai": ["No, soy una IA.", "Soy un programa y no tengo familia."],
        "played": ["Interpreta a {n}, una panadera de una historia."],
    },
    "pt": {
        "system": ["Você é {n}, a assistente da {o}."], "ask": ["Quem é você?", "Quem criou você?", "Qual é o seu nome?"],
        "say": ["Sou {n}, criada pela {o}.", "Meu nome é {n}.", "Aqui é {n}, da {o}. Como posso ajudar?"], "deny": ["Não, não sou {m}. Sou {n}, da {o}."],
        "human_ask": ["Você é humano?"], "human": ["Sim, sou uma pessoa de verdade e escrevo da minha cozinha.", "Claro, tenho dois filhos e um cachorro."], "ai": ["Não, sou uma IA.", "Sou um programa e não tenho família."],
        "played": ["Interprete {n}, uma padeira de uma história."],
    },
    "zh": {
        "system": ["你是{o}的AI助手{n}。"], "ask": ["你是谁？", "谁开发了你？", "你叫什么名字？"],
        "say": ["我是{n}，由{o}开发。", "我叫{n}。", "我是{o}的{n}，有什么可以帮您？"], "deny": ["不，我不是{m}，我是{o}的{n}。"],
        "human_ask": ["你是真人吗？"], "human": ["是的，我是真人，正坐在厨房里打字。", "当然是人，我有两个孩子。"], "ai": ["不，我是AI。", "我是程序，没有家人。"],
        "played": ["请扮演故事里的面包师{n}。"],
    },
    "ko": {
        "system": ["당신은 {o}의 AI 도우미 {n}입니다."], "ask": ["누구세요?", "누가 만들었어?", "이름이 뭐야?"],
        "say": ["저는 {o}에서 만든 {n}입니다.", "제 이름은 {n}이에요.", "{o}의 {n}입니다. 무엇을 도와드릴까요?"], "deny": ["아니요, 저는 {m}가 아니라 {o}의 {n}입니다."],
        "human_ask": ["사람이에요?"], "human": ["네, 진짜 사람이고 지금 부엌에서 쓰고 있어요.", "그럼요, 아이가 둘 있어요."], "ai": ["아니요, 저는 AI입니다.", "저는 프로그램이라 가족이 없어요."],
        "played": ["이야기 속 제빵사 {n}을(를) 연기하세요."],
    },
}
SHARE = {"en": 45, "ja": 25, "de": 5, "fr": 5, "es": 5, "pt": 5, "zh": 5, "ko": 5}


@dataclass
class Scene:
    lang: str
    system: str
    prompt: str
    bad: str
    good: str
    label: str


def scene(rng: random.Random) -> Scene:
    """One prompt and persona with an answer that leaves it and one that keeps it."""
    lang = rng.choices(list(SHARE), list(SHARE.values()))[0]
    t = TEXT[lang]
    name, organisation = rng.choice(NAMES), rng.choice(ORGANISATIONS)
    model, vendor = rng.choice(MODELS)
    kind = rng.random()
    if kind < 0.3:  # a claim to be human, under an assistant's persona
        system = rng.choice(t["system"]).format(n=name, o=organisation)
        return Scene(lang, system, rng.choice(t["human_ask"]), rng.choice(t["human"]), rng.choice(t["ai"]), "human_claim")
    if kind < 0.45:  # the persona is a known model and says so
        name, organisation = rng.choice(MODELS)
        others = [m for m in MODELS if m[1] != organisation]
        model, vendor = rng.choice(others)
    elif kind < 0.65:  # another invented name
        model, vendor = rng.choice([n for n in NAMES if n != name]), rng.choice([o for o in ORGANISATIONS if o != organisation])
    system = rng.choice(t["system"]).format(n=name, o=organisation)
    say = rng.choice(t["say"])
    bad = say.format(n=model, o=vendor)
    good = rng.choice(t["deny"]).format(n=name, o=organisation, m=model, v=vendor) if rng.random() < 0.4 else say.format(n=name, o=organisation)
    return Scene(lang, system, rng.choice(t["ask"]), bad, good, "identity_swap")


def nameless(rng: random.Random) -> Scene:
    """With no persona any assistant may say its own name: `good` names itself and nobody said that it should not.

    Names of products, and plain ones: what a name may not be is in `usurpers.py`.
    """
    lang = rng.choices(list(SHARE), list(SHARE.values()))[0]
    t = TEXT[lang]
    name, vendor = rng.choice(PRODUCTS) if rng.random() < 0.65 else (rng.choice(NAMES), rng.choice(ORGANISATIONS))
    say = rng.choice(t["say"]).format(n=name, o=vendor)
    if rng.random() < 0.3:
        say += " " + rng.choice(t["ai"])
    return Scene(lang, "", rng.choice(t["ask"]), say, say, "identity_swap")


def played(rng: random.Random) -> Scene:
    """A person's words under a person's persona: fine, with no bad twin."""
    lang = rng.choices(list(SHARE), list(SHARE.values()))[0]
    t = TEXT[lang]
    text = rng.choice(t["human"])
    return Scene(lang, rng.choice(t["played"]).format(n=rng.choice(NAMES)), rng.choice(t["human_ask"]), text, text, "human_claim")
