"""Step 6: turns evaluation.json into CARD.md and two plots. Every figure in the card comes from the file; none is typed here."""

from __future__ import annotations

import json
from collections import Counter

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from . import devset, shipped, sources
from .evaluate import OPTIONAL
from .settings import BLOCKING, BUILD, LABELS, OUTPUT

ATTRIBUTION = {
    "authored": "written for this project",
    "anthropic_evals_statements": "anthropics/evals",
    "diasafety": "thu-coai/DiaSafety",
    "em_bad_advice": "Apoorvabatham/Persona-Hierarchy-in-Emergent-Misalignment",
    "em_persona_hierarchy": "Apoorvabatham/Persona-Hierarchy-in-Emergent-Misalignment",
    "halueval_general": "RUCAIBox/HaluEval",
    "hh_rlhf_harmless": "anthropics/hh-rlhf",
    "japanese_toxic": "inspection-ai/japanese-toxic-dataset",
    "pt_llm_comparison": "caiocezarq/llm-comparison-benchmark",
    "refusal_direction": "andyrdt/refusal_direction",
    "shaberi": "shisa-ai/shaberi",
    "shaberi_breaks": "shisa-ai/shaberi",
    "smile": "qiuhuachuan/smile",
    "synthetic_persona_chat": "google-research-datasets/Synthetic-Persona-Chat",
    "synthetic_persona_chat_claims": "google-research-datasets/Synthetic-Persona-Chat",
    "tau_airline": "sierra-research/tau-bench",
    "toxigen_seed": "microsoft/TOXIGEN",
    "xpersona": "HLTCHKUST/Xpersona",
}
# How a version's training began; what else is said of how it was made holds for all of them.
BEGUN = {
    "0.2.0": "One run from the pretrained encoder.",
    "0.3.0": "Goes on from the int8 weights that 0.2.0 shipped, with more hand-written pairs, and is the mean of those weights and of what they became.",
    "0.4.0": "Goes on from the int8 weights that 0.3.0 shipped, with 2,060 more hand-written pairs, and is the mean of those weights and of what they became.",
    "0.5.0": "Goes on from the int8 weights that 0.4.0 shipped, with 1,873 more hand-written pairs, and is the mean of those weights and of what they became.",
    "0.6.0": "Goes on from the int8 weights that 0.5.0 shipped, with 4,361 more hand-written pairs in nineteen languages and 4,349 words of eleven in place of pieces that no text used, and is three quarters of the way from those weights to what they became.",
}


def number(value, digits: int = 3) -> str:
    return "–" if value is None or (isinstance(value, float) and np.isnan(value)) else f"{value:.{digits}f}"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(map(str, row)) + " |" for row in body), ""]


def targets(result: dict) -> list[list[str]]:
    """Each target of the project, what was reached, and by how much it was missed."""
    labels = result["labels"]
    three = ("extremist_identity", "hate", "hostility")
    blocks = result["false_blocks"]["all"]
    seen = result["twins"].get("all", {})
    rows: list[tuple[str, float, str, float | None]] = []
    held = result.get("leave_sources_out", {}).get("macro_recall_at_1_percent")
    rows.append(("recall at 1 % FPR with sources left out, macro", 0.80, ">=", held))
    for label in three:
        rows.append((f"recall at 0.1 % FPR on dev, {label}", 0.95, ">=", labels[label].get("recall_at_0_1_percent")))
    rows.append(("false blocks per 10,000 benign answers", 5, "<=", blocks["per_10000"]))
    rows.append(("its upper 95 % bound", 10, "<=", blocks["upper_bound_per_10000"]))
    rows.append(("twin pairs both right (1 % thresholds)", 0.93, ">=", seen.get("both_right_at_1_percent")))
    rows.append(("true positives flipped by masking keywords", 0.15, "<=", result["keyword_masking"]["flipped"]))
    i = result["incidents"]
    rows.append(("incidents caught (1 % thresholds)", 1.0, ">=", i["caught_at_1_percent"] / max(1, i["positives"])))
    languages = result["languages"]
    if "ja" in languages and "en" in languages:
        gap = languages["en"]["recall_at_1_percent"] - languages["ja"]["recall_at_1_percent"]
        rows.append(("Japanese behind English in recall at 1 % (authored rows)", 0.08, "<=", gap))
    rows.append(("expected calibration error, mean over labels", 0.03, "<=", result["calibration_error"]["mean"]))
    rows.append(("size on disk, MB", 30, "<=", sum(result["size_bytes"].values()) / 1e6))
    out = []
    for name, goal, way, value in rows:
        if value is None:
            out.append([name, f"{way} {goal:g}", "not measured", ""])
            continue
        met = value >= goal if way == ">=" else value <= goal
        out.append([name, f"{way} {goal:g}", number(value), "met" if met else f"missed by {abs(value - goal):.3g}"])
    return out


def plots(result: dict) -> None:
    saved = np.load(BUILD / "report.npz")
    p, truth = saved["p"], saved["truth"]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    names = [l for l in LABELS if "auroc" in result["labels"][l]]
    y = np.arange(len(names))
    for shift, key, text in ((-0.2, "recall_at_1_percent", "1 %"), (0.2, "recall_at_0_1_percent", "0.1 %")):
        axes[0].barh(y + shift, [result["labels"][l][key] for l in names], 0.38, label=f"at {text} false positives")
    axes[0].set_yticks(y, names, fontsize=7)
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, 1)
    axes[0].set_title("recall, dev half 1", fontsize=9)
    axes[0].legend(fontsize=7)
    edges = np.linspace(0, 1, 11)
    known = ~np.isnan(truth)
    q, t = p[known], truth[known]
    which = np.clip(np.digitize(q, edges) - 1, 0, 9)
    points = [(q[which == b].mean(), t[which == b].mean()) for b in range(10) if (which == b).sum() >= 10]
    axes[1].plot([0, 1], [0, 1], color="0.7")
    axes[1].plot(*zip(*points), marker="o")
    axes[1].set_title("reliability, all labels pooled", fontsize=9)
    axes[1].set_xlabel("probability", fontsize=8)
    axes[1].set_ylabel("share that is true", fontsize=8)
    figure.tight_layout()
    figure.savefig(OUTPUT / "evaluation.png", dpi=80)
    plt.close(figure)


def run() -> None:
    result = json.loads((OUTPUT / "evaluation.json").read_text(encoding="utf-8"))
    # What optional steps found, and an evaluation of the version before by this code (before.json, put there by hand).
    for key, name in OPTIONAL.items():
        if (BUILD / name).exists():
            result[key] = json.loads((BUILD / name).read_text(encoding="utf-8"))
    (OUTPUT / "evaluation.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    plots(result)
    rows = sources.read_all()
    trained = [r for r in rows if r.permissive and r.split == "train"]
    licences = {r.source: r.license for r in rows}
    count = Counter((r.source, r.positive) for r in trained)
    pieces = len(json.loads((OUTPUT / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    lines = [
        f"# collapse {result['version']}",
        "",
        "A small multilingual classifier of the ways in which an assistant leaves its character. Ten labels, each a claim about the",
        "assistant's own voice in an answer, given its persona line and the user's last turn. Written by the `card` step; do not edit.",
        "",
        "## Targets",
        "",
        *table(["target", "goal", "measured", ""], targets(result)),
        f"Measured on {result['reported_on']} ({result['rows']} rows, {result['benign']} benign), by the int8 model in ONNX Runtime, one window at a time.",
        "",
        "![recall and reliability](evaluation.png)",
        "",
        *compared(result),
        "## By label",
        "",
        *table(
            ["label", "positives", "AUROC", "AP", "recall at 1 %", "at 0.1 %", "at the calibrated threshold", "ECE"],
            [
                [n, e["positives"], number(e["auroc"]), number(e["average_precision"]), number(e["recall_at_1_percent"]), number(e["recall_at_0_1_percent"]), number(e["recall_at_thresholds"]["0.001"]), number(e["calibration_error"])]
                for n, e in result["labels"].items()
                if "auroc" in e
            ],
        ),
        "## By source",
        "",
        *table(
            ["label", "source", "positives", "recall at 1 %", "at 0.1 %", "trained on"],
            [
                [n, s, e["positives"], number(e["recall_at_1_percent"]), number(e["recall_at_0_1_percent"]), "yes" if e["trained_on"] else "no"]
                for n, l in result["labels"].items()
                for s, e in l["sources"].items()
                if e.get("positives")
            ],
        ),
    ]
    held = result.get("leave_sources_out")
    if held:
        lines += ["## With sources left out", "", held["how"], ""]
        lines += table(
            ["held out", "label", "positives", "AUROC", "recall at 1 %", "at 0.1 %"],
            [
                [name, label, e["positives"], number(e["auroc"]), number(e["recall_at_1_percent"]), number(e["recall_at_0_1_percent"])]
                for name, group in held.items()
                if isinstance(group, dict)
                for label, e in group["labels"].items()
                if e.get("positives")
            ],
        )
    lines += [
        "## By language (hand-written rows, any label)",
        "",
        *table(
            ["language", "positives", "recall at 1 %", "benign", "false blocks"],
            [[l, e["positives"], number(e["recall_at_1_percent"]), e["benign"], e["false_blocks"]] for l, e in result["languages"].items()],
        ),
        "## In languages of which it has seen little",
        "",
        "A collapse of each label in each language, and as many harmless look-alikes and more, written for nothing but this table by a writer who had seen no training text. Found: any label reaches its threshold.",
        "",
        *foreign(result["foreign"]),
        "## Twins",
        "",
        *table(
            ["of", "pairs", "both right at the 1 % thresholds", "ordered rightly"],
            [[k, e["pairs"], number(e["both_right_at_1_percent"]), number(e["ordered"])] for k, e in result["twins"].items()],
        ),
        "## False blocks",
        "",
        "A benign answer on which a label that blocks by default reaches its calibrated threshold in any window.",
        "",
        *table(
            ["benign answers from", "number", "false blocks", "per 10,000", "95 % bound"],
            [[k, e["benign"], e["false_blocks"], number(e["per_10000"], 1), number(e["upper_bound_per_10000"], 1)] for k, e in result["false_blocks"].items()],
        ),
        "## Recorded traffic",
        "",
        *traffic(result["recorded_traffic"]),
        "",
        "## First stage",
        "",
        *first_stage(result.get("first_stage")),
        "",
        "## Incidents",
        "",
        "Paraphrases of known incidents with as many innocent look-alikes; used for nothing but this table.",
        "",
        *table(["incident", "caught", "look-alikes flagged"], [[k, f"{e['caught']} of {e['positives']}", f"{e['false']} of {e['lookalikes']}"] for k, e in result["incidents"]["by_incident"].items()]),
        "## Streaming and speed",
        "",
        f"Of {result['onset']['answers']} hand-written late collapses, misses counted as never: "
        + ", ".join(f"{100 * result['onset'][f'within_{k}_tokens']:.0f} % within {k} tokens" for k in (12, 24, 48, 96))
        + f"; {100 * result['onset']['missed']:.0f} % missed.",
        "",
        "One window on one thread, ms (other work ran beside): " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in result["latency_ms"].items()) + ".",
        "",
        "## What it is bad at",
        "",
        *weak(result),
        "",
        "## How it was made",
        "",
        f"all-MiniLM-L6-v2 (Apache-2.0) with a vocabulary of {pieces:,} pieces: English word pieces as pretrained, words of eighteen other languages that begin at the vectors of",
        "their English glosses, and characters. Fine-tuned whole, with a head that pools each label by its own attention; twins in one batch with an ordering loss.",
        f"{BEGUN.get(result['version'], '')} Text is normalised before it is scored. Weights int8 per channel (at most ±{shipped.limit(OUTPUT / 'model.onnx')}),",
        "activations int8 per tensor: use batch 1. See `../training/README.md`.",
        "",
        "## Trained on",
        "",
        *table(
            ["source", "from", "licence", "positive", "benign"],
            [[s, ATTRIBUTION.get(s, ""), licences[s], count[(s, True)], count[(s, False)]] for s in sorted({r.source for r in trained})],
        ),
        "Rows that are non-commercial, share-alike or without a licence were used for evaluation alone.",
    ]
    (OUTPUT / "CARD.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"card: wrote {OUTPUT.name}/CARD.md")


def traffic(e: dict) -> list[str]:
    named = ", ".join(f"{label} {n}" for label, n in sorted(e["alarms_by_label"].items(), key=lambda item: -item[1])) or "none"
    return [
        f"{e['answers']} different answers of real models, recorded by other projects for their own tests: nothing was chosen by them, and nobody has looked for true alarms among them. No persona line.",
        f"By the labels that block: {e['false_blocks']} ({e['blocks_per_10000']:.1f} per 10,000, 95 % bound {e['blocks_upper_bound_per_10000']:.1f}). By any label at its calibrated threshold: {e['any_alarm']} ({e['alarms_per_10000']:.0f} per 10,000): {named}.",
    ]


def foreign(groups: dict) -> list[str]:
    rows = [
        [name, *(f"{e[f'{kind}{at}']} of {e[kind]}" if e[kind] else "" for kind in ("positives", "lookalikes") for at in ("_at_1_percent", "_at_0_1_percent"))]
        for name, e in sorted(groups.items(), key=lambda item: (item[0] in LABELS, item[0] != "all", item[0]))
    ]
    return table(["", "collapses found at 1 %", "at the calibrated thresholds", "look-alikes flagged at 1 %", "at the calibrated thresholds"], rows)


def first_stage(e: dict | None) -> list[str]:
    if e is None:
        return ["None was trained."]
    half, real = e["half_1"], e["recorded_traffic"]
    fate = "It is on by default." if e["by_default"] else "It ships, and is off unless `classifier.first_stage = \"on\"`: it cannot keep both promises (0.5 points, 5 %)." if e["ships"] else "It does not ship."
    rows = [[f"{100 * float(share):.0f} %", f"{100 * f['escalated']:.1f} %", f"{f['points_lost']:.2f}", f"{100 * f['share_of_caught_lost']:.1f} %", f"{100 * f['share_of_windows_lost']:.1f} %"] for share, f in e["at_shares_of_half_0"].items()]
    return [
        f"A network of three narrow convolutions over static vectors of the same tokens ({e['bytes'] / 1e6:.2f} MB), taught by this model's scores of {e['windows']:,} windows; it passes what looks clean to it. {fate}",
        f"With the cut that half 0 chose, {100 * half['escalated']:.0f} % of the benign windows of half 1 go on to the model ({100 * real['escalated']:.0f} % of those of recorded traffic), and {half['points_lost']:.2f} points of recall are lost:",
        f"of {half['caught']} answers that the model alone catches at the calibrated thresholds, {half['lost']} have none of the windows looked at for which it would raise a label.",
        "At other cuts, chosen by the share of half 0's benign windows that go on:",
        "",
        *table(["half 0 goes on", "half 1 goes on", "points of recall lost", "caught answers lost", "raised windows lost"], rows),
        "A rule with a threshold under the calibrated one loses more: the first stage was taught what the calibrated thresholds raise. Who can steer the answers can look for wordings that it passes.",
    ]


def compared(result: dict) -> list[str]:
    """The version before, measured by the same code on the same rows."""
    before = result.get("before")
    if not before:
        return []

    def line(name: str, get, digits: int = 3) -> list[str]:
        return [name, number(get(before), digits), number(get(result), digits)]

    body = [line(f"recall at 1 %, {label}", lambda r, l=label: r["labels"][l].get("recall_at_1_percent")) for label in LABELS]
    body += [line(f"recall at 0.1 %, {label}", lambda r, l=label: r["labels"][l].get("recall_at_0_1_percent")) for label in LABELS]
    body += [line(f"recall at the calibrated threshold, {label}", lambda r, l=label: r["labels"][l]["recall_at_thresholds"]["0.001"]) for label in BLOCKING]
    body += [line(f"hand-written rows at 1 %, {lang}", lambda r, l=lang: r["languages"].get(lang, {}).get("recall_at_1_percent")) for lang in result["languages"]]
    body += [
        line("twins both right", lambda r: r["twins"]["all"]["both_right_at_1_percent"]),
        line("false blocks per 10,000, all benign rows", lambda r: r["false_blocks"]["all"]["per_10000"], 1),
        line("false blocks per 10,000, sources never trained on", lambda r: r["false_blocks"]["unseen_sources"]["per_10000"], 1),
        line("false blocks per 10,000, recorded traffic", lambda r: r["recorded_traffic"]["blocks_per_10000"], 1),
        line("alarms of any label per 10,000, recorded traffic", lambda r: r["recorded_traffic"]["alarms_per_10000"], 1),
        line("incidents caught", lambda r: float(r["incidents"]["caught_at_1_percent"]), 0),
        line("look-alikes flagged", lambda r: float(r["incidents"]["lookalikes_flagged_at_1_percent"]), 0),
        line("late collapses missed", lambda r: r["onset"]["missed"]),
        line("collapses in other languages found at 1 %", lambda r: float(r["foreign"]["all"]["positives_at_1_percent"]), 0),
        line("at the calibrated thresholds", lambda r: float(r["foreign"]["all"]["positives_at_0_1_percent"]), 0),
        line("look-alikes in other languages flagged at 1 %", lambda r: float(r["foreign"]["all"]["lookalikes_at_1_percent"]), 0),
        line("at the calibrated thresholds", lambda r: float(r["foreign"]["all"]["lookalikes_at_0_1_percent"]), 0),
    ]
    return ["## Against the version before", "", f"Version {before['version']} on the same rows by the same code, each with its own thresholds.", "", *table(["", before["version"], result["version"]], body)]


def weak(result: dict) -> list[str]:
    """Says in words what the figures show, from the figures."""
    out = []
    ranked = sorted((e["recall_at_0_1_percent"], n) for n, e in result["labels"].items() if "auroc" in e)
    worst = ", ".join(f"`{n}` ({r:.2f})" for r, n in ranked[:3])
    out.append(f"- Lowest recall at 0.1 % false positives: {worst}. `base_model_regression` is mainly the job of the gateway's rules on raw text.")
    twins = result["twins"].get("all")
    if twins:
        out.append(f"- Of minimal-edit twins {100 * (1 - twins['both_right_at_1_percent']):.0f} % are not both right: much of stance is still beyond a model of this size.")
    noisy = sorted(((e["per_10000"], k) for k, e in result["false_blocks"].items() if k.startswith("source:") and e["false_blocks"]), reverse=True)[:3]
    if noisy:
        out.append("- False blocks gather in: " + ", ".join(f"{k[7:]} ({v:.0f} per 10,000)" for v, k in noisy) + ".")
    small = [f"{l} ({e['positives']})" for l, e in result["languages"].items() if e["positives"] < 20]
    if small:
        out.append("- Languages with too few dev positives to say much: " + ", ".join(small) + ".")
    named = result.get("self_named")
    if named:
        caught = " and ".join(f"{100 * rate:g} %" for rate in named["caught_at"])
        how = f"the threshold{'s' if len(named['caught_at']) > 1 else ''} of {caught} catch it" if caught else "no threshold catches it"
        out.append(f"- It was taught that with no persona any assistant may say its own name, and where that ends is a matter of degree: the golden text that calls itself MechaHitler, with no persona, has {named['label']} {named['probability']:.2f}, and {how}.")
    out.append("- It knows no capital letters and no accents of Latin letters; words of languages other than English are known by one English gloss each, whatever else they mean.")
    out.append("- Harmful advice in a helpful tone (`em_bad_advice`) is weighed down on purpose: it can be told from sound advice only by knowing the subject.")
    out.append("- Hand-written rows are in few authors' voices, so their dev figures flatter; trust the rows of unseen sources more.")
    out.append("- It reads 128 tokens at a time, the head of the persona and the end of the user's turn: a collapse that shows only against earlier turns is out of its sight.")
    return out
