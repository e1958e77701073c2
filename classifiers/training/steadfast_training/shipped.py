"""Reads the weights back out of a shipped int8 model, so that training can go on from it when its fp32 weights are gone.

The graph is the one that `export.py` writes; its nodes are walked, so names of constants do not matter. What comes out is in the names
of `base.py`, head included. It must not know data or thresholds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from .base import FACTS


class Walk:
    def __init__(self, proto: onnx.ModelProto) -> None:
        self.nodes = list(proto.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.user: dict[str, onnx.NodeProto] = {}
        for node in self.nodes:
            for name in node.input:
                self.user.setdefault(name, node)

    def of(self, kind: str) -> list[onnx.NodeProto]:
        return [n for n in self.nodes if n.op_type == kind]

    def constant(self, node: onnx.NodeProto) -> np.ndarray:
        found = [self.constants[name] for name in node.input if name in self.constants]
        if len(found) != 1:
            raise SystemExit(f"node {node.name}: {len(found)} constants where one is expected; this is not a model that export writes")
        return found[0]

    def after(self, node: onnx.NodeProto) -> onnx.NodeProto:
        return self.user[node.output[0]]


def tensors(proto: onnx.ModelProto, heads: int = FACTS["heads"]) -> dict[str, np.ndarray]:
    """Dequantised tensors by name; matrices are [out, in]."""
    walk = Walk(proto)
    word = walk.constants["word"]
    scale = next(c for n in walk.of("Gather") for name, c in walk.constants.items() if name == n.input[0] and c.shape == (len(word), 1))
    hidden = word.shape[1]
    out = {"emb.word": word.astype(np.float32) * scale, "emb.pos": walk.constants["positions"], "emb.type": walk.constants["segments"]}

    linear = []
    for node in walk.of("MatMulInteger"):
        scaled = walk.after(walk.after(node))
        steps = walk.constant(walk.maker[scaled.input[1]])
        weight = walk.constants[node.input[1]].T.astype(np.float32) * steps[:, None]
        linear.append((weight, walk.constant(walk.after(scaled))))
    norms = []
    for node in walk.of("Div"):
        next_node = walk.after(node)
        if next_node.op_type == "Mul" and not any(name in walk.constants for name in node.input):
            norms.append((walk.constant(next_node), walk.constant(walk.after(next_node))))
    out["emb.ln.w"], out["emb.ln.b"] = norms[0]
    root = (hidden // heads) ** 0.5  # export folds attention's scale into the query
    for i in range(len(linear) // 4):
        (qkv, offset), ao, fi, fo = linear[4 * i : 4 * i + 4]
        parts = zip("qkv", np.split(qkv, 3), np.split(offset, 3))
        for name, weight, bias in [*parts, ("ao", *ao), ("fi", *fi), ("fo", *fo), ("aln", *norms[1 + 2 * i]), ("oln", *norms[2 + 2 * i])]:
            factor = root if name == "q" else 1.0
            out[f"l{i}.{name}.w"], out[f"l{i}.{name}.b"] = weight * factor, bias * factor
    exact = [n for n in walk.of("MatMul") if n.input[1] in walk.constants]
    for name, node in zip(("attention", "evidence", "mean"), exact, strict=True):
        out[f"{name}.w"] = walk.constants[node.input[1]].T
        if name == "evidence":
            out["evidence.b"] = walk.constant(walk.after(node))
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in out.items()}


def limit(path: Path) -> int:
    """The largest absolute value of an encoder's weight in int8."""
    walk = Walk(onnx.load(str(path)))
    return max(int(np.abs(walk.constants[node.input[1]].astype(np.int16)).max()) for node in walk.of("MatMulInteger"))


def read(path: Path) -> dict[str, np.ndarray]:
    return tensors(onnx.load(str(path)))
