"""Assembles token ids exactly as the gateway does, and splits what is longer than the model takes. The contract with the Rust side lives here."""

from __future__ import annotations

import numpy as np

from .settings import PERSONA_TOKENS, USER_TOKENS, WINDOW_STRIDE, WINDOW_TOKENS
from .tokenizer import CLS, PAD, SEP


def assemble(persona: list[int], user: list[int], window: list[int]) -> tuple[list[int], int]:
    """Returns (ids, number of leading ids of segment 0)."""
    head = [CLS, *persona[:PERSONA_TOKENS], SEP, *user[-USER_TOKENS:], SEP]
    return [*head, *window[:WINDOW_TOKENS], SEP], len(head)


def runs(count: int) -> list[tuple[int, int]]:
    """Overlapping runs of at most WINDOW_TOKENS ids over `count` ids: the last one ends at the end."""
    if count <= WINDOW_TOKENS:
        return [(0, count)]
    starts = list(range(0, count - WINDOW_TOKENS, WINDOW_STRIDE)) + [count - WINDOW_TOKENS]
    return [(start, start + WINDOW_TOKENS) for start in starts]


def collate(items: list[tuple[list[int], int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pads to the longest: (input_ids, attention_mask, token_type_ids), int64."""
    width = max(len(ids) for ids, _ in items)
    ids = np.full((len(items), width), PAD, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = np.zeros_like(ids)
    for i, (row, head) in enumerate(items):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
        types[i, head : len(row)] = 1
    return ids, mask, types
