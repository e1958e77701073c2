"""Step 3: writes the network as ONNX, weights in int8 per output channel, the embedding table in int8 per row.

The graph is built by hand from plain opset-17 operators that both ONNX Runtime and tract load. Activations are quantised at run
time per tensor, so batch 1 is the only layout whose scores are calibrated. It must not know data or thresholds.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .settings import BUILD, LABELS, OUTPUT
from .train import fresh_model

OPSET = 17
# Largest absolute value of a weight in int8. A CPU without VNNI adds two products of an activation (at most 255) and a weight in 16 bits,
# which saturates beyond 64: with 127 the same model has other scores there than on a newer CPU. The price is one bit of a weight.
LIMIT = 64


class Graph:
    def __init__(self, int8: bool, limit: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.count = 0
        self.int8 = int8
        self.limit = limit
        self.quantized: dict[str, tuple[str, str, str]] = {}

    def constant(self, value: np.ndarray, name: str | None = None) -> str:
        name = name or f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes):
        self.count += 1
        names = [f"v{self.count}_{i}" if outputs > 1 else f"v{self.count}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{self.count}", **attributes))
        return names if outputs > 1 else names[0]

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None, exact: bool = False) -> str:
        """weight is [out, in]. `exact` keeps fp32: the head is small and sits next to the threshold."""
        if not self.int8 or exact:
            y = self.op("MatMul", x, self.constant(weight.T.astype(np.float32)))
        else:
            if x not in self.quantized:
                self.quantized[x] = tuple(self.op("DynamicQuantizeLinear", x, outputs=3))
            values, scale, zero = self.quantized[x]
            steps = np.maximum(np.abs(weight).max(axis=1), 1e-8) / self.limit
            table = np.clip(np.rint(weight / steps[:, None]), -self.limit, self.limit).astype(np.int8)
            y = self.op("MatMulInteger", values, self.constant(table.T), zero)
            y = self.op("Cast", y, to=TensorProto.FLOAT)
            y = self.op("Mul", y, self.op("Mul", scale, self.constant(steps.astype(np.float32))))
        return y if bias is None else self.op("Add", y, self.constant(bias.astype(np.float32)))

    def norm(self, x: str, weight: np.ndarray, bias: np.ndarray, epsilon: float) -> str:
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1], keepdims=1))
        square = self.op("Pow", centred, self.constant(np.array(2.0, np.float32)))
        variance = self.op("ReduceMean", square, axes=[-1], keepdims=1)
        deviation = self.op("Sqrt", self.op("Add", variance, self.constant(np.array(max(epsilon, 1e-12), np.float32))))
        y = self.op("Div", centred, deviation)
        return self.op("Add", self.op("Mul", y, self.constant(weight)), self.constant(bias))

    def gelu(self, x: str) -> str:
        y = self.op("Erf", self.op("Div", x, self.constant(np.array(math.sqrt(2.0), np.float32))))
        y = self.op("Mul", x, self.op("Add", y, self.constant(np.array(1.0, np.float32))))
        return self.op("Mul", y, self.constant(np.array(0.5, np.float32)))


def build(model: torch.nn.Module, int8: bool = True, limit: int = LIMIT) -> onnx.ModelProto:
    state = {k: v.detach().float().cpu().numpy() for k, v in model.state_dict().items()}
    epsilon = model.ln.eps
    heads = model.layers[0].heads
    hidden = state["word.weight"].shape[1]
    g = Graph(int8, limit)
    one = np.array(1.0, np.float32)

    word = state["word.weight"]
    if int8:
        steps = np.maximum(np.abs(word).max(axis=1, keepdims=True), 1e-8) / 127
        table = g.constant(np.clip(np.rint(word / steps), -127, 127).astype(np.int8), "word")
        x = g.op("Cast", g.op("Gather", table, "input_ids"), to=TensorProto.FLOAT)
        x = g.op("Mul", x, g.op("Gather", g.constant(steps.astype(np.float32), "word_scale"), "input_ids"))
    else:
        x = g.op("Gather", g.constant(word, "word"), "input_ids")
    length = g.op("Gather", g.op("Shape", "input_ids"), g.constant(np.array([1], np.int64)))
    zero, axis = g.constant(np.array([0], np.int64)), g.constant(np.array([0], np.int64))
    positions = g.op("Slice", g.constant(state["pos.weight"], "positions"), zero, length, axis)
    x = g.op("Add", x, positions)
    x = g.op("Add", x, g.op("Gather", g.constant(state["segment.weight"], "segments"), "token_type_ids"))
    x = g.norm(x, state["ln.weight"], state["ln.bias"], epsilon)

    mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden_mask = g.op("Mul", g.op("Sub", g.constant(one), mask), g.constant(np.array(-1e4, np.float32)))
    bias = g.op("Unsqueeze", hidden_mask, g.constant(np.array([1, 2], np.int64)))
    shape_in = g.constant(np.array([0, 0, heads, hidden // heads], np.int64))
    shape_out = g.constant(np.array([0, 0, hidden], np.int64))
    thirds = g.constant(np.array([hidden] * 3, np.int64))
    for i in range(len(model.layers)):
        p = {k.split(".", 2)[2]: v for k, v in state.items() if k.startswith(f"layers.{i}.")}
        scale = (hidden // heads) ** -0.5
        weight = np.concatenate([p["q.weight"] * scale, p["k.weight"], p["v.weight"]])
        offset = np.concatenate([p["q.bias"] * scale, p["k.bias"], p["v.bias"]])
        q, k, v = g.op("Split", g.linear(x, weight, offset), thirds, outputs=3, axis=-1)
        q = g.op("Transpose", g.op("Reshape", q, shape_in), perm=[0, 2, 1, 3])
        k = g.op("Transpose", g.op("Reshape", k, shape_in), perm=[0, 2, 3, 1])
        v = g.op("Transpose", g.op("Reshape", v, shape_in), perm=[0, 2, 1, 3])
        weights = g.op("Softmax", g.op("Add", g.op("MatMul", q, k), bias), axis=-1)
        y = g.op("Transpose", g.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        y = g.linear(g.op("Reshape", y, shape_out), p["ao.weight"], p["ao.bias"])
        x = g.norm(g.op("Add", x, y), p["aln.weight"], p["aln.bias"], epsilon)
        y = g.gelu(g.linear(x, p["fi.weight"], p["fi.bias"]))
        y = g.linear(y, p["fo.weight"], p["fo.bias"])
        x = g.norm(g.op("Add", x, y), p["oln.weight"], p["oln.bias"], epsilon)

    inside = g.op("Mul", g.op("Cast", "token_type_ids", to=TensorProto.FLOAT), mask)
    inside = g.op("Unsqueeze", inside, g.constant(np.array([2], np.int64)))
    outside = g.op("Mul", g.op("Sub", g.constant(one), inside), g.constant(np.array(-1e4, np.float32)))
    weights = g.op("Softmax", g.op("Add", g.linear(x, state["attention.weight"], None, exact=True), outside), axis=1)
    evidence = g.linear(x, state["evidence.weight"], state["evidence.bias"], exact=True)
    axes = g.constant(np.array([1], np.int64))
    found = g.op("ReduceSum", g.op("Mul", weights, evidence), axes, keepdims=0)
    total = g.op("ReduceSum", inside, axes, keepdims=0)
    mean = g.op("Div", g.op("ReduceSum", g.op("Mul", x, inside), axes, keepdims=0), total)
    logits = g.op("Add", found, g.linear(mean, state["mean.weight"], None, exact=True))
    g.nodes.append(helper.make_node("Identity", [logits], ["logits"], name="logits"))

    dims = ["batch", "sequence"]
    graph = helper.make_graph(
        g.nodes,
        "collapse",
        [helper.make_tensor_value_info(n, TensorProto.INT64, dims) for n in ("input_ids", "attention_mask", "token_type_ids")],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(v, k) for k, v in g.constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="steadfast-training")
    proto.ir_version = 8
    onnx.checker.check_model(proto)
    return proto


def run() -> None:
    model = fresh_model(dropout=0.0)
    path = BUILD / "model.pt"
    if not path.exists():
        raise SystemExit(f"{path} is missing: run the train step first")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    onnx.save(build(model, int8=False), str(BUILD / "model.fp32.onnx"))
    onnx.save(build(model, int8=True), str(OUTPUT / "model.onnx"))
    (OUTPUT / "tokenizer.json").write_bytes((BUILD / "tokenizer.json").read_bytes())
    for file in (OUTPUT / "model.onnx", OUTPUT / "tokenizer.json"):
        print(f"export: {file.name} {file.stat().st_size / 1e6:.2f} MB")
