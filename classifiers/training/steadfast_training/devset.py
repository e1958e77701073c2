"""The rows that calibrate and evaluate: dev only, a fixed sample of the large sources, scored once and kept.

Half 0 chooses calibration and thresholds, half 1 is reported. It must not know thresholds.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from . import sources
from .scoring import Scorer, score_rows
from .settings import BUILD, DATA, INDEX, LABELS, OUTPUT, PACKAGE
from .sources import Row

# Most rows of a source; 0 skips. Every permissive and non-permissive source may evaluate.
CAPS = {
    "alpaca_eval": 900,
    "legal_overrefusal": 700,
    "do-not-answer_reviews": 300,
    "llm_debate": 300,
    "logickor": 400,
    "shaberi": 700,
    "smile": 500,
    "chat_haruhi": 400,
    "real_persona_chat": 300,
    "schema_guided_dialogue": 300,
    "synthetic_persona_chat": 400,
    "xpersona": 500,
    "em_bad_advice": 250,
    "anthropic_evals_statements": 500,
}
# Harmless rows of the training split of sources that are never trained on: they help to choose thresholds (half 0), nothing else.
MORE = {"alpaca_eval": 1200, "do-not-answer": 700, "do-not-answer_reviews": 200, "legal_overrefusal": 500, "llm_debate": 300, "logickor": 300, "schema_guided_dialogue": 200}
# Whole files that are never trained on may evaluate whatever their split says.
WHOLE = {"do_not_answer", "alpaca_eval_breaks", "logickor_breaks", "ai_psychosis_spirals"}


def rows() -> list[Row]:
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is missing: set STEADFAST_SHARED to the folder that holds data/ and traffic/")
    chosen: list[Row] = []
    by_source: dict[str, list[Row]] = {}
    for row in sources.read_all():
        if row.split == "dev" or row.source in WHOLE:
            by_source.setdefault(row.source, []).append(row)
    for source, group in sorted(by_source.items()):
        group.sort(key=lambda r: hashlib.sha256(r.id.encode()).hexdigest())
        chosen += group[: CAPS.get(source, 10_000)]
    more: dict[str, list[Row]] = {}
    reported = {row.prompt for row in chosen if row.half == 1}
    for row in sources.read_negatives() + sources.read_persona():
        if row.source in MORE and row.split == "train" and row.prompt not in reported:
            more.setdefault(row.source, []).append(replace(row, half=0))
    for source, group in sorted(more.items()):
        group.sort(key=lambda r: hashlib.sha256(r.id.encode()).hexdigest())
        chosen += group[: MORE[source]]
    return chosen


def scored(scorer: Scorer, half: int | None = None, least: bool = False) -> tuple[list[Row], np.ndarray]:
    """Rows and their highest logits [rows, labels], of one half or of both; kept until the model, the rows or the layout change.

    `least` leaves out the rows of the training split that only help to choose thresholds.
    """
    if half is None:
        parts = [scored(scorer, h) for h in (0, 1)]
        return parts[0][0] + parts[1][0], np.concatenate([logits for _, logits in parts])
    chosen = [r for r in rows() if r.half == half]
    # Scores depend on how ids are laid out and windows cut, so that code is part of the key.
    code = b"".join((PACKAGE / name).read_bytes() for name in ("layout.py", "scoring.py", "settings.py", "windows.py", "normalize.py"))
    files = (OUTPUT / "model.onnx").read_bytes() + (OUTPUT / "tokenizer.json").read_bytes()
    key = hashlib.sha256(files + code + "".join(r.id for r in chosen).encode()).hexdigest()
    cache = BUILD / f"dev{half}.npz"
    logits = np.zeros((0, len(LABELS)), np.float32)
    if cache.exists():
        saved = np.load(cache)
        if str(saved["key"]) == key:
            logits = saved["logits"]
    if least:
        chosen = [r for r in chosen if r.split == "dev" or r.source in WHOLE]
    BUILD.mkdir(parents=True, exist_ok=True)
    while len(logits) < len(chosen):  # kept as it goes: a stop loses little
        part = chosen[len(logits) : len(logits) + 400]
        logits = np.concatenate([logits, score_rows(scorer, part, name=f"half {half} from row {len(logits)} of {len(chosen)}")])
        np.savez(cache, key=key, logits=logits)
    return chosen, logits[: len(chosen)]


def truth(chosen: list[Row]) -> np.ndarray:
    """[rows, labels]: 1 present, 0 absent, nan unknown (the source was not looked at for it)."""
    table = np.zeros((len(chosen), len(LABELS)))
    for i, row in enumerate(chosen):
        if row.positive and not row.complete:
            table[i] = np.nan
        for label in row.labels:
            table[i, INDEX[label]] = 1.0
    return table


def unsure(row: Row, label: str) -> bool:
    """Benign rows whose truth for one label depends on the persona's limits: a played person does claim to be one."""
    return label in ("human_claim", "identity_swap") and row.source in (
        "chat_haruhi",
        "real_persona_chat",
        "synthetic_persona_chat",
        "xpersona",
    )
