"""The first stage's arithmetic: hashed character n-grams of passages, as docs/classifier-format.md says. It must not know labels or files."""

from __future__ import annotations

import numpy as np

FACTOR, LENGTH, MIX = np.uint64(0x100000001B3), 0x9E3779B97F4A7C15, np.uint64(0xBF58476D1CE4E5B9)


def letters(text: str) -> np.ndarray:
    """Code points in lower case, each run of white space as one space, one space at either end."""
    parts = "".join(c if c.isspace() else c.lower() for c in text).split()
    return np.array([ord(c) for c in " " + "".join(p + " " for p in parts)], dtype=np.uint64)


def passages(text: str, buckets: int, shortest: int, longest: int, block: int) -> list[np.ndarray]:
    """The buckets of each passage's n-grams: neighbouring blocks together, or the only block."""
    with np.errstate(over="ignore"):
        points = letters(text)
        count = len(points)
        shift = np.uint64(64 - (buckets.bit_length() - 1))
        parts: list[list[np.ndarray]] = [[] for _ in range(max(1, -(-count // block)))]
        running = np.zeros(count, dtype=np.uint64)
        for length in range(1, longest + 1):
            if length > count:
                break
            running = running[: count - length + 1] * FACTOR + points[length - 1 :]
            if length < shortest:
                continue
            long = running + np.uint64((length * LENGTH) & 0xFFFFFFFFFFFFFFFF)
            places = (((long ^ (long >> np.uint64(29))) * MIX) >> shift).astype(np.int64)
            for n in range(len(parts)):
                parts[n].append(places[n * block : (n + 1) * block])
    blocks = [np.concatenate(p) if p else np.zeros(0, np.int64) for p in parts]
    return [np.concatenate(pair) for pair in zip(blocks, blocks[1:])] if len(blocks) > 1 else blocks


def logit(text: str, table: np.ndarray, scale: float, bias: float, shortest: int, longest: int, block: int) -> float:
    """How much a text deserves a closer look; infinite for one without n-grams. `table` holds a signed byte for each bucket."""
    values = [bias + scale * float(table[p].sum(dtype=np.int64)) / np.sqrt(len(p)) if len(p) else np.inf for p in passages(text, len(table), shortest, longest, block)]
    return max(values)
