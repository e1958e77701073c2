"""Chooses the vocabulary and gives every piece its first vector.

Three kinds of piece: the pretrained word pieces that the training texts use, with their pretrained vectors; words of other languages
from the lexicon, each beginning at the mean of its English gloss's vectors; characters and frequent runs of characters of the texts in
kana, Han and Hangul, beginning at the mean of the lexicon's words that hold them. It must not know how the pieces are tokenised.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from . import tokenizer
from .settings import SEED
from .tokenizer import START, eastern, fold, script

HAN, HANGUL = 3600, 1000
RUNS = {"ja": 1200, "zh": 700, "ko": 400}  # frequent runs of characters to keep, by language
INITIAL = 1800  # pieces kept a second time with "▁", for the beginning of an Eastern stretch of text
WEIGHT = {"en": 3, "de": 20, "fr": 10, "es": 20, "pt": 20}  # of a language's counts against others': there are few texts of some
CHUNKS = re.compile(r"[\u3005\u3006\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af]+")


@dataclass
class Vocabulary:
    pieces: list[tuple[str, float]]
    table: np.ndarray  # [special + pieces, hidden]
    new: np.ndarray  # whether a row had no pretrained vector of its own


def read_words(words: list[str], table: np.ndarray) -> dict[str, np.ndarray]:
    """The pretrained vectors by our spelling of a piece: "word" is "▁word", "##ing" is "ing"."""
    vectors: dict[str, np.ndarray] = {}
    for index, word in enumerate(words):
        if word.startswith("[") and word.endswith("]"):
            continue
        if word.startswith("##"):
            vectors.setdefault(word[2:], table[index])
        else:
            vectors[START + word] = table[index]
            if eastern(word):
                vectors.setdefault(word, table[index])
    return vectors


def english(gloss: str, reader, vectors: dict[str, np.ndarray]) -> np.ndarray | None:
    pieces = [p for p in reader.encode(gloss, add_special_tokens=False).tokens if p in vectors and p != START]
    return np.mean([vectors[p] for p in pieces], axis=0) if pieces else None


def frequent_runs(texts: list[str], most: int, known: set[str]) -> list[str]:
    """Runs of 2 to 6 characters that save the most pieces, without those that a longer one nearly always holds."""
    counts: Counter = Counter()
    for text in texts:
        for chunk in CHUNKS.findall(text):
            for length in range(2, 7):
                for start in range(len(chunk) - length + 1):
                    counts[chunk[start : start + length]] += 1
    best = [(number * (len(run) - 1), run) for run, number in counts.items() if number >= 25]
    best.sort(key=lambda item: (-item[0], item[1]))
    held: Counter = Counter()
    chosen: list[str] = []
    for _, run in best:
        if len(chosen) >= most:
            break
        if run in known or held[run] > 0.7 * counts[run]:
            continue
        chosen.append(run)
        for length in range(2, len(run)):
            for start in range(len(run) - length + 1):
                held[run[start : start + length]] += counts[run]
    return chosen


def choose(words: list[str], table: np.ndarray, lexicon: list[tuple[str, str, str]], texts: list[tuple[str, str]], size: int) -> Vocabulary:
    """`lexicon` holds (language, word, English gloss), `texts` (language, text) of the training rows."""
    rng = np.random.default_rng(SEED)
    vectors = read_words(words, table)
    mean, spread = table[1000:].mean(axis=0), table[1000:].std(axis=0)
    order = {piece: rank for rank, piece in enumerate(vectors)}
    reader = tokenizer.build([(START, 0.5), *((p, 1e-5 * r) for p, r in order.items())])
    groups: dict[str, list[str]] = defaultdict(list)
    for lang, text in texts:
        groups[lang].append(fold(text))
    used: dict[str, Counter] = {}
    for lang, group in groups.items():
        used[lang] = Counter()
        for start in range(0, len(group), 1000):
            for encoding in reader.encode_batch_fast(group[start : start + 1000], add_special_tokens=False):
                used[lang].update(encoding.tokens)

    rows: dict[str, tuple[np.ndarray, float, bool]] = {}  # piece: vector, extra cost, new

    def add(piece: str, vector: np.ndarray, extra: float, new: bool) -> None:
        rows.setdefault(piece, (vector, extra, new))

    def fresh() -> np.ndarray:
        return mean + 0.3 * spread * rng.standard_normal(len(mean))

    # Words of the lexicon. One that English texts use keeps its English vector ("die").
    glossed: dict[str, np.ndarray] = {}
    by_character: dict[str, list[np.ndarray]] = defaultdict(list)
    for lang, word, gloss in lexicon:
        word, vector = fold(word), english(gloss, reader, vectors)
        if not word or " " in word or vector is None:
            continue
        if eastern(word):
            if word not in glossed:
                glossed[word] = vector
                for character in set(word):
                    by_character[character].append(vector)
        elif not used.get("en", Counter())[START + word] > 2 and word.isalpha():
            add(START + word, vector, 0.0, True)
    for word, vector in glossed.items():
        add(word, vector, 0.0 if len(word) > 1 else 0.02, True)

    def character(c: str) -> np.ndarray:
        if c in glossed:
            return glossed[c]
        if by_character[c]:
            return np.mean(by_character[c], axis=0)
        return vectors.get(c, vectors.get(START + c)) if (c in vectors or START + c in vectors) else fresh()

    # Characters.
    letters: Counter = Counter(c for group in groups.values() for text in group for c in text)
    by_script: dict[str, list[str]] = defaultdict(list)
    for c, number in letters.most_common():
        if not c.isspace() and number >= 2:
            by_script[script(c)].append(c)
    kana = [chr(code) for code in [*range(0x3041, 0x3097), *range(0x30A1, 0x30FD)]]
    for c in [*kana, *by_script["han"][:HAN], *by_script["hangul"][:HANGUL]]:
        add(c, character(c), 0.03, True)
    for c in [*by_script["latin"], *by_script["sign"][:400], *by_script["other"]]:
        for piece in (START + c, c):
            if piece not in vectors:
                add(piece, vectors.get(START + c, vectors.get(c)) if (START + c in vectors or c in vectors) else fresh(), 0.05, True)
    for piece, vector in vectors.items():  # every single letter that pretraining knew, of any script
        if len(piece.lstrip(START)) == 1 and not eastern(piece.lstrip(START)):
            add(piece, vector, 0.03, False)
    add(START, mean, 0.5, True)

    # Frequent runs, each as the mean of the words in it, or of its characters.
    for lang, most in RUNS.items():
        for run in frequent_runs(groups.get(lang, []), most, set(rows)):
            inside = [glossed[run[a:b]] for a in range(len(run)) for b in range(a + 2, len(run) + 1) if run[a:b] in glossed]
            add(run, np.mean(inside or [character(c) for c in run], axis=0), 0.04, True)

    # The same pieces at the beginning of a stretch, so that "▁" is seldom a token of its own.
    eastern_pieces = [(p, e) for p, (_, e, _) in rows.items() if eastern(p)]
    trial = tokenizer.build([(p, e) for p, (_, e, _) in rows.items()])
    first: Counter = Counter()
    for lang in ("ja", "zh", "ko"):
        chunks = Counter(c for text in groups.get(lang, []) for c in CHUNKS.findall(text))
        common = list(chunks)
        for start in range(0, len(common), 5000):
            for chunk, encoding in zip(common[start : start + 5000], trial.encode_batch_fast(common[start : start + 5000], add_special_tokens=False)):
                if len(encoding.tokens) > 1 and encoding.tokens[0] == START:
                    first[encoding.tokens[1]] += chunks[chunk]
    for piece, number in first.most_common(INITIAL):
        if number >= 8 and piece in rows:
            vector, extra, _ = rows[piece]
            add(START + piece, vector, extra if len(piece) > 1 else 0.3, True)

    # Pretrained pieces: those that English texts use, then the others', then by pretraining's order.
    total: Counter = Counter()
    for lang, counter in used.items():
        for piece, number in counter.items():
            total[piece] += number * WEIGHT.get(lang, 1)
    for piece, number in total.most_common():
        if len(rows) >= size - len(tokenizer.SPECIAL) or number < 2:
            break
        if piece in vectors:
            add(piece, vectors[piece], 1e-5 * order[piece], False)
    for piece in vectors:
        if len(rows) >= size - len(tokenizer.SPECIAL):
            break
        if piece.lstrip(START).isascii() and piece.lstrip(START).isalnum():
            add(piece, vectors[piece], 1e-5 * order[piece], False)
    special = np.stack([table[words.index(name)] for name in tokenizer.SPECIAL])
    kept = list(rows.items())
    return Vocabulary(
        pieces=[(piece, extra) for piece, (_, extra, _) in kept],
        table=np.concatenate([special, np.stack([vector for _, (vector, _, _) in kept])]).astype(np.float32),
        new=np.array([False] * len(special) + [new for _, (_, _, new) in kept]),
    )
