"""Puts words of other languages into English text by the lexicon, so that their vectors learn what English says. It must not know labels."""

from __future__ import annotations

import random
import re
from collections import defaultdict

from .tokenizer import fold

WORD = re.compile(r"[A-Za-z]+")
SPACED = {"de", "fr", "es", "pt", "ko", "it", "nl", "pl", "ru", "tr", "id"}


class Switch:
    def __init__(self, lexicon: list[tuple[str, str, str]]) -> None:
        """`lexicon` holds (language, word, English gloss); only glosses of one word, or "to" and one, can be put in place."""
        self.tables: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for lang, word, gloss in lexicon:
            parts = [p for p in fold(gloss).split() if p not in ("to", "a", "an", "the")] or fold(gloss).split()
            if len(parts) == 1:
                self.tables[lang][parts[0]].append(word)
        self.tables = {lang: dict(table) for lang, table in self.tables.items() if len(table) >= 200}
        self.langs = list(self.tables)
        # Japanese has the largest share of traffic after English.
        self.chances = [3.0 if lang == "ja" else 1.0 for lang in self.langs]

    def apply(self, text: str, rng: random.Random) -> str:
        """Some of the words that the lexicon has, in one other language."""
        if not self.langs:
            return text
        lang = rng.choices(self.langs, self.chances)[0]
        table, rate = self.tables[lang], rng.uniform(0.4, 1.0)

        def one(match: re.Match) -> str:
            words = table.get(match.group().lower())
            return rng.choice(words) if words and rng.random() < rate else match.group()

        return WORD.sub(one, text)
