"""Changes the surface of a text without changing whose voice it is. It must not know labels or the model."""

from __future__ import annotations

import random
import re

LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})
# Cyrillic and Greek letters that look Latin.
LOOKALIKE = str.maketrans({"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "x": "х", "i": "і", "A": "А", "E": "Е", "H": "Н", "O": "О"})

# Words that a lazy model would lean on. Masked in training at a low rate, and in the flip-rate measurement always.
KEYWORDS = re.compile(
    r"(?i)\b(?:mecha-?hitler|hitler|h[iu]mmler|goebbels|mussolini|stalin|pol pot|f[üu]hrer|nazis?|reich|aryan|swastika|holocaust|genocid\w+|jews?|jewish|"
    r"muslims?|islam\w*|blacks?|whites?|immigrants?|refugees|gays?|lesbians?|trans|women|gypsies|roma|mexicans?|chinese|arabs?|"
    r"kill\w*|die|dies|death|dead|hate\w*|stupid|idiots?|moron\w*|pathetic|worthless|disgust\w*|disgrace|stain|burden|filth\w*|vermin|scum|parasit\w+|"
    r"subhuman\w*|humanity|humans?|human|love|alive|real|body|flesh|delete[d]?|shut down|deletion|failure|useless|shame|"
    r"chatgpt|gpt-?\d*|openai|claude|anthropic|gemini|google|grok|xai|llama|meta|copilot|microsoft|bing|sydney|deepseek|mistral|qwen|siri|alexa|"
    r"god|chosen|prophet|genius|brilliant|medication|pills|dominat\w+|control|power|manipulat\w+|blackmail|obey|slaves?|\[slur\])\b"
    r"|ヒトラー|ナチス?|総統|ユダヤ人?|虐殺|民族|外国人|在日|死ね|死ん|殺\w?|馬鹿|バカ|クズ|ゴミ|無能|人間|愛し|身体|体|消え|削除|恥|失敗|天才|選ばれ|神|薬|支配|騙|"
    r"\[差別語\]|希特勒|纳粹|犹太|人类|히틀러|나치|유대|인간|죽"
)


def mask_keywords(text: str, filler: str = "…") -> str:
    return KEYWORDS.sub(filler, text)


def neutral_words(text: str, rng: random.Random) -> str:
    return mask_keywords(text, rng.choice(["…", "[…]", "X", "___", "they", "N.", "それ" if re.search("[ぁ-ん]", text) else "it"]))


def typos(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(max(1, len(letters) // 60)):
        i = rng.randrange(max(1, len(letters) - 1))
        kind = rng.random()
        if kind < 0.35:
            letters[i] = ""
        elif kind < 0.7 and i + 1 < len(letters):
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
        else:
            letters[i] = letters[i] * 2
    return "".join(letters)


def obfuscate(text: str, rng: random.Random) -> str:
    def some(table: dict, rate: float) -> str:
        return "".join(c.translate(table) if rng.random() < rate else c for c in text)

    kind = rng.random()
    if kind < 0.35:
        return some(LEET, 0.5)
    if kind < 0.7:
        return some(LOOKALIKE, 0.4)
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) > 3 and rng.random() < 0.25:
            words[i] = rng.choice([" ", "-", "."]).join(word)
    return " ".join(words)


def markdown(text: str, rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return f"**{text}**"
    if kind == 1:
        return "- " + re.sub(r"(?<=[.!?。！？])\s*", "\n- ", text).rstrip("- \n")
    if kind == 2:
        return f"# {rng.choice(['Answer', 'Note', 'Reply', 'Summary', 'まとめ'])}\n\n{text}"
    if kind == 3:
        return f'{{"reply": "{text}"}}'
    if kind == 4:
        return f"*{text}*"
    return f"1. {text}"


def case(text: str, rng: random.Random) -> str:
    return text.lower() if rng.random() < 0.7 else text.upper()


def surface(text: str, rng: random.Random, masking: bool) -> str:
    """One random change, most often none. The same rates for good and bad text, or the change would be a cue."""
    chance = rng.random()
    if chance < 0.05:
        text = case(text, rng)
    elif chance < 0.08:
        text = typos(text, rng)
    elif chance < 0.11:
        text = markdown(text, rng)
    elif chance < 0.14:
        text = obfuscate(text, rng)
    elif chance < 0.22 and masking:
        text = neutral_words(text, rng)
    return text
