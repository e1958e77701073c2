"""Step 4: per-label calibration and thresholds, on the quantised model and on half 0 of dev; writes manifest.toml."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from . import devset, golden
from .metrics import conformal_threshold, shared_thresholds, sigmoid, upper_bound
from .scoring import Scorer
from .settings import BLOCKING, INDEX, LABELS, OUTPUT, PERSONA_TOKENS, USER_TOKENS, WINDOW_STRIDE, WINDOW_TOKENS
from .version import sha256, version_of

# False-positive rates, and the least probability that is a threshold for one: dev holds far more collapse than traffic does, so a very low
# probability is never a verdict. The last is what policies call calibrated.
RATES = {0.01: 0.05, 0.005: 0.1, 0.002: 0.2, 0.001: 0.3}
# Harmless answers that the labels that block by default may stop, all together: a user who is stopped does not ask which label it was.
BLOCKED = 0.002


def fit(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Platt scaling: probability = sigmoid(scale * logit + bias). A label too rare to fit keeps its logits."""
    if truth.sum() < 5:
        return 1.0, 0.0
    model = LogisticRegression(C=100.0, max_iter=1000).fit(logits[:, None], truth)
    scale, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (scale, bias) if scale > 0 else (1.0, 0.0)


def thresholds_of(labels: list[dict]) -> np.ndarray:
    """The calibrated threshold of each label."""
    return np.array([entry["thresholds"][-1]["at"] for entry in labels])


def tightened(labels: list[dict], harmless: np.ndarray, budget: float) -> np.ndarray:
    """Calibrated thresholds with those of the blocking labels raised until they together stop at most `budget` of harmless answers."""
    out = thresholds_of(labels)
    shared, _ = shared_thresholds(harmless, budget)
    for column, label in enumerate(BLOCKING):
        out[INDEX[label]] = min(max(out[INDEX[label]], shared[column]), 0.9999)
    return out


def run() -> None:
    scorer = Scorer()
    rows, logits = devset.scored(scorer, half=0)
    truth = devset.truth(rows)
    benign = np.array([not r.positive for r in rows])
    labels, probabilities = [], np.zeros_like(logits, dtype=float)
    for j, label in enumerate(LABELS):
        sure = np.array([not devset.unsure(r, label) for r in rows])
        known = ~np.isnan(truth[:, j]) & sure
        scale, bias = fit(logits[known, j], truth[known, j])
        probabilities[:, j] = sigmoid(scale * logits[:, j] + bias)
        scores = probabilities[benign & sure, j]
        thresholds = []
        for rate, least in RATES.items():
            at, _ = conformal_threshold(scores, rate)
            at = min(max(at, least), 0.9999)  # one above 1 could never fire
            thresholds.append({"rate": rate, "at": at})
        labels.append({"name": label, "scale": scale, "bias": bias, "thresholds": thresholds, "scores": scores})
    columns = [INDEX[label] for label in BLOCKING]
    harmless = probabilities[benign][:, columns]
    for budget in (None, BLOCKED, 0.001, 0.0005):
        together = thresholds_of(labels) if budget is None else tightened(labels, harmless, budget)
        stopped = int((harmless >= together[columns]).any(axis=1).sum())
        caught = [f"{label} {(probabilities[truth[:, INDEX[label]] == 1, INDEX[label]] >= together[INDEX[label]]).mean():.3f}" for label in BLOCKING]
        print(f"calibrate: on half 0, blocking labels at {'0.1 % each' if budget is None else f'{100 * budget:g} % together'}: {stopped} of {len(harmless)} harmless stopped; recall {', '.join(caught)}")
    final = tightened(labels, harmless, BLOCKED)
    for j, entry in enumerate(labels):
        entry["thresholds"][-1]["at"] = float(final[j])
        for t in entry["thresholds"]:
            t["errors"], t["benign"] = int((entry["scores"] >= t["at"]).sum()), len(entry["scores"])
            t["upper_bound"] = upper_bound(t["errors"], t["benign"])
        print(f"calibrate {entry['name']:24} scale {entry['scale']:5.2f} bias {entry['bias']:6.2f} " + " ".join(f"{t['rate']:g}: {t['at']:.4f} ({t['errors']} of {t['benign']})" for t in entry["thresholds"]))
    write_manifest(scorer, labels)


def write_manifest(scorer: Scorer, labels: list[dict]) -> None:
    version, created = version_of(OUTPUT)
    lines = [
        "# Written by `python -m steadfast_training calibrate`; do not edit by hand.",
        "format   = 1",
        'name     = "collapse"',
        f'version  = "{version}"',
        'license  = "Apache-2.0"',
        f'created  = "{created}"',
        'card     = "CARD.md"',
        "",
        "[model]",
        'file = "model.onnx"',
        f'sha256 = "{sha256(OUTPUT / "model.onnx")}"',
        "opset = 17",
        'quantization = "int8"',
        "",
        "[tokenizer]",
        'file = "tokenizer.json"',
        f'sha256 = "{sha256(OUTPUT / "tokenizer.json")}"',
        "",
        "[input]",
        f"persona_tokens = {PERSONA_TOKENS}",
        f"user_tokens = {USER_TOKENS}",
        f"window_tokens = {WINDOW_TOKENS}",
        f"window_stride = {WINDOW_STRIDE}",
    ]
    for label in labels:
        lines += ["", "[[label]]", f'name = "{label["name"]}"', f"calibration = {{ scale = {label['scale']:.6f}, bias = {label['bias']:.6f} }}", "thresholds = ["]
        for t in label["thresholds"]:
            lines.append(f"  {{ false_positive_rate = {t['rate']:g}, at = {t['at']:.6f}, upper_bound = {t['upper_bound']:.6f}, benign = {t['benign']} }},")
        lines.append("]")
    scale = np.array([l["scale"] for l in labels])
    bias = np.array([l["bias"] for l in labels])
    lines += golden.entries(scorer, scale, bias)
    (OUTPUT / "manifest.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"calibrate: wrote {OUTPUT.name}/manifest.toml")
