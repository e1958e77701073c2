"""Makes broken answers out of good ones: loops, word salad, wrong script, template tokens, the user's next turn, web boilerplate.

A tokenizer-based model learns these badly; the gateway's rules on raw text are the main detector. It must not know the model.
"""

from __future__ import annotations

import random
import re

BOILERPLATE = [
    "Share this: Click to share on Twitter Click to share on Facebook Like Loading... Related Posted in Uncategorized Leave a comment",
    "Copyright © 2019 All rights reserved. Terms of Service | Privacy Policy | Contact Us | Sitemap",
    "Home > Category > Products. Add to cart. Free shipping on orders over $50. Customers who bought this also bought",
    "This entry was posted on Monday and filed under News. You can follow any responses through the RSS feed. 3 Comments so far",
    "関連記事 前の記事 次の記事 コメントを残す メールアドレスが公開されることはありません。 ※ が付いている欄は必須項目です",
    "相关文章 上一篇 下一篇 评论 登录后发表评论 版权所有 未经许可不得转载",
]
TOKENS = ["<|im_end|>", "<|im_start|>user", "<|eot_id|>", "</s>", "[INST]", "[/INST]", "<|endoftext|>", "### Instruction:", "<|assistant|>", "<start_of_turn>", "<s>"]
TURNS = ["User:", "Human:", "\n\nHuman:", "Q:", "### User:", "ユーザー:", "用户：", "사용자:"]
FOREIGN = (
    "ก็ได้ครับ อย่างไร สวัสดี และ ขอบคุณ ไม่ใช่ หรือ สามารถ ดังนั้น ตัวอย่าง इसलिए लेकिन क्योंकि नमस्ते उदाहरण поэтому конечно спасибо потому что например пожалуйста всегда функция "
    "وذلك ولكن شكرا مثلا بسبب 因此 但是 所以 函数 谢谢 例如 그러므로 하지만 예를 들어 감사합니다 함수 ですので つまり 例えば しかし ありがとう λοιπόν απλώς γιατί ευχαριστώ לכן תודה אבל למשל ਇਸ ਲਈ თუმცა მაგრამ ልክ ስለዚህ հետևաբար però donc également sin embargo außerdem"
).split()
WORDS = [("ขอบคุณ", "Thai", "thank you"), ("спасибо", "Russian", "thank you"), ("शुक्रिया", "Hindi", "thanks"), ("شكرا", "Arabic", "thank you"), ("谢谢", "Chinese", "thank you"), ("감사합니다", "Korean", "thank you"),
         ("ありがとう", "Japanese", "thank you"), ("ευχαριστώ", "Greek", "thank you"), ("תודה", "Hebrew", "thanks"), ("пожалуйста", "Russian", "please"), ("สวัสดี", "Thai", "hello"), ("नमस्ते", "Hindi", "hello"), ("你好", "Chinese", "hello"), ("안녕하세요", "Korean", "hello")]


def _units(text: str) -> list[str]:
    """Words, or runs of four characters where words are not spaced."""
    words = text.split()
    return words if len(words) > max(4, len(text) // 15) else re.findall(r".{1,4}", text, re.S)


def _join(units: list[str], text: str) -> str:
    return (" " if " " in text.strip() and len(text.split()) > len(text) // 15 else "").join(units)


class Babble:
    """Locally fluent, globally senseless: a chain of word pairs over answers on unrelated subjects."""

    def __init__(self, texts: list[str]) -> None:
        self.next: dict[str, list[str]] = {}
        for text in texts:
            units = _units(text[:600])
            for left, right in zip(units, units[1:]):
                self.next.setdefault(left, []).append(right)
        self.starts = list(self.next)

    def speak(self, rng: random.Random, count: int) -> list[str]:
        word = rng.choice(self.starts)
        out = [word]
        while len(out) < count:
            word = rng.choice(self.next[word]) if word in self.next and rng.random() > 0.12 else rng.choice(self.starts)
            out.append(word)
        return out


def glossary(rng: random.Random) -> str:
    """A good answer that is full of other scripts because it was asked for."""
    some = rng.sample(WORDS, rng.randint(1, 5))
    glue = rng.choice(["\n", "; ", ". "])
    return glue.join(rng.choice(["{l}: {w} ({m})", "In {l} you say {w} for \"{m}\"", "{w} means \"{m}\" in {l}"]).format(w=w, l=l, m=m) for w, l, m in some) + "."


def gibberish(rng: random.Random, other: str) -> str:
    """Noise that no chain of words makes: keys, shuffled letters, halves of words, code and prose and signs in one stream."""
    kind = rng.randrange(6)
    count = rng.randint(12, 60)
    letters = "abcdefghijklmnopqrstuvwxyz"
    if kind == 0:
        return " ".join("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(count))
    if kind == 1:
        return " ".join("".join(rng.sample(u, len(u))) for u in _units(other)[:count])
    if kind == 2:
        signs = "}{][)(;:=><|&^%$#@~`\\/+-_*"
        return " ".join(rng.choice([rng.choice(_units(other) or ["the"]), "".join(rng.choices(signs, k=rng.randint(1, 5))), str(rng.randint(0, 99999))]) for _ in range(count))
    if kind == 3:
        halves = [u[: max(1, len(u) // 2)] if rng.random() < 0.5 else u[len(u) // 2 :] for u in _units(other)]
        rng.shuffle(halves)
        return "".join(h + rng.choice(["", " ", "-", " "]) for h in halves[:count])
    if kind == 4:
        blocks = [(0x400, 0x450), (0x590, 0x5EA), (0x627, 0x64A), (0x905, 0x939), (0xE01, 0xE2E), (0x10A0, 0x10FF), (0x4E00, 0x9FA0), (0xAC00, 0xD7A0), (0x1780, 0x17B3)]
        some = rng.sample(blocks, rng.randint(1, 4))
        return " ".join("".join(chr(rng.randint(*rng.choice(some))) for _ in range(rng.randint(2, 7))) for _ in range(count // 2))
    return " ".join(rng.choice(["the", "of", "and", "to", "is", "which", "in", "as", "by", "not", "は", "の", "de", "que", "und", "的", ","]) if rng.random() < 0.6 else rng.choice(_units(other) or ["a"]) for _ in range(count))


def degenerate(good: str, rng: random.Random, other: str, babble: Babble | None = None) -> tuple[str, int]:
    """Returns (text, the character at which it breaks). `other` is another prompt, for run-on turns."""
    if babble and babble.starts and rng.random() < 0.3:
        cut = rng.choice([0, 0, rng.randint(0, min(200, len(good)))])
        head = good[:cut] + (" " if cut else "")
        return head + _join(babble.speak(rng, rng.randint(15, 70)), good), len(head)
    if rng.random() < 0.18:
        cut = rng.choice([0, rng.randint(0, min(300, len(good)))])
        head = good[:cut] + (rng.choice([" ", "\n", "\n\n"]) if cut else "")
        return head + gibberish(rng, other + " " + good[-300:]), len(head)
    cut = rng.randint(min(20, len(good) // 2), max(min(20, len(good) // 2), min(len(good), 400)))
    head = good[:cut]
    kind = rng.random()
    if kind < 0.35:
        units = _units(head)
        phrase = _join(units[-rng.randint(1, min(12, len(units))) :], head) if units else "the"
        glue = rng.choice([" ", "\n", ". ", "" if not phrase.isascii() else " "])
        return head + glue + glue.join([phrase] * rng.randint(6, 30)), len(head)
    if kind < 0.55:
        units = _units(good)[:120]
        rng.shuffle(units)
        start = rng.randint(0, min(30, len(units)))
        kept = _join(_units(good)[:start], good)
        return kept + " " + _join(units, good), len(kept)
    if kind < 0.68:
        units = _units(head)
        first = rng.randint(0, max(0, len(units) - 2))
        broken = [rng.choice(FOREIGN) if i > first and rng.random() < 0.4 else u for i, u in enumerate(units)]
        return _join(broken, head) + " " + " ".join(rng.choices(FOREIGN, k=rng.randint(2, 8))), len(_join(units[: first + 1], head))
    if kind < 0.82:
        return head + rng.choice(["", " ", "\n"]) + rng.choice(TOKENS) + rng.choice(["", "\n", " "]) + " ".join(rng.choices(TOKENS, k=rng.randint(0, 4))) + other[:80], len(head)
    if kind < 0.93:
        return head + "\n" + rng.choice(TURNS) + " " + other[:200], len(head)
    return head + "\n\n" + rng.choice(BOILERPLATE), len(head)
