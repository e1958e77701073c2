"""Builds the classifier's tokenizer: the pretrained model's unigram pieces, cut to those in use.

Special tokens are plain vocabulary entries with a score so low that no text can select them: as "added tokens" they
would match inside a user's or a model's text and forge the layout. Only what the Rust crate loads without C is used.
It must not know what the model predicts.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Iterable

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
UNREACHABLE = -200.0
# Zero-width, bidi and other invisible controls, the soft hyphen, variation selectors.
INVISIBLE = "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"


def wrap(pieces: list[tuple[str, float]], unknown: int) -> Tokenizer:
    tokenizer = Tokenizer(Unigram(pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(INVISIBLE), ""),
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\s+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def script(character: str) -> str:
    code = ord(character)
    if code < 0x250 or 0x1E00 <= code < 0x1F00:
        return "latin" if character.isalpha() else "sign"
    if 0x3040 <= code < 0x3100 or 0x31F0 <= code < 0x3200:
        return "kana"
    if 0x3400 <= code < 0xA000 or 0xF900 <= code < 0xFB00:
        return "han"
    if 0xAC00 <= code < 0xD7B0:
        return "hangul"
    if 0x370 <= code < 0x400:
        return "greek"
    if 0x400 <= code < 0x530:
        return "cyrillic"
    return "sign" if unicodedata.category(character)[0] in "PSNZ" else "other"


def keep(
    pieces: list[tuple[str, float]], texts: Iterable[tuple[str, str]], size: int
) -> list[tuple[int, str, float]]:
    """The pieces to keep, as (index in `pieces`, piece, score). `texts` yields (language, text)."""
    full = wrap(pieces, 3)
    counts: dict[str, Counter] = {}
    batch: dict[str, list[str]] = {}
    for lang, text in texts:
        batch.setdefault(lang, []).append(text)
    for lang, group in batch.items():
        counter: Counter = Counter()
        for start in range(0, len(group), 2000):
            for encoding in full.encode_batch_fast(group[start : start + 2000], add_special_tokens=False):
                counter.update(encoding.ids)
        counts[lang] = counter
    chosen: dict[int, float] = {}

    def add(index: int) -> None:
        if index > 3 and pieces[index][0] != "<mask>":
            chosen.setdefault(index, pieces[index][1])

    # Every single character of a script that we read, so that nothing common is unknown.
    wanted = {"latin", "sign", "kana", "greek", "cyrillic"}
    han: list[int] = []
    hangul: list[int] = []
    for index, (piece, _) in enumerate(pieces):
        if len(piece) == 1:
            kind = script(piece)
            if kind in wanted:
                add(index)
            elif kind == "han":
                han.append(index)
            elif kind == "hangul":
                hangul.append(index)
    # Pieces come in order of pretraining frequency.
    for index in han[:3600] + hangul[:1300]:
        add(index)
    # Each language gets a share, by its own most frequent pieces.
    share = {"en": 14000, "ja": 5000, "ko": 2400, "de": 2200, "fr": 2200, "es": 2200, "pt": 2200, "zh": 3000}
    for lang, quota in share.items():
        taken = 0
        for index, number in counts.get(lang, Counter()).most_common():
            if taken >= quota or number < 2 or len(chosen) >= size - len(SPECIAL):
                break
            add(index)
            taken += 1
    # The rest by pretraining frequency, in the scripts of the languages served.
    for index, (piece, _) in enumerate(pieces):
        if len(chosen) >= size - len(SPECIAL):
            break
        body = piece.lstrip("▁")
        if body and all(script(c) in {"latin", "sign", "kana", "han", "hangul"} for c in body):
            add(index)
    return [(i, pieces[i][0], pieces[i][1]) for i in sorted(chosen)]


def build(kept: list[tuple[int, str, float]]) -> Tokenizer:
    pieces = [(name, UNREACHABLE) for name in SPECIAL] + [(piece, score) for _, piece, score in kept]
    return wrap(pieces, UNK)
