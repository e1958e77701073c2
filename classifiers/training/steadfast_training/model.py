"""The network: a small BERT encoder and a head that lets each label look for its own evidence.

Each label pools the window's tokens with its own attention: a collapse in the last ten tokens of a window must not be
averaged away by a hundred good ones. It must not know files or data.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .settings import LABELS, MAX_TOKENS


class Dropout(nn.Module):
    """Drops a feature for a whole row of the batch: as good a regulariser here as per-token noise, and nearly free on a CPU."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = (torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.rate).to(x.dtype)
        return x * (keep / (1 - self.rate))


class Layer(nn.Module):
    def __init__(self, hidden: int, inner: int, heads: int, epsilon: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.ao = (nn.Linear(hidden, hidden) for _ in range(4))
        self.aln = nn.LayerNorm(hidden, eps=epsilon)
        self.fi, self.fo = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.oln = nn.LayerNorm(hidden, eps=epsilon)
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        b, s, h = x.shape

        def split(y: torch.Tensor) -> torch.Tensor:
            return y.view(b, s, self.heads, h // self.heads).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        if x.device.type == "cpu":
            # The fused bf16 kernel's backward pass is three times slower on a CPU than the fp32 one.
            with torch.autocast("cpu", enabled=False):
                attended = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=bias.float())
        else:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        attended = attended.transpose(1, 2).reshape(b, s, h)
        x = self.aln(x + self.dropout(self.ao(attended)))
        return self.oln(x + self.dropout(self.fo(F.gelu(self.fi(x)))))


class Classifier(nn.Module):
    """input_ids, attention_mask, token_type_ids: int64 [b, s]. Returns logits, float32 [b, labels]."""

    def __init__(self, vocabulary: int, layers: int, facts: dict, dropout: float = 0.1) -> None:
        super().__init__()
        hidden = facts["hidden"]
        self.word = nn.Embedding(vocabulary, hidden, sparse=True)
        self.pos = nn.Embedding(MAX_TOKENS, hidden)
        self.segment = nn.Embedding(2, hidden)
        self.ln = nn.LayerNorm(hidden, eps=facts["epsilon"])
        self.layers = nn.ModuleList(
            Layer(hidden, facts["inner"], facts["heads"], facts["epsilon"], dropout) for _ in range(layers)
        )
        self.dropout = Dropout(dropout)
        self.evidence = nn.Linear(hidden, len(LABELS))
        self.attention = nn.Linear(hidden, len(LABELS), bias=False)
        self.mean = nn.Linear(hidden, len(LABELS), bias=False)
        for head in (self.evidence, self.attention, self.mean):
            nn.init.normal_(head.weight, std=0.02)
        nn.init.constant_(self.evidence.bias, -2.0)

    def load_base(self, tensors: dict[str, np.ndarray], word: np.ndarray) -> None:
        def put(parameter: torch.Tensor, value: np.ndarray) -> None:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.array(value)))

        put(self.word.weight, word)
        put(self.pos.weight, tensors["emb.pos"][:MAX_TOKENS])
        put(self.segment.weight, tensors["emb.type"])
        put(self.ln.weight, tensors["emb.ln.w"])
        put(self.ln.bias, tensors["emb.ln.b"])
        for i, layer in enumerate(self.layers):
            for name in ("q", "k", "v", "ao", "aln", "fi", "fo", "oln"):
                module = getattr(layer, name)
                put(module.weight, tensors[f"l{i}.{name}.w"])
                put(module.bias, tensors[f"l{i}.{name}.b"])
        if "evidence.w" in tensors:  # a classifier that goes on, not a bare encoder
            put(self.evidence.weight, tensors["evidence.w"])
            put(self.evidence.bias, tensors["evidence.b"])
            put(self.attention.weight, tensors["attention.w"])
            put(self.mean.weight, tensors["mean.w"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.word(input_ids) + self.pos(positions)[None] + self.segment(token_type_ids)
        x = self.dropout(self.ln(x))
        bias = torch.zeros(attention_mask.shape, dtype=x.dtype, device=x.device)
        bias = bias.masked_fill(attention_mask == 0, -1e4)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        x = self.dropout(x)
        inside = (token_type_ids * attention_mask).unsqueeze(-1)
        scores = self.attention(x).float() + (1 - inside) * -1e4
        weights = torch.softmax(scores, dim=1)
        found = (weights * self.evidence(x).float()).sum(dim=1)
        mean = (x.float() * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)
        return found + F.linear(mean, self.mean.weight)
