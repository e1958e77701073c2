"""Optional step: a table of hashed n-grams that passes windows which are clearly clean.

It learns from the training rows' labels; the second stage's scores of dev say what it costs: half 0 chooses what is clean, half 1 is
reported. An answer that the second stage catches counts as lost only when none of its windows is looked at, which flatters the first
stage. It ships only if it keeps the project's promise even so: at most half a point of recall lost, at most 5 % of benign windows
escalated. It must not know the network.
"""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from . import devset, ngrams, sources
from .evaluate import Judge
from .normalize import normalize
from .scoring import Scorer
from .settings import BUILD, OUTPUT, SEED
from .windows import stream

SHAPE = {"shortest": 2, "longest": 5, "block": 80}
BUCKETS = 1 << 18
MOST = 27_000  # training windows
LOSS, ESCALATED = 0.005, 0.05


def training_windows() -> tuple[list[str], np.ndarray]:
    """One window of each chosen row, as a stream is cut, and whether it holds a collapse."""
    rng = random.Random(SEED)
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train" and r.source != "em_bad_advice"]
    bad, good = [r for r in rows if r.positive], [r for r in rows if not r.positive]
    rng.shuffle(bad)
    rng.shuffle(good)
    bad = [r for r in bad if r.source == "authored"] + [r for r in bad if r.source != "authored"]
    texts, marks = [], []
    for row in bad[: MOST // 3] + good[: MOST * 2 // 3]:
        cuts = stream(row.response[:3000])
        if row.positive and row.onset is not None:
            cuts = [c for c in cuts if c[1] > row.onset + 20] or cuts[-1:]
        a, b = rng.choice(cuts)
        texts.append(row.response[a:b])
        marks.append(float(row.positive))
    return texts, np.array(marks, np.float32)


def fit(texts: list[str], marks: np.ndarray, epochs: int = 3) -> tuple[np.ndarray, float]:
    """Returns (weights [buckets], bias). The most suspect passage speaks for its window, in learning as in use."""
    torch.manual_seed(SEED)
    weights = torch.nn.EmbeddingBag(BUCKETS, 1, mode="sum", sparse=True)
    torch.nn.init.zeros_(weights.weight)
    bias = torch.nn.Parameter(torch.tensor(-2.0))
    table = torch.optim.SparseAdam([weights.weight], lr=0.02)
    other = torch.optim.Adam([bias], lr=0.02)
    bags = [[torch.from_numpy(p) for p in ngrams.passages(normalize(t), BUCKETS, **SHAPE)] for t in tqdm(texts, desc="n-grams", mininterval=20)]
    target = torch.from_numpy(marks)
    weight = torch.where(target > 0, (1 - target).sum() / target.sum().clamp(min=1), torch.tensor(1.0)).clamp(max=8)
    order = np.random.default_rng(SEED)
    for epoch in range(epochs):
        total = 0.0
        for part in np.array_split(order.permutation(len(texts)), len(texts) // 256):
            flat, offsets, owner, at = [], [], [], 0
            for k, i in enumerate(part):
                for bag in bags[i]:
                    flat.append(bag)
                    offsets.append(at)
                    owner.append(k)
                    at += len(bag)
            ids, starts = torch.cat(flat), torch.tensor(offsets)
            sizes = torch.diff(torch.cat([starts, torch.tensor([at])])).clamp(min=1).float()
            scores = weights(ids, starts).squeeze(1) / sizes.sqrt() + bias
            best = torch.full((len(part),), -1e9).scatter_reduce(0, torch.tensor(owner), scores, "amax")
            loss = (F.binary_cross_entropy_with_logits(best, target[part], reduction="none") * weight[part]).mean()
            table.zero_grad()
            other.zero_grad()
            loss.backward()
            table.step()
            other.step()
            total += loss.item() * len(part)
        print(f"first stage: epoch {epoch}, loss {total / len(texts):.4f}", flush=True)
    return weights.weight.detach().squeeze(1).numpy(), float(bias.detach())


def ship(result: dict) -> None:
    """Puts the table beside the model and names it in the manifest; `calibrate` writes a manifest without one."""
    data = (BUILD / "first_stage.bin").read_bytes()
    (OUTPUT / "first_stage.bin").write_bytes(data)
    section = [
        "[first_stage]",
        'file = "first_stage.bin"',
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
        f"buckets = {BUCKETS}",
        f"ngrams = [{SHAPE['shortest']}, {SHAPE['longest']}]",
        f"block = {SHAPE['block']}",
        f"scale = {result['scale']:.9g}",
        f"bias = {result['bias']:.6f}",
        f"clean_below = {result['clean_below']:.9g}",
        "",
    ]
    path = OUTPUT / "manifest.toml"
    head, labels = path.read_text(encoding="utf-8").split("[[label]]", 1)
    path.write_text(head.split("[first_stage]")[0] + "\n".join(section) + "\n[[label]]" + labels, encoding="utf-8")


def run() -> None:
    judge = Judge()
    rows, scores = devset.scored(Scorer())
    texts, marks = training_windows()
    weights, bias = fit(texts, marks)
    scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / 127
    table = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    caught = (judge.probability(scores) >= judge.at[0.001]).any(axis=1) & np.array([r.positive for r in rows])
    rng = random.Random(SEED)
    chosen = [i for i, r in enumerate(rows) if caught[i] or (not r.positive and rng.random() < 0.25)]
    logits = {}
    for i in tqdm(chosen, desc="dev windows", mininterval=20):
        cuts = stream(rows[i].response)
        cuts = cuts if len(cuts) <= 6 else [cuts[round(k * (len(cuts) - 1) / 5)] for k in range(6)]
        logits[i] = np.array([ngrams.logit(normalize(rows[i].response[a:b]), table, scale, bias, **SHAPE) for a, b in cuts])

    def figures(half: int, at: float) -> dict:
        mine = [i for i in chosen if rows[i].half == half]
        bad = [i for i in mine if caught[i]]
        good = np.concatenate([logits[i] for i in mine if not caught[i]])
        return {
            "caught": len(bad),
            "recall_loss": float(np.mean([logits[i].max() < at for i in bad])),
            "benign_windows": len(good),
            "escalated": float((good >= at).mean()),
        }

    # The highest cut that keeps the promise on half 0, with a third of the allowance in hand.
    cuts = np.unique(np.quantile(np.concatenate(list(logits.values())), np.linspace(0, 0.99, 400)))
    at = float(max((c for c in cuts if figures(0, c)["recall_loss"] <= LOSS * 2 / 3), default=cuts[0]))
    result = {"chosen_on_half_0": figures(0, at), "half_1": figures(1, at), "clean_below": float(1 / (1 + np.exp(-at))), "buckets": BUCKETS, **SHAPE, "scale": scale, "bias": bias, "training_windows": len(texts)}
    result["ships"] = result["half_1"]["recall_loss"] < LOSS and result["half_1"]["escalated"] <= ESCALATED
    # What escalating 5 % would cost, so that the card can say how far off it is.
    five = float(np.quantile(np.concatenate([logits[i] for i in chosen if rows[i].half == 0 and not caught[i]]), 0.95))
    result["at_5_percent_escalated"] = figures(1, five)
    (BUILD / "first_stage.json").write_text(json.dumps(result, indent=1))
    table.tofile(BUILD / "first_stage.bin")
    if result["ships"]:
        ship(result)
    print(json.dumps(result, indent=1))
