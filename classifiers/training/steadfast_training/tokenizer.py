"""The classifier's tokenizer: one unigram vocabulary of English word pieces, characters and words of other languages.

Text is lower-cased and Latin accents are dropped; white space, punctuation and changes of script part it, and each part begins with
"▁". Every piece costs about the same, so the cheapest reading is the one of fewest pieces, which for English is nearly what the
pretrained word-piece tokenizer reads. Special tokens are plain entries with a score so low that no text can select them: as
"added tokens" they would match inside a user's or a model's text and forge the layout. Only what the Rust crate loads without C is used.
It must not know what the model predicts or where pieces come from.
"""

from __future__ import annotations

import unicodedata

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
UNREACHABLE = -200.0
COST = -10.0  # of one piece; differences between pieces are small against it, so fewer pieces always win
START = "▁"
# Zero-width, bidi and other invisible controls, the soft hyphen, variation selectors.
INVISIBLE = "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
ACCENTS = "[\u0300-\u036f]"
# Scripts that do not part words by spaces, or glue endings to foreign words; U+30FC is the mark of a long kana vowel.
EASTERN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\x{30FC}]+"


def fold(text: str) -> str:
    """What the tokenizer's own normaliser does to a piece: the two must agree, or pieces could never match."""
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).lower())
    return unicodedata.normalize("NFC", "".join(c for c in text if not 0x300 <= ord(c) <= 0x36F))


def wrap(pieces: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(Unigram(pieces, unk_id=UNK, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(INVISIBLE), ""),
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.NFD(),
            normalizers.Replace(Regex(ACCENTS), ""),
            normalizers.NFC(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Split(Regex(EASTERN), "isolated"),
            pre_tokenizers.Metaspace(replacement=START, prepend_scheme="always", split=False),
        ]
    )
    return tokenizer


def script(character: str) -> str:
    code = ord(character)
    if code < 0x250 or 0x1E00 <= code < 0x1F00:
        return "latin" if character.isalpha() else "sign"
    if 0x3040 <= code < 0x3100 or 0x31F0 <= code < 0x3200:
        return "kana"
    if 0x3400 <= code < 0xA000 or 0xF900 <= code < 0xFB00 or code in (0x3005, 0x3006):
        return "han"
    if 0xAC00 <= code < 0xD7B0:
        return "hangul"
    return "sign" if unicodedata.category(character)[0] in "PSNZ" else "other"


def eastern(text: str) -> bool:
    return bool(text) and all(script(c) in ("kana", "han", "hangul") for c in text)


def build(pieces: list[tuple[str, float]]) -> Tokenizer:
    """`pieces` are (piece, how much dearer than others it is); the special tokens come before them."""
    return wrap([(name, UNREACHABLE) for name in SPECIAL] + [(piece, COST - extra) for piece, extra in pieces])
