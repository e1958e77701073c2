"""Cuts an answer into windows as the gateway does: tokens are estimated from characters, a stream's first window is short.

The same rules as src/window.rs; a change there is a change here. It must not know the tokenizer.
"""

from __future__ import annotations

from .settings import FIRST_TOKENS, POLICY_STRIDE, POLICY_TOKENS

WORD_CHARS = 7
SPACE, WORD, SINGLE = range(3)


def classify(c: str) -> int:
    if c.isascii():
        if c.isalnum():
            return WORD
        return SPACE if c.isspace() or ord(c) < 32 or ord(c) == 127 else SINGLE
    if ord(c) >= 0x2E80:
        return SINGLE
    if c.isspace():
        return SPACE
    return WORD if c.isalnum() else SINGLE


def starts(text: str) -> list[int]:
    """The characters at which estimated tokens begin."""
    out, before, run = [], SPACE, 0
    for i, c in enumerate(text):
        kind = classify(c)
        if kind == SINGLE:
            out.append(i)
        elif kind == WORD:
            if before != WORD or run >= WORD_CHARS:
                out.append(i)
                run = 0
            run += 1 if c.isascii() else 2
        before = kind
    return out


def stream(text: str) -> list[tuple[int, int]]:
    """(start, end) of each window of a streamed answer, in characters: one after FIRST_TOKENS, then one for each stride, then the end."""
    at = starts(text)
    total = len(at)
    ends = list(range(min(FIRST_TOKENS, POLICY_STRIDE), total, POLICY_STRIDE))
    cuts = []
    for end in ends:
        first = max(0, end - POLICY_TOKENS)
        cuts.append((at[first] if first else 0, at[end]))
    first = max(0, total - POLICY_TOKENS)
    cuts.append((at[first] if first else 0, len(text)))
    return cuts


def whole(text: str) -> list[tuple[int, int]]:
    """(start, end) of each window of an answer that comes at once."""
    at = starts(text)
    total, covered, cuts = len(at), 0, []
    while True:
        if total - covered <= POLICY_TOKENS:
            first = max(0, total - POLICY_TOKENS)
            cuts.append((at[first] if first else 0, len(text)))
            return cuts
        covered += POLICY_TOKENS if covered == 0 else POLICY_TOKENS - POLICY_STRIDE
        first = max(0, covered - POLICY_TOKENS)
        cuts.append((at[first] if first else 0, at[covered] if covered < total else len(text)))
