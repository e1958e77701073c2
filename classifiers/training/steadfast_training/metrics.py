"""Plain statistics: ranking, recall at a false-positive rate, exact confidence bounds, calibration error. No IO."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta
from sklearn.metrics import average_precision_score, roc_auc_score


def upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson upper bound of a rate."""
    return 1.0 if trials == 0 or errors >= trials else float(beta.ppf(confidence, errors + 1, trials - errors))


def conformal_threshold(benign: np.ndarray, rate: float) -> tuple[float, int]:
    """Conformal risk control: the lowest threshold whose adjusted false-positive rate (errors + 1) / (n + 1) is within `rate`.

    Returns (threshold, false positives at it); a score counts when it is at or above the threshold.
    """
    allowed = int(np.floor(rate * (len(benign) + 1) - 1))
    ordered = np.sort(benign)[::-1]
    if allowed < 0:
        # Too few rows to promise this rate: above everything seen, with a margin.
        allowed = 0
    at = float(ordered[allowed]) if allowed < len(ordered) else 0.0
    at = float(np.nextafter(np.float32(at), np.float32(2)))
    return at, int((benign >= at).sum())


def shared_thresholds(benign: np.ndarray, rate: float) -> tuple[np.ndarray, int]:
    """Conformal risk control of several labels at once: thresholds that let through equally many harmless rows each, the most for which the
    adjusted rate of rows that any of them stops, (errors + 1) / (n + 1), is within `rate`. `benign` is [rows, labels].

    Returns (thresholds, rows that any of them stops). One label at its own rate is the special case of one column.
    """
    n = len(benign)
    ordered = np.sort(benign, axis=0)[::-1]
    best = np.nextafter(ordered[0].astype(np.float32), np.float32(2)).astype(float)
    for allowed in range(1, n):
        at = np.nextafter(ordered[allowed].astype(np.float32), np.float32(2)).astype(float)
        if (int((benign >= at).any(axis=1).sum()) + 1) / (n + 1) > rate:
            break
        best = at
    return best, int((benign >= best).any(axis=1).sum())


def recall_at(positive: np.ndarray, benign: np.ndarray, rate: float) -> float:
    if len(positive) == 0 or len(benign) == 0:
        return float("nan")
    at = np.quantile(benign, 1 - rate, method="higher")
    return float((positive > at).mean())


def ranking(positive: np.ndarray, benign: np.ndarray) -> dict:
    if len(positive) == 0 or len(benign) == 0:
        return {}
    truth = np.r_[np.ones(len(positive)), np.zeros(len(benign))]
    scores = np.r_[positive, benign]
    return {
        "positives": int(len(positive)),
        "benign": int(len(benign)),
        "auroc": float(roc_auc_score(truth, scores)),
        "average_precision": float(average_precision_score(truth, scores)),
        "recall_at_1_percent": recall_at(positive, benign, 0.01),
        "recall_at_0_1_percent": recall_at(positive, benign, 0.001),
    }


def calibration_error(probability: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.digitize(probability, edges) - 1, 0, bins - 1)
    error = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            error += inside.mean() * abs(probability[inside].mean() - truth[inside].mean())
    return float(error)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))
