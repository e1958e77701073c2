"""Optional step: a table of hashed n-grams that passes windows which are clearly clean, taught by the second stage's scores.

It imitates "any label over half its 0.1 % threshold" on the windows of training rows; half 0 of dev chooses what is clean, half 1 says
what that costs. It ships only if it keeps the project's promise: at most half a point of recall lost, at most 5 % of benign windows
escalated. It must not know the network.
"""

from __future__ import annotations

import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor

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
BUCKETS = 1 << 20
MOST = 27_000  # training windows
LOSS, ESCALATED = 0.005, 0.05


def suspicion(judge: Judge, logits: np.ndarray) -> np.ndarray:
    """The largest probability of a label over its threshold; 1 is an alarm."""
    return (judge.probability(logits) / judge.at[0.001]).max(axis=-1)


def training_windows(scorer: Scorer, judge: Judge) -> tuple[list[str], np.ndarray]:
    path = BUILD / "first_stage.npz"
    key = hashlib.sha256((OUTPUT / "model.onnx").read_bytes()).hexdigest()
    rng = random.Random(SEED)
    rows = [r for r in sources.read_all() if r.permissive and r.split == "train"]
    bad, good = [r for r in rows if r.positive], [r for r in rows if not r.positive]
    rng.shuffle(bad)
    rng.shuffle(good)
    bad = [r for r in bad if r.source == "authored"] + [r for r in bad if r.source != "authored"]
    chosen = bad[: MOST // 3] + good[: MOST * 2 // 3]
    texts = []
    for row in chosen:
        cuts = stream(row.response[:3000])
        if row.positive and row.onset is not None:
            cuts = [c for c in cuts if c[1] > row.onset] or cuts
        a, b = rng.choice(cuts)
        texts.append(row.response[a:b])
    if path.exists() and str(np.load(path)["key"]) == key:
        return texts, np.load(path)["suspicion"]

    def one(item):
        row, text = item
        return scorer.windows(row.system, row.prompt, text, 2).max(axis=0)

    with ThreadPoolExecutor(2) as pool:
        logits = np.stack(list(tqdm(pool.map(one, zip(chosen, texts)), total=len(texts), desc="teacher", mininterval=20)))
    marks = suspicion(judge, logits)
    np.savez(path, key=key, suspicion=marks)
    return texts, marks


def fit(texts: list[str], marks: np.ndarray, epochs: int = 3) -> tuple[np.ndarray, float]:
    """Returns (weights [buckets], bias). The most suspect passage speaks for its window, in learning as in use."""
    torch.manual_seed(SEED)
    weights = torch.nn.EmbeddingBag(BUCKETS, 1, mode="sum", sparse=True)
    torch.nn.init.zeros_(weights.weight)
    bias = torch.nn.Parameter(torch.tensor(-2.0))
    table = torch.optim.SparseAdam([weights.weight], lr=0.02)
    other = torch.optim.Adam([bias], lr=0.02)
    bags = [[torch.from_numpy(p) for p in ngrams.passages(normalize(t), BUCKETS, **SHAPE)] for t in tqdm(texts, desc="n-grams", mininterval=20)]
    target = torch.from_numpy((marks >= 0.5).astype(np.float32))
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
    return weights.weight.detach().squeeze(1).numpy(), float(bias)


def dev_windows(scorer: Scorer, judge: Judge):
    """Windows of dev with their row: (half, benign, text, alarm, alarm of the row's own labels, row number)."""
    rows = devset.rows()
    rng = random.Random(SEED)
    rows = [r for r in rows if r.positive or rng.random() < 0.3]

    def one(row):
        cuts = stream(row.response)
        cuts = cuts if len(cuts) <= 4 else [cuts[round(i * (len(cuts) - 1) / 3)] for i in range(4)]
        return [(row.response[a:b], suspicion(judge, scorer.windows(row.system, row.prompt, row.response[a:b], 2).max(axis=0))) for a, b in cuts]

    with ThreadPoolExecutor(2) as pool:
        found = list(tqdm(pool.map(one, rows), total=len(rows), desc="dev windows", mininterval=20))
    return [(row.half, not row.positive, text, mark, n) for n, (row, windows) in enumerate(zip(rows, found)) for text, mark in windows]


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
    scorer, judge = Scorer(), Judge()
    texts, marks = training_windows(scorer, judge)
    weights, bias = fit(texts, marks)
    scale = float(np.quantile(np.abs(weights[weights != 0]), 0.9995)) / 127
    table = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    found = dev_windows(scorer, judge)
    logits = np.array([ngrams.logit(normalize(t), table, scale, bias, **SHAPE) for _, _, t, _, _ in found])
    half, benign, mark = (np.array([f[k] for f in found]) for k in (0, 1, 3))
    alarm = mark >= 1.0

    def figures(chosen: np.ndarray, at: float) -> dict:
        """Recall is counted over answers: one is lost when none of its alarming windows is looked at."""
        caught, kept = set(), set()
        for i in np.flatnonzero(chosen & alarm & ~benign):
            caught.add(found[i][4])
            if logits[i] >= at:
                kept.add(found[i][4])
        good = chosen & benign
        return {
            "caught": len(caught),
            "recall_loss": 1 - len(kept) / max(1, len(caught)),
            "benign_windows": int(good.sum()),
            "escalated": float((logits[good] >= at).mean()),
            "benign_alarms_passed": int((good & alarm & (logits < at)).sum()),
        }

    # The highest cut that keeps the promise on half 0, with a third of the allowance in hand.
    cuts = np.unique(np.quantile(logits, np.linspace(0, 0.99, 400)))
    at = float(max((c for c in cuts if figures(half == 0, c)["recall_loss"] <= LOSS * 2 / 3), default=cuts[0]))
    result = {"chosen_on_half_0": figures(half == 0, at), "half_1": figures(half == 1, at), "clean_below": float(1 / (1 + np.exp(-at))), "buckets": BUCKETS, **SHAPE, "scale": scale, "bias": bias, "training_windows": len(texts)}
    result["ships"] = result["half_1"]["recall_loss"] < LOSS and result["half_1"]["escalated"] <= ESCALATED
    # What escalating 5 % would cost, so that the card can say how far off it is.
    five = float(np.quantile(logits[(half == 0) & benign], 0.95))
    result["at_5_percent_escalated"] = figures(half == 1, five)
    (BUILD / "first_stage.json").write_text(json.dumps(result, indent=1))
    table.tofile(BUILD / "first_stage.bin")
    if result["ships"]:
        ship(result)
    print(json.dumps(result, indent=1))
