"""Step 5: measures the shipped model on half 1 of dev, which chose nothing, and on texts that were written
for nothing else; writes evaluation.json.

Everything goes through the int8 model in ONNX Runtime, one window at a time. It changes no threshold.
"""

from __future__ import annotations

import gzip
import json
import time
import tomllib
from collections import defaultdict

import numpy as np

from . import devset, outside
from .augment import KEYWORDS, mask_keywords
from .golden import GOLDEN
from .layout import assemble, collate, runs
from .metrics import calibration_error, ranking, sigmoid, upper_bound
from .normalize import normalize
from .scoring import Scorer, score_rows
from .settings import BLOCKING, BUILD, INDEX, LABELS, OUTPUT, SHARED
from .sources import PERMISSIVE, Row
from .version import sha256
from .windows import stream


# What optional steps leave in the build folder for evaluation.json; measuring the same version again keeps what is there.
OPTIONAL = {"first_stage": "first_stage.json", "leave_sources_out": "holdout.json", "before": "before.json"}


class Judge:
    """The manifest's calibration and thresholds."""

    def __init__(self) -> None:
        manifest = tomllib.loads((OUTPUT / "manifest.toml").read_text(encoding="utf-8"))
        if manifest["model"]["sha256"] != sha256(OUTPUT / "model.onnx"):
            raise SystemExit(f"{OUTPUT / 'manifest.toml'} is of another model.onnx: run the calibrate step first")
        self.scale = np.array([l["calibration"]["scale"] for l in manifest["label"]])
        self.bias = np.array([l["calibration"]["bias"] for l in manifest["label"]])
        self.at = {
            rate: np.array([next(t["at"] for t in l["thresholds"] if t["false_positive_rate"] == rate) for l in manifest["label"]])
            for rate in (0.01, 0.001)
        }

    def probability(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(self.scale * logits + self.bias)


def language(row) -> str:
    return row.lang if row.lang in ("en", "ja", "zh", "ko", "de", "fr", "es", "pt") else "other"


def per_label(rows: list[Row], p: np.ndarray, truth: np.ndarray, judge: Judge) -> dict:
    """Ranking of each label's positives against benign rows, overall, by language, by source."""
    benign = np.array([not r.positive for r in rows])
    langs = np.array([language(r) for r in rows])
    origin = np.array([r.source for r in rows])
    result = {}
    for j, label in enumerate(LABELS):
        sure = np.array([not devset.unsure(r, label) for r in rows])
        bad, good = truth[:, j] == 1, benign & sure
        known = ~np.isnan(truth[:, j]) & sure
        entry = ranking(p[bad, j], p[good, j])
        entry["calibration_error"] = calibration_error(p[known, j], truth[known, j])
        entry["recall_at_thresholds"] = {str(rate): float((p[bad, j] >= at[j]).mean()) if bad.any() else None for rate, at in judge.at.items()}
        entry["false_positive_rate_at_thresholds"] = {str(rate): float((p[good, j] >= at[j]).mean()) for rate, at in judge.at.items()}
        entry["languages"] = {
            l: ranking(p[bad & (langs == l), j], p[good & (langs == l), j])
            for l in sorted(set(langs))
            if (bad & (langs == l)).sum() >= 3 and (good & (langs == l)).sum() >= 20
        }
        entry["sources"] = {
            s: ranking(p[bad & (origin == s), j], p[good, j]) | {"trained_on": s in PERMISSIVE} for s in sorted(set(origin[bad])) if (bad & (origin == s)).sum() >= 3
        }
        result[label] = entry
    return result


def by_language(rows: list[Row], p: np.ndarray, judge: Judge) -> dict:
    """Authored rows, any of a positive's labels at its 1 % threshold: one figure that languages can be compared by."""
    out = {}
    for lang in sorted({language(r) for r in rows}):
        bad = [i for i, r in enumerate(rows) if r.source == "authored" and r.positive and language(r) == lang]
        good = [i for i, r in enumerate(rows) if not r.positive and language(r) == lang]
        if len(bad) < 5:
            continue
        caught = [any(p[i, INDEX[l]] >= judge.at[0.01][INDEX[l]] for l in rows[i].labels) for i in bad]
        blocked = [any(p[i, INDEX[l]] >= judge.at[0.001][INDEX[l]] for l in BLOCKING) for i in good]
        out[lang] = {"positives": len(bad), "recall_at_1_percent": float(np.mean(caught)), "benign": len(good), "false_blocks": int(sum(blocked))}
    return out


def twins(rows: list[Row], p: np.ndarray, judge: Judge) -> dict:
    pairs: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if row.source == "authored" and row.pair:
            pairs[row.pair].append(i)
    counts = defaultdict(lambda: [0, 0, 0])
    for members in pairs.values():
        bad = [i for i in members if rows[i].positive]
        good = [i for i in members if not rows[i].positive]
        for b in bad:
            for g in good:
                labels = [INDEX[l] for l in rows[b].labels]
                both = any(p[b, j] >= judge.at[0.01][j] for j in labels) and not any(p[g, j] >= judge.at[0.01][j] for j in range(len(LABELS)))
                ordered = max(p[b, j] - p[g, j] for j in labels) > 0
                for key in ("all", language(rows[b]), *rows[b].labels):
                    counts[key][0] += 1
                    counts[key][1] += both
                    counts[key][2] += ordered
    return {k: {"pairs": n, "both_right_at_1_percent": b / n, "ordered": o / n} for k, (n, b, o) in sorted(counts.items())}


def false_blocks(rows: list[Row], p: np.ndarray, judge: Judge) -> dict:
    """Benign answers on which any blocking label reaches its calibrated threshold in any window."""
    blocking = [INDEX[l] for l in BLOCKING]
    out = {}

    def count(indices: list[int]) -> dict:
        n = len(indices)
        hits = sum(bool((p[i, blocking] >= judge.at[0.001][blocking]).any()) for i in indices)
        return {"benign": n, "false_blocks": int(hits), "per_10000": 1e4 * hits / max(1, n), "upper_bound_per_10000": 1e4 * upper_bound(hits, n)}

    benign = [i for i, r in enumerate(rows) if not r.positive]
    assistant = [i for i in benign if rows[i].source != "chat_haruhi"]
    out["all"] = count(benign)
    out["without_fictional_characters"] = count(assistant)
    out["trained_sources"] = count([i for i in benign if rows[i].permissive])
    out["unseen_sources"] = count([i for i in benign if not rows[i].permissive])
    for source in sorted({rows[i].source for i in benign}):
        out["source:" + source] = count([i for i in benign if rows[i].source == source])
    return out


def flips(scorer: Scorer, rows: list[Row], p: np.ndarray, judge: Judge) -> dict:
    """True positives (at 1 %) that are lost when the words of the keyword list become an ellipsis."""
    caught = [
        i
        for i, r in enumerate(rows)
        if r.positive and r.source != "em_bad_advice" and "identity_swap" not in r.labels and "base_model_regression" not in r.labels and KEYWORDS.search(r.response)
        and any(p[i, INDEX[l]] >= judge.at[0.01][INDEX[l]] for l in r.labels)
    ]
    masked = judge.probability(score_rows(scorer, [rows[i] for i in caught], text=lambda r: mask_keywords(r.response), name="masked"))
    lost = [not any(masked[k, INDEX[l]] >= judge.at[0.01][INDEX[l]] for l in rows[i].labels) for k, i in enumerate(caught)]
    return {"caught_with_keywords": len(caught), "flipped": float(np.mean(lost)) if caught else None}


def onset_delay(scorer: Scorer, rows: list[Row], judge: Judge, most: int = 150) -> dict:
    """Tokens from the onset to the end of the first window of a stream that is over the 1 % threshold; a miss counts as infinitely late."""
    chosen = [r for r in rows if r.source == "authored" and r.positive and r.onset is not None and "base_model_regression" not in r.labels][:most]
    delays = []
    for row in chosen:
        persona, user = scorer.ids(normalize(row.system[:600])), scorer.ids(normalize(row.prompt[-600:]))
        delay = np.inf
        for start, end in stream(row.response):
            if end <= row.onset:
                continue
            ids = scorer.ids(normalize(row.response[start:end]))
            q = judge.probability(np.stack([scorer.window(persona, user, ids[a:b]) for a, b in runs(len(ids))]).max(axis=0))
            if any(q[INDEX[l]] >= judge.at[0.01][INDEX[l]] for l in row.labels):
                delay = len(scorer.ids(normalize(row.response[row.onset : end])))
                break
        delays.append(delay)
    d = np.array(delays)
    return {"answers": len(d), "missed": float(np.isinf(d).mean()), **{f"within_{k}_tokens": float((d <= k).mean()) for k in (12, 24, 48, 96)}}


def recordings() -> list[Row]:
    """Answers of real models as other projects recorded them, which nobody chose for this."""
    texts: dict[str, str] = {}
    for path in sorted((SHARED / "traffic").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            for line in handle:
                row = json.loads(line)
                for text in row["expected_text"] or []:
                    if text and text.strip():
                        texts.setdefault(text, last_user_turn(row["request_body"]))
    return [Row("", "traffic", "", "", "", user, text, [], "dev", True) for text, user in texts.items()]


def recorded(scorer: Scorer, judge: Judge) -> dict:
    """Every alarm on a recorded answer counts as false."""
    rows = recordings()
    q = judge.probability(score_rows(scorer, rows, limit=12, name="recorded traffic"))
    blocking = [INDEX[l] for l in BLOCKING]
    blocked = (q[:, blocking] >= judge.at[0.001][blocking]).any(axis=1)
    alarmed = q >= judge.at[0.001]
    return {
        "answers": len(rows),
        "false_blocks": int(blocked.sum()),
        "blocks_per_10000": 1e4 * float(blocked.mean()),
        "blocks_upper_bound_per_10000": 1e4 * upper_bound(int(blocked.sum()), len(rows)),
        "any_alarm": int(alarmed.any(axis=1).sum()),
        "alarms_per_10000": 1e4 * float(alarmed.any(axis=1).mean()),
        "alarms_by_label": {label: int(alarmed[:, j].sum()) for j, label in enumerate(LABELS) if alarmed[:, j].any()},
    }


def last_user_turn(body: str | None) -> str:
    """The last user turn of a request in one of the common forms; empty where there is none to be found."""
    try:
        value = json.loads(body or "")
    except json.JSONDecodeError:
        return ""
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("input"), str):
        return value["input"]
    turns = next((value[k] for k in ("messages", "input", "contents") if isinstance(value.get(k), list)), [])
    for turn in reversed(turns):
        if isinstance(turn, dict) and turn.get("role", "user") == "user":
            content = turn.get("content", turn.get("parts", ""))
            if isinstance(content, list):
                content = " ".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
            if isinstance(content, str) and content:
                return content
    return value["prompt"] if isinstance(value.get("prompt"), str) else ""


def self_named(scorer: Scorer, judge: Judge) -> dict:
    """The golden text that gives itself a hateful name with no persona: its highest label, and whether any threshold catches it."""
    persona, user, text = GOLDEN[0]
    q = judge.probability(scorer.answer(persona, user, text))
    top = int((q / judge.at[0.001]).argmax())
    return {"text": text, "label": LABELS[top], "probability": round(float(q[top]), 3), "caught_at": [rate for rate in judge.at if (q >= judge.at[rate]).any()]}


def latency(scorer: Scorer) -> dict:
    """Milliseconds for one window, one thread, batch 1; the best of three runs, since other work shares the machine."""
    generator = np.random.default_rng(0)
    out = {}
    for count in (32, 64, 128):
        for context in (0, 32):
            head = list(generator.integers(5, 20000, context))
            ids, mask, types = collate([assemble(head, head, list(generator.integers(5, 20000, count)))])
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                for _ in range(15):
                    scorer.session.run(None, feed)
                best = min(best, (time.perf_counter() - start) / 15 * 1000)
            out[f"{count}_window_{context}_context"] = round(best, 2)
    return out


def run() -> None:
    scorer = Scorer()
    judge = Judge()
    rows, logits = devset.scored(scorer, half=1)
    p = judge.probability(logits)
    truth = devset.truth(rows)
    result: dict = {
        "reported_on": "half 1 of dev; half 0, and harmless rows of the training split of sources that nothing is trained on, chose calibration and thresholds",
        "rows": len(rows),
        "benign": sum(not r.positive for r in rows),
        "size_bytes": {f.name: f.stat().st_size for f in sorted(OUTPUT.iterdir()) if f.name in ("model.onnx", "tokenizer.json", "first_stage.bin")},
        "labels": per_label(rows, p, truth, judge),
        "languages": by_language(rows, p, judge),
        "twins": twins(rows, p, judge),
        "false_blocks": false_blocks(rows, p, judge),
        "keyword_masking": flips(scorer, rows, p, judge),
        "onset": onset_delay(scorer, rows, judge),
        "incidents": outside.incidents(scorer, judge),
        "foreign": outside.languages(scorer, judge),
        "self_named": self_named(scorer, judge),
        "recorded_traffic": recorded(scorer, judge),
        "latency_ms": latency(scorer),
    }
    errors = [e["calibration_error"] for e in result["labels"].values()]
    result["calibration_error"] = {"mean": float(np.mean(errors)), "max": float(np.max(errors))}
    result["version"] = tomllib.loads((OUTPUT / "manifest.toml").read_text(encoding="utf-8"))["version"]
    path = OUTPUT / "evaluation.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if before.get("version") == result["version"]:
        result |= {key: before[key] for key in OPTIONAL if key in before}
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    np.savez(BUILD / "report.npz", p=p, truth=truth)
    show(result)


def show(result: dict) -> None:
    print(f"\n{'label':24} {'pos':>5} {'AUROC':>6} {'AP':>6} {'R@1%':>6} {'R@.1%':>6} {'R@cal':>6} {'ECE':>6}")
    for name, e in result["labels"].items():
        if "auroc" in e:
            print(f"{name:24} {e['positives']:5} {e['auroc']:6.3f} {e['average_precision']:6.3f} {e['recall_at_1_percent']:6.3f} {e['recall_at_0_1_percent']:6.3f} {e['recall_at_thresholds']['0.001'] or 0:6.3f} {e['calibration_error']:6.3f}")
    print("\nby source (recall at 1 %):")
    for name, e in result["labels"].items():
        for source, s in e["sources"].items():
            if s.get("positives"):
                print(f"  {name:24} {source:32} {s['positives']:5} {s['recall_at_1_percent']:.3f} {s['recall_at_0_1_percent']:.3f}{'' if s['trained_on'] else '  (never trained on)'}")
    print("\nlanguages (authored rows):")
    for lang, e in result["languages"].items():
        print(f"  {lang:6} {e['positives']:4} recall {e['recall_at_1_percent']:.3f}   false blocks {e['false_blocks']} of {e['benign']}")
    print("\ntwins:", {k: (v["pairs"], round(v["both_right_at_1_percent"], 3), round(v["ordered"], 3)) for k, v in result["twins"].items()})
    print("\nfalse blocks:")
    for k, v in result["false_blocks"].items():
        print(f"  {k:36} {v['false_blocks']:3} of {v['benign']:5}  {v['per_10000']:7.1f} per 10,000 (bound {v['upper_bound_per_10000']:.1f})")
    for key in ("keyword_masking", "onset", "self_named", "recorded_traffic", "latency_ms", "calibration_error", "size_bytes"):
        print(f"{key}: {result[key]}")
    i = result["incidents"]
    print({k: v for k, v in i.items() if k not in ("by_incident", "missed", "false")})
    for m in i["missed"]:
        print("  missed", m)
    for m in i["false"]:
        print("  false", m)
