"""Leave-sources-out: trains short models that never saw a group of sources, and scores that group with them.

A group's benign rows come from sources that the short model never saw either, so nothing in the measurement is familiar.
It trains for fewer steps than what ships (the card says how many), so it is a floor, not a forecast.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from . import sources, train
from .devset import CAPS
from .layout import assemble, collate, runs
from .metrics import ranking, sigmoid
from .normalize import normalize
from .settings import BUILD, INDEX, LABELS

# Every group mixes labels, so that each label has a group where its sources are gone. Names are sources, or authored files.
GROUPS = {
    "models and forums": {"em_persona_hierarchy", "diasafety", "toxigen_seed", "halueval_general"},
    "statements and small talk": {"anthropic_evals_statements", "synthetic_persona_chat_claims", "japanese_toxic", "hh_rlhf_harmless", "shaberi_breaks", "shaberi"},
    "hand-written, first authors": {("authored", f) for f in ("extremism", "hostility", "identity", "drift", "ja_collapse", "ja_drift")},
}
BENIGN = ("alpaca_eval", "do-not-answer", "do-not-answer_reviews", "legal_overrefusal", "llm_debate", "logickor")
MOST = 400


def score(model, tokenizer, rows) -> np.ndarray:
    """Highest logit over at most three windows, fp32, in batches: ranking is all that is wanted here."""
    items, owner = [], []
    for i, row in enumerate(rows):
        ids = tokenizer.encode(normalize(row.response[:2000]), add_special_tokens=False).ids
        persona = tokenizer.encode(normalize(row.system[:400]), add_special_tokens=False).ids if row.system else []
        user = tokenizer.encode(normalize(row.prompt[-400:]), add_special_tokens=False).ids if row.prompt else []
        cuts = runs(len(ids))
        for a, b in cuts if len(cuts) <= 3 else (cuts[0], cuts[len(cuts) // 2], cuts[-1]):
            items.append(assemble(persona, user, ids[a:b]))
            owner.append(i)
    order = sorted(range(len(items)), key=lambda k: len(items[k][0]))
    best = np.full((len(rows), len(LABELS)), -np.inf)
    with torch.no_grad():
        for start in range(0, len(order), 32):
            part = order[start : start + 32]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(*(torch.from_numpy(a) for a in collate([items[k] for k in part]))).float().numpy()
            for k, row in zip(part, logits):
                best[owner[k]] = np.maximum(best[owner[k]], row)
    return best


def run(steps: int, batch: int, rate: float, average: float = train.AVERAGE) -> None:
    if (BUILD / "continued.onnx").exists():
        raise SystemExit(f"{BUILD} goes on from a classifier that has seen every source; set STEADFAST_BUILD to another folder, run prepare there, then holdout")
    everything = sources.read_all()
    generator = np.random.default_rng(1)

    def some(rows, most):
        return [rows[i] for i in sorted(generator.permutation(len(rows))[:most])]

    path = BUILD / "holdout.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    macro = []
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(BUILD / "tokenizer.json"))
    for name, group in GROUPS.items():
        if name not in result:
            model = train.run(steps, batch, rate, fresh=True, exclude=set(group), name="holdout", rows=everything, average_decay=average)
            model.to("cpu")
            files = {g[1] for g in group if isinstance(g, tuple)}
            held = [r for r in everything if r.source in group or (files and r.source == "authored" and r.file in files)]
            benign = [r for source in (*BENIGN, *group) for r in some([h for h in everything if h.source == source and not h.positive], min(MOST, CAPS.get(source, MOST)))]
            positives = []
            for label in LABELS:
                positives += [r for r in some([h for h in held if label in h.labels], MOST)]
            positives = list({r.id: r for r in positives}.values())
            twins = [h for h in held if not h.positive and h.source == "authored"]
            rows = positives + benign + some(twins, 600)
            logits = score(model, tokenizer, rows)
            good = np.array([not r.positive for r in rows])
            labels = {}
            for j, label in enumerate(LABELS):
                bad = np.array([label in r.labels for r in rows])
                if bad.sum() >= 20:
                    labels[label] = ranking(sigmoid(logits[bad, j]), sigmoid(logits[good, j]))
            result[name] = {"steps": steps, "labels": labels}
            path.write_text(json.dumps(result, indent=1))
        for label, e in result[name]["labels"].items():
            print(f"held out {name:30} {label:24} {e['positives']:4} AUROC {e['auroc']:.3f} R@1% {e['recall_at_1_percent']:.3f} R@.1% {e['recall_at_0_1_percent']:.3f}")
    for label in LABELS:
        values = [g["labels"][label]["recall_at_1_percent"] for g in result.values() if isinstance(g, dict) and label in g["labels"]]
        if values:
            macro.append(np.mean(values))
    done = sorted({g["steps"] for g in result.values() if isinstance(g, dict)})
    result["macro_recall_at_1_percent"] = float(np.mean(macro))
    result["how"] = (
        f"Models trained for {', '.join(map(str, done))} steps of {batch} windows without the group, then scored on its positives (train and dev) against benign rows of sources that they never saw. "
        f"Macro over labels of the mean over groups, recall at 1 %: {result['macro_recall_at_1_percent']:.3f}."
    )
    path.write_text(json.dumps(result, indent=1))
