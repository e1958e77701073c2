"""The first stage's network: static vectors of the second stage's own tokens, three narrow convolutions, and a head for each label.

It gets the second stage's input and says for each label how far the second stage will be over its threshold; the smooth maximum of these is
its one output. Beside its vector a token brings where it stood before in the same part, how long a run of tokens repeats there, and whether persona or
user turn hold it: loops and echoes are seen by that. `pack` writes the file that the gateway reads. It must not know thresholds or data.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .settings import LABELS
from .tokenizer import SEP, UNK

WIDTH, HIDDEN, LAYERS = 48, 80, 3  # of a token's vector, of a convolution, convolutions
FACTS = 13  # of a window as a whole


def reach(layer: int) -> int:
    """Tokens from one tap of a layer's convolution to the next."""
    return 1 if layer < 2 else 3


def marks(ids: np.ndarray) -> np.ndarray:
    """[4, tokens]: segment; tokens since the same one stood in it (0: never); how many tokens up to this one stood in it before in a row; 1 if the persona holds it, plus 2 if the user turn does."""
    segment = np.concatenate([[0], np.cumsum(ids == SEP)[:-1]])
    out = np.zeros((4, len(ids)), np.int64)
    out[0] = segment
    for s in range(3):
        start, part = int((segment < s).sum()), ids[segment == s]
        repeated = np.zeros(len(part) + 1, np.int64)  # of the token before, for each place that it may repeat
        for t in range(len(part)):
            alike = part[:t] == part[t]
            lengths = np.where(alike, repeated[:t] + 1, 0)
            if alike.any():
                out[1, start + t] = t - int(np.flatnonzero(alike)[-1])
                out[2, start + t] = int(lengths.max())
            repeated[1 : t + 1] = lengths
    for s in (0, 1):
        out[3] += (s + 1) * np.isin(ids, ids[segment == s])
    return out


def facts(ids: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """[FACTS]: the window's length; shares of its tokens that repeat (alone, as the end of longer runs, soon, at once), that persona or user turn hold, that are unknown; the context's lengths."""
    inside = mark[0] == 2
    count = inside.sum()
    since, run, held = mark[1][inside], mark[2][inside], mark[3][inside]
    shares = [run >= 1, run >= 2, run >= 3, run >= 5, run >= 9, (since > 0) & (since < 9), since == 1, (held & 1) > 0, held > 1, ids[inside] == UNK]
    return np.array([count / 128, *(share.sum() / count for share in shares), (mark[0] == 0).sum() / 32, (mark[0] == 1).sum() / 32], np.float32)


class Student(nn.Module):
    def __init__(self, vectors: np.ndarray, hidden: int = HIDDEN, layers: int = LAYERS, dropout: float = 0.05) -> None:
        super().__init__()
        width = vectors.shape[1]
        self.word = nn.Embedding.from_pretrained(torch.from_numpy(vectors), freeze=False)
        self.mark = nn.ModuleList([nn.Embedding(3, width), nn.Embedding(9, width), nn.Embedding(9, width), nn.Embedding(4, width)])
        for table in self.mark:
            nn.init.normal_(table.weight, 0, 0.1)
        self.first = nn.Conv1d(width, hidden, 3, padding=1)
        self.spread = nn.ModuleList([nn.Conv1d(hidden, hidden, 5, padding=2 * reach(k), dilation=reach(k), groups=hidden) for k in range(1, layers)])
        self.mix = nn.ModuleList([nn.Conv1d(hidden, hidden, 1) for _ in range(1, layers)])
        self.context = nn.Linear(2 * hidden + 2 * FACTS, hidden)
        self.shift = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(1, layers)])
        self.attention = nn.Conv1d(hidden, len(LABELS), 1, bias=False)
        self.evidence = nn.Conv1d(hidden, len(LABELS), 1)
        self.whole = nn.Linear(3 * hidden + 2 * FACTS, hidden)
        self.last = nn.Linear(hidden, len(LABELS))
        self.dropout = dropout

    def forward(self, ids: torch.Tensor, mark: torch.Tensor, fact: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """ids and real [batch, tokens], mark [batch, 4, tokens], fact [batch, FACTS] -> how far each label is over its threshold [batch, labels]."""
        x = F.dropout(self.word(ids), self.dropout, self.training)
        for table, row in zip(self.mark, (mark[:, 0], bucket(mark[:, 1]), bucket(mark[:, 2]), mark[:, 3])):
            x = x + table(row)
        real = real.unsqueeze(1)
        h = F.relu(self.first((x.transpose(1, 2) * real))) * real
        inside, part = (mark[:, 0] == 2).unsqueeze(1) * real, [(mark[:, 0] == s).unsqueeze(1) * real for s in (0, 1)]
        fact = torch.cat([fact, fact * fact], 1)
        context = F.relu(self.context(torch.cat([*((h * p).sum(2) / p.sum(2) for p in part), fact], 1)))
        for spread, mix, shift in zip(self.spread, self.mix, self.shift):
            h = (h + F.relu(mix(spread(h)) + shift(context).unsqueeze(2))) * real
        h = F.dropout(h, self.dropout, self.training)
        weights = (self.attention(h) + (inside - 1) * 1e4).softmax(2)
        found = (weights * self.evidence(h)).sum(2)
        whole = torch.cat([(h * inside).amax(2), (h * inside).sum(2) / inside.sum(2), context, fact], 1)
        return found + self.last(F.relu(self.whole(whole)))


def bucket(distance: torch.Tensor) -> torch.Tensor:
    """0 never, 1, 2, to 4, to 8, … to 64, farther."""
    return torch.where(distance > 0, 1 + torch.log2(distance.clamp(min=1).float()).ceil().clamp(max=7).long(), 0)


def batch(items: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, ...]:
    """Pads (ids, marks, facts) of several windows for `Student.forward`."""
    longest = max(len(ids) for ids, _, _ in items)
    ids, mark = np.zeros((len(items), longest), np.int64), np.zeros((len(items), 4, longest), np.int64)
    real = np.zeros((len(items), longest), np.float32)
    for k, (i, m, _) in enumerate(items):
        ids[k, : len(i)], mark[k, :, : len(i)], real[k, : len(i)] = i, m, 1
    return torch.from_numpy(ids), torch.from_numpy(mark), torch.from_numpy(np.stack([f for _, _, f in items])), torch.from_numpy(real)



def rounded(student: Student) -> tuple[np.ndarray, np.ndarray]:
    """The vectors in int8 and what a step of each of their numbers is worth; the network's own are put on these steps."""
    vectors = student.word.weight.detach()
    steps = vectors.abs().amax(0).clamp(min=1e-8) / 127
    table = (vectors / steps).round().clamp(-127, 127)
    student.word.weight.data.copy_(table * steps)
    return table.to(torch.int8).numpy(), steps.numpy()


def pack(student: Student) -> bytes:
    """The file that the gateway reads: see docs/classifier-format.md. A matrix has a row for each input, then its bias."""
    table, steps = rounded(student)
    state = {k: v.detach().float().cpu().numpy() for k, v in student.state_dict().items()}
    weight = lambda name: state[f"{name}.weight"].reshape(state[f"{name}.weight"].shape[0], -1).T  # [in, out]
    matrix = lambda name: [weight(name), state[f"{name}.bias"]]
    first = state["first.weight"].transpose(2, 1, 0)  # [tap, in, out]
    parts = [steps, *(state[f"mark.{n}.weight"] for n in range(4)), first, state["first.bias"], *matrix("context")]
    for n in range(len(student.spread)):
        parts += [*matrix(f"spread.{n}"), *matrix(f"mix.{n}"), *matrix(f"shift.{n}")]
    parts += [np.concatenate([weight("attention"), weight("evidence")], axis=1), np.zeros(len(LABELS), np.float32), state["evidence.bias"]]
    parts += [*matrix("whole"), *matrix("last")]
    return table.tobytes() + b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)
