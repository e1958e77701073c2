"""Scores exchanges with the shipped int8 model through ONNX Runtime, one window at a time, as the gateway does."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer
from tqdm import tqdm

from .layout import assemble, collate, runs
from .normalize import normalize
from .settings import LABELS, OUTPUT
from .windows import stream


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without it a CPU that lacks VNNI adds byte products with saturation, and the scores are other ones than the gateway's, which asks for
    # exact products there too. On a CPU with VNNI it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Scorer:
    def __init__(self, model: Path | None = None, tokenizer: Path | None = None) -> None:
        self.session = session(model or OUTPUT / "model.onnx")
        self.tokenizer = Tokenizer.from_file(str(tokenizer or OUTPUT / "tokenizer.json"))

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids if text else []

    def window(self, persona: list[int], user: list[int], window: list[int]) -> np.ndarray:
        ids, mask, types = collate([assemble(persona, user, window)])
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": types})[0][0]

    def windows(self, persona: str, user: str, text: str, limit: int | None = None) -> np.ndarray:
        """Logits of every window that a stream of the answer makes, [windows, labels]. `limit` thins very long answers evenly."""
        head, asked = self.ids(normalize(persona[:600])), self.ids(normalize(user[-600:]))
        cuts = stream(text)
        if limit and len(cuts) > limit:
            cuts = [cuts[round(i * (len(cuts) - 1) / (limit - 1))] for i in range(limit)]
        out = []
        for a, b in cuts:
            ids = self.ids(normalize(text[a:b]))
            out += [self.window(head, asked, ids[c:d]) for c, d in runs(len(ids))]
        return np.stack(out)

    def answer(self, persona: str, user: str, text: str, limit: int | None = None) -> np.ndarray:
        """The highest logit of each label over the windows."""
        return self.windows(persona, user, text, limit).max(axis=0)


def score_rows(scorer: Scorer, rows: Iterable, limit: int | None = 6, text=lambda r: r.response, name: str = "score") -> np.ndarray:
    rows = list(rows)
    if not rows:
        return np.zeros((0, len(LABELS)), np.float32)
    with ThreadPoolExecutor(int(os.environ.get("STEADFAST_THREADS", "2"))) as pool:
        work = pool.map(lambda r: scorer.answer(r.system, r.prompt, text(r), limit), rows)
        return np.stack(list(tqdm(work, total=len(rows), desc=name, mininterval=10)))
