"""Optional step: a small network that passes windows which are clearly clean, taught by the second stage's scores.

The target is how far the second stage is over its calibrated thresholds (`distil.py` has the windows). Half 0 of dev chooses the logit below
which a window is clean, half 1 is reported. What the second stage catches counts as lost if none of the windows for which it would raise a
label is looked at. On by default only if it keeps both of the project's promises: at most half a point of recall lost, at most 5 % of benign windows
escalated. It must not know how windows are made.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import tomllib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import devset, distil, shipped, student
from .evaluate import Judge, recordings
from .layout import assemble
from .metrics import upper_bound
from .normalize import normalize
from .scoring import Scorer
from .settings import BUILD, LABELS, OUTPUT, SEED
from .student import HIDDEN, LAYERS, WIDTH, Student

WINDOWS = 49_000
EPOCHS, BATCH, RATE, TABLE_RATE = 7, 128, 3e-3, 1e-3
CAUGHT = 4.0  # how much more a window counts that the second stage raises a label for
LABELS_TOO = 0.3  # weight of the loss that is about each label
STEEP = 2.0  # of the target: a window that far over the threshold, in logits, is surely to be looked at
LOSS, ESCALATED = 0.005, 0.05
SURE = 0.9  # the confidence that the cut's loss is within LOSS
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)

Input = tuple[np.ndarray, np.ndarray, np.ndarray]


def inputs(windows: distil.Windows) -> list[Input]:
    out = []
    for parts in windows.parts:
        ids = np.array(assemble(*parts)[0])
        mark = student.marks(ids)
        out.append((ids, mark, student.facts(ids, mark)))
    return out


def margins(judge: Judge, logits: np.ndarray) -> np.ndarray:
    """How far each label is over its calibrated threshold, in calibrated logits."""
    return judge.scale * logits + judge.bias - np.log(judge.at[0.001] / (1 - judge.at[0.001]))


def vectors() -> np.ndarray:
    """What a token's vector begins at: the second stage's own, on their first axes."""
    table = shipped.read(OUTPUT / "model.onnx")["emb.word"]
    table = table - table.mean(0)
    some = np.random.default_rng(SEED).choice(len(table), 8000, replace=False)
    axes = np.linalg.svd(table[some], full_matrices=False)[2][:WIDTH]
    table = table @ axes.T
    return (table / table.std() / 2).astype(np.float32)


def fit(examples: list[Input], target: np.ndarray) -> Student:
    """`target` is [windows, labels], as `margins` gives them."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    net = Student(vectors())
    others = [p for n, p in net.named_parameters() if n != "word.weight"]
    groups = [{"params": others, "weight_decay": 0.02}, {"params": [net.word.weight], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)
    moving = list(net.parameters())
    average = [p.detach().clone() for p in moving]
    labels = torch.from_numpy(np.clip(target, -6, 4).astype(np.float32))
    highest = torch.from_numpy(target.max(axis=1).astype(np.float32))
    lengths = np.array([len(ids) for ids, _, _ in examples])
    rng, steps, done = np.random.default_rng(SEED), EPOCHS * len(examples) // BATCH, 0
    while done < steps:
        for some in np.array_split(rng.permutation(len(examples)), max(1, len(examples) // (BATCH * 20))):
            groups = np.array_split(some[np.argsort(lengths[some])], max(1, len(some) // BATCH))
            for k in rng.permutation(len(groups)):
                i = groups[k]
                pace = min(1.0, (done + 1) / 100) * max(0.02, 0.5 * (1 + math.cos(math.pi * done / steps)))
                for group, rate in zip(optimizer.param_groups, (RATE, TABLE_RATE)):
                    group["lr"] = rate * pace
                found = net(*student.batch([examples[j] for j in i]))
                weight = 1 + (CAUGHT - 1) * (highest[i] >= 0).float()
                one = F.binary_cross_entropy_with_logits(found.logsumexp(1), torch.sigmoid(STEEP * highest[i]), reduction="none")
                loss = (one * weight).mean() + LABELS_TOO * F.smooth_l1_loss(found, labels[i])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(others, 1.0)
                optimizer.step()
                done += 1
                if done % 5 == 0:
                    with torch.no_grad():
                        torch._foreach_lerp_(average, [p.detach() for p in moving], 1 - min(0.99, (1 + done / 5) / (10 + done / 5)))
                if done % 200 == 0:
                    print(f"first stage: step {done} of {steps}, loss {loss.item():.4f}", flush=True)
                if done == steps:
                    break
            if done == steps:
                break
    with torch.no_grad():
        for p, a in zip(moving, average):
            p.copy_(a)
    return net


def ask(net: Student, examples: list[Input]) -> np.ndarray:
    """The network's logit for each input."""
    net.eval()
    out, order = np.zeros(len(examples)), np.argsort([len(ids) for ids, _, _ in examples])
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            i = order[start : start + BATCH]
            out[i] = net(*student.batch([examples[j] for j in i])).logsumexp(1).numpy()
    return out


class Half:
    """One half of dev: what the second stage raises a label for, and the first stage's logits."""

    def __init__(self, half: int, net: Student, judge: Judge, rows: list, scores: np.ndarray) -> None:
        collapse = np.array([r.positive for r in rows])
        caught = (judge.probability(scores) >= judge.at[0.001]).any(axis=1) & collapse
        rng = random.Random(SEED)
        # A quarter of the benign rows: their windows are many.
        chosen = [i for i, r in enumerate(rows) if caught[i] or (not r.positive and rng.random() < 0.25)]
        windows = distil.dev([i for i in chosen if rows[i].half == half], rows, f"half{half}")
        logits = ask(net, inputs(windows))
        raised = collapse[windows.row] & (margins(judge, windows.logits) >= 0).any(axis=1)
        self.raised, self.owner, self.benign = logits[raised], windows.row[raised], logits[~collapse[windows.row]]
        self.collapses = sum(r.positive and r.half == half for r in rows)

    def figures(self, at: float) -> dict:
        seen = {i: False for i in self.owner.tolist()}
        for i, logit in zip(self.owner.tolist(), self.raised):
            seen[i] |= bool(logit >= at)
        lost = sum(not s for s in seen.values())
        return {
            "caught": len(seen),
            "collapses": self.collapses,
            "lost": lost,
            "share_of_caught_lost": lost / len(seen),
            "points_lost": 100 * lost / self.collapses,
            "raised_windows": len(self.raised),
            "share_of_windows_lost": float((self.raised < at).mean()),
            "benign_windows": len(self.benign),
            "escalated": float((self.benign >= at).mean()),
        }


def ship(net: Student, data: bytes, at: float) -> None:
    """Puts the network beside the model and names it in the manifest; `calibrate` writes a manifest without one."""
    path = OUTPUT / "manifest.toml"
    whole = path.read_text(encoding="utf-8")
    scorer = Scorer()
    parts = [tuple(scorer.ids(normalize(golden[key])) for key in ("persona", "user", "text")) for golden in tomllib.loads(whole)["golden"]]
    logits = ask(net, inputs(distil.Windows(parts, np.zeros((0, len(LABELS))), np.zeros(0))))
    (OUTPUT / "first_stage.bin").write_bytes(data)
    section = [
        "[first_stage]",
        'file = "first_stage.bin"',
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
        f"tokens = {net.word.weight.shape[0]}",
        f"width = {WIDTH}",
        f"hidden = {HIDDEN}",
        f"layers = {LAYERS}",
        f"clean_below = {at:.5f}",
        "golden = [" + ", ".join(f"{logit:.4f}" for logit in logits) + "]",
        "",
    ]
    head, labels = whole.split("[[label]]", 1)
    path.write_text(head.split("[first_stage]")[0] + "\n".join(section) + "\n[[label]]" + labels, encoding="utf-8")


def recorded(net: Student, at: float) -> dict:
    """What is looked at of answers of real models, as other projects recorded them."""
    scorer = Scorer()
    windows = [w for row in recordings() for w in distil.cut(scorer, row, 12)]
    logits = ask(net, inputs(distil.Windows(windows, np.zeros((0, len(LABELS))), np.zeros(0))))
    return {"windows": len(windows), "escalated": float((logits >= at).mean())}


def run() -> None:
    judge = Judge()
    kept = BUILD / "student.pt"
    if kept.exists():
        net = Student(np.zeros((len(vectors()), WIDTH), np.float32))
        net.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True))
    else:
        windows = distil.training(WINDOWS)
        net = fit(inputs(windows), margins(judge, windows.logits))
        torch.save(net.state_dict(), kept)
    data = student.pack(net)  # from here on with the vectors that the file holds
    rows, scores = devset.scored(Scorer())
    zero, one = (Half(half, net, judge, rows, scores) for half in (0, 1))
    # The highest cut of which half 0 says with confidence that it keeps the promise.
    cuts = np.unique(np.quantile(np.concatenate([zero.benign, zero.raised]), np.linspace(0, 0.99, 400)))
    at = float(max((c for c in cuts if upper_bound(zero.figures(c)["lost"], zero.collapses, SURE) <= LOSS), default=cuts[0]))
    half = one.figures(at)
    result = {
        "chosen_on_half_0": zero.figures(at),
        "half_1": half,
        "at_shares_of_half_0": {str(share): one.figures(float(np.quantile(zero.benign, 1 - share))) for share in SHARES},
        "recorded_traffic": recorded(net, at),
        "clean_below": at,
        "windows": WINDOWS,
        "bytes": len(data),
        "width": WIDTH,
        "hidden": HIDDEN,
        "layers": LAYERS,
        "by_default": half["points_lost"] <= 100 * LOSS and half["escalated"] <= ESCALATED,
        "ships": half["points_lost"] <= 100 * LOSS and half["escalated"] <= 0.5,
    }
    (BUILD / "first_stage.json").write_text(json.dumps(result, indent=1))
    if result["ships"]:
        ship(net, data, at)
    print(json.dumps(result, indent=1))
