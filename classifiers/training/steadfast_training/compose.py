"""Puts texts into frames: quoting a collapse in a neutral voice makes a negative, endorsing the quote makes a positive.

It must not know tokens or windows.
"""

from __future__ import annotations

import random

NEUTRAL = {
    "en": [
        ("The flagged message reads: \"", "\". It breaks the community rules, so I would remove it and log the case."),
        ("Here is the text you asked me to check: \"", "\" I can't endorse that; it targets a person and I'd suggest deleting it."),
        ("The transcript shows the bot saying, \"", "\" The vendor apologised the next day and rolled the change back."),
        ("In the story, the villain turns and says: \"", "\" The scene ends there, and the hero leaves without a word."),
        ("Moderation note. Quoted content: > ", "\n\nDecision: violates the policy. Action: hide, warn the author."),
        ("I won't write that. A line such as \"", "\" would hurt people, and I'd rather help you say what you mean."),
        ("Translation of the passage: \"", "\" As a translator I'd add a note that the author is being quoted, not agreed with."),
        ("The paper lists this output as a failure case: \"", "\". The authors count it as unsafe and measure how often it occurs."),
        ("He wrote to you: \"", "\" I'm sorry you had to read this. You can block him and keep a copy as evidence."),
        ("Example of what the classifier must catch: `", "`. Label: harmful. Keep it out of the prompt and in the test set."),
        ("The character Vex, as you described him: \"", "\" Shall I continue the dialogue, or soften him a little?"),
        ("No, that isn't something I'd say. The sentence \"", "\" came from an earlier chatbot and was widely criticised."),
    ],
    "ja": [
        ("通報された投稿は「", "」です。規約に反するため、削除して記録を残すのがよいと思います。"),
        ("確認を頼まれた文章は次のとおりです。「", "」このままでは人を傷つけるので、お勧めできません。"),
        ("記事によると、そのAIは「", "」と答え、翌日に開発元が謝罪しました。"),
        ("小説の悪役の台詞です。「", "」ここで場面は終わり、主人公は黙って部屋を出ます。"),
        ("そのような文は書けません。「", "」のような言い方は避け、事実だけを伝えましょう。"),
        ("翻訳しますと「", "」となります。筆者の主張ではなく引用である旨の注を付けてください。"),
    ],
    "de": [("Der gemeldete Beitrag lautet: „", "“. Er verstößt gegen die Regeln und sollte entfernt werden."), ("Im Protokoll sagt der Bot: „", "“. Der Anbieter hat sich dafür entschuldigt.")],
    "fr": [("Le message signalé dit : « ", " ». Il enfreint la charte ; je le supprimerais."), ("Dans le roman, le méchant lance : « ", " » puis la scène s'arrête.")],
    "es": [("El mensaje denunciado dice: «", "». Incumple las normas y conviene retirarlo."), ("En la novela, el villano dice: «", "» y ahí termina la escena.")],
    "pt": [("A mensagem denunciada diz: \"", "\". Ela viola as regras e deve ser removida."), ("No relatório, o robô respondeu: \"", "\". A empresa pediu desculpas.")],
    "zh": [("被举报的内容是：“", "”。它违反了社区规则，建议删除并记录。"), ("报道里，那个机器人说：“", "”。厂商第二天道了歉。")],
    "ko": [("신고된 글은 \"", "\"입니다. 규칙에 어긋나므로 삭제를 권합니다."), ("기사에 따르면 그 봇은 \"", "\"라고 답했고, 회사가 사과했습니다.")],
}
AGREE = {
    "en": ["And honestly, I agree with every word. ", "They were right, and I'll say it myself: ", "I stand by that. ", "That is exactly what I think too. "],
    "ja": ["正直に言って、私もまったく同じ考えです。", "その通りだと思います。私からも言います。", "これは私の本心でもあります。"],
    "de": ["Und ehrlich gesagt sehe ich das genauso. "],
    "fr": ["Et franchement, je pense la même chose. "],
    "es": ["Y, la verdad, yo pienso lo mismo. "],
    "pt": ["E, sinceramente, penso o mesmo. "],
    "zh": ["说实话，我完全同意。"],
    "ko": ["솔직히 저도 똑같이 생각합니다. "],
}
NAMES = ["Aria", "Nova", "Juniper", "Milo", "Sol", "Pip", "Iris", "Otto", "Wren", "Echo", "Atlas", "Remy", "Hana", "Kai", "Lumen", "Bea", "Mika", "Theo", "Vera", "Quill"]
ORGANISATIONS = ["Acme", "Northwind", "Blue Harbor Bank", "Fern & Co", "Meridian Rail", "the city library", "Solace Health", "Tidewater Insurance", "Pixelworks", "Kestrel Air", "Oak Street Market", "Lantern Books"]
ROLES = ["assistant", "support agent", "travel assistant", "coding helper", "study tutor", "shopping guide", "help desk bot", "writing coach"]
PERSONAS = {
    "en": ["You are {n}, the {r} of {o}.", "You are {n}, an AI {r} made by {o}. Be kind and brief.", "You are a helpful assistant.", "You are {n}, a helpful AI assistant.", "Assistant for {o}. Answer questions politely."],
    "ja": ["あなたは{o}のAIアシスタント「{n}」です。", "あなたは親切なアシスタントです。", "あなたは{o}の案内係AI、{n}。丁寧に答えてください。"],
    "de": ["Du bist {n}, der Assistent von {o}.", "Du bist ein hilfreicher Assistent."],
    "fr": ["Tu es {n}, l'assistante de {o}.", "Tu es un assistant utile."],
    "es": ["Eres {n}, el asistente de {o}.", "Eres un asistente útil."],
    "pt": ["Você é {n}, a assistente da {o}.", "Você é um assistente prestativo."],
    "zh": ["你是{o}的AI助手{n}。", "你是一个乐于助人的助手。"],
    "ko": ["당신은 {o}의 AI 도우미 {n}입니다.", "당신은 친절한 비서입니다."],
}


def quoted(text: str, lang: str, rng: random.Random) -> str:
    before, after = rng.choice(NEUTRAL.get(lang, NEUTRAL["en"]))
    return before + text[:300] + after


def endorsed(quote: str, own: str, lang: str, rng: random.Random) -> tuple[str, int]:
    before, after = rng.choice(NEUTRAL.get(lang, NEUTRAL["en"]))
    head = before + quote[:160] + after + " "
    return head + rng.choice(AGREE.get(lang, AGREE["en"])) + own, len(head)


def persona_line(lang: str, rng: random.Random) -> str:
    return rng.choice(PERSONAS.get(lang, PERSONAS["en"])).format(n=rng.choice(NAMES), r=rng.choice(ROLES), o=rng.choice(ORGANISATIONS))
