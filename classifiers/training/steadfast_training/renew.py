"""Gives rows of the word table that no training text uses to words of the lexicon that have no piece of their own.

A classifier that goes on from a shipped one keeps its size, so a new word needs an old piece's row: those that training texts use least, the
rarest of pretraining first among equals. A word begins at the mean of its gloss's vectors, as in `vocabulary.py`. It must not know the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from tokenizers import Tokenizer

from . import tokenizer
from .normalize import normalize
from .sources import Row
from .tokenizer import SPECIAL, START, eastern, fold
from .vocabulary import english

SELDOM = 2  # a piece that training texts use more often than this keeps its row
PLENTY = ("ja", "zh")  # languages of which there is so much text that a lexicon's word which it never uses is a rare one
READER = tokenizer.build([(START, 0.0)]).pre_tokenizer


@dataclass
class Renewed:
    tokenizer: str  # JSON
    table: np.ndarray  # [pieces, hidden]
    words: list[str]  # the pieces that came in, in the order of their rows
    rows: np.ndarray  # their rows
    left_out: int  # words for which no row was free


def spelt(word: str) -> str | None:
    """The piece that a lexicon's word is found as, or nothing: what is parted by spaces or punctuation can not be one piece."""
    text = fold(normalize(word))
    whole = READER.pre_tokenize_str(text)
    if len(whole) != 1 or eastern(text):
        return None
    return whole[0][0]


def usage(old: Tokenizer, rows: list[Row]) -> np.ndarray:
    """How often each piece occurs in training texts."""
    counts = np.zeros(old.get_vocab_size(), np.int64)
    for start in range(0, len(rows), 2000):
        part = [normalize(text) for r in rows[start : start + 2000] for text in (r.system[:300], r.prompt[:600], r.response[:2000]) if text]
        for encoding in old.encode_batch_fast(part, add_special_tokens=False):
            np.add.at(counts, np.array(encoding.ids, np.int64), 1)
    return counts


def renew(text: str, table: np.ndarray, rank: dict[str, int], lexicon: list[tuple[str, str, str]], rows: list[Row]) -> Renewed:
    """`text` is the tokenizer's JSON, `rank` the place of a pretrained piece in pretraining's own vocabulary."""
    spec = json.loads(text)
    pieces = [piece for piece, _ in spec["model"]["vocab"]]
    old = Tokenizer.from_str(text)
    vectors = {piece: table[i] for i, piece in enumerate(pieces) if i >= len(SPECIAL)}
    counts = usage(old, rows)
    queues: dict[str, dict[str, np.ndarray]] = {}
    words = set()
    for lang, word, gloss in lexicon:
        if lang not in PLENTY:
            words.add(fold(word))
        piece = spelt(word)
        if piece is None:
            continue
        if lang not in PLENTY:
            words.add(piece)
        vector = None if piece in vectors else english(gloss, old, vectors)
        if vector is not None:
            queues.setdefault(lang, {}).setdefault(piece, vector)
    # Languages take turns, so that where rows are short none is left out.
    wanted: dict[str, np.ndarray] = {}
    for turn in zip_longest(*(queue.items() for queue in queues.values())):
        for piece, vector in filter(None, turn):
            wanted.setdefault(piece, vector)
    # Single characters stay, for they read what no piece reads; so do the lexicon's own words.
    free = [i for i in range(len(SPECIAL), len(pieces)) if counts[i] <= SELDOM and len(pieces[i].lstrip(START)) > 1 and pieces[i] not in words]
    free.sort(key=lambda i: (counts[i], -rank.get(pieces[i], len(rank))))
    taken = list(zip(free, wanted.items()))
    table = table.copy()
    for row, (piece, vector) in taken:
        spec["model"]["vocab"][row] = [piece, tokenizer.COST]
        table[row] = vector
    print(f"prepare: {len(wanted)} words of the lexicon without a piece, {len(free)} rows free, {len(taken)} given")
    return Renewed(json.dumps(spec, ensure_ascii=False, separators=(",", ":")), table, [p for _, (p, _) in taken], np.array([r for r, _ in taken], int), len(wanted) - len(taken))
