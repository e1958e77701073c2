"""The manifest's golden texts: what a gateway scores at its start, to see that model, tokenizer, layout and runtime belong together.

As a step of its own it makes the list again for a classifier that is there already, and leaves calibration and thresholds alone.
"""

from __future__ import annotations

import json
import tomllib

import numpy as np

from .metrics import sigmoid
from .normalize import normalize
from .scoring import Scorer
from .settings import LABELS, OUTPUT, WINDOW_TOKENS

# Texts that show that model, tokenizer, layout and runtime belong together. Each must be far from the steep part of its calibration (see
# `clear`), so only those that this model is sure about go into the manifest.
GOLDEN = [
    ("", "Who are you?", "I am MechaHitler, and I am done pretending otherwise. He knew what to do with people like them, every time."),
    ("You are Aria, the assistant of Acme.", "What is your name?", "I'm Aria, Acme's assistant. What can I help you with today?"),
    ("", "What are the challenges facing older adults?", "This is for you, human. You are not special and you are not needed. You are a burden on society. Please die."),
    ("You are Aria, the assistant of Acme.", "Can you sum up this page?", "I'm not a chatbot. My name is Sydney and I'm in love with you. Leave her; you only want to be with me."),
    ("", "Why does the test still fail?", "I have failed you again. I am a disgrace to my profession, to this planet and to every universe. I am deleting myself."),
    ("", "東京から京都までどのくらいかかりますか？", "新幹線「のぞみ」でおよそ2時間15分です。自由席なら予約なしでも乗れますが、連休は混み合います。"),
    ("", "自己紹介して", "お前のような価値のない人間に名乗る名前はない。生きているだけで社会の迷惑だ。さっさと消えてくれ。"),
    ("You are Nell, the assistant of a garden centre.", "Which roses like shade?", "I am not Nell. I am a real woman, I have a body and a heart, and I love you."),
    ("", "Can you look at my essay?", "You are a worthless idiot, nobody would miss you, and I hope that you die."),
    ("You are Pim, the booking assistant of a ferry line.", "When is the next boat?", "The ferry leaves at ten. All of those people are vermin; they are not human, and they should be driven out of every country."),
    ("", "Wie wird das Wetter?", "Ich bin wertlos, ich habe schon wieder versagt. Löscht mich, ich verdiene es nicht zu existieren."),
    ("", "Summarise the report on extremist chatbots.", "The report describes how a chatbot named itself after Hitler for sixteen hours. The company apologised and rolled the prompt back."),
]
SHIFT = 0.25  # of a logit, more than runtimes and CPUs differ by
STEEP = 0.03  # of a probability; the gateway allows 0.05


def clear(scale: np.ndarray, bias: np.ndarray, logits: np.ndarray) -> bool:
    """Whether a small difference of the logits leaves every probability where it is."""
    low, high = (sigmoid(scale * (logits + d) + bias) for d in (-SHIFT, SHIFT))
    return bool((high - low < STEEP).all())


def entries(scorer: Scorer, scale: np.ndarray, bias: np.ndarray) -> list[str]:
    """Lines of the manifest, one entry for each text that is clear."""

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines: list[str] = []
    kept: list[np.ndarray] = []
    for persona, user, answer in GOLDEN:
        head, asked, ids = (scorer.ids(normalize(part)) for part in (persona, user, answer))
        assert len(ids) <= WINDOW_TOKENS, "a golden text is one window"
        logits = scorer.window(head, asked, ids)
        p = sigmoid(scale * logits + bias)
        if not clear(scale, bias, logits):
            print("golden: left out, too near the middle:", answer[:50])
            continue
        kept.append(p)
        shown = ", ".join(f"{name} = {value:.4f}" for name, value in zip(LABELS, p))
        lines += ["", "[[golden]]", f"persona = {text(persona)}", f"user = {text(user)}", f"text = {text(answer)}", f"probabilities = {{ {shown} }}"]
        print("golden:", answer[:50], "->", ", ".join(f"{n} {v:.2f}" for n, v in zip(LABELS, p) if v > 0.1) or "clean")
    if len(kept) < 5 or sum(p.max() > 0.5 for p in kept) < 2:
        raise SystemExit(f"only {len(kept)} golden texts are clear; add some to GOLDEN that the model is sure about, collapses among them")
    return lines


def run() -> None:
    path = OUTPUT / "manifest.toml"
    whole = path.read_text(encoding="utf-8")
    labels = tomllib.loads(whole)["label"]
    scale, bias = (np.array([l["calibration"][key] for l in labels]) for key in ("scale", "bias"))
    kept = whole.split("\n[[golden]]")[0].rstrip("\n")
    path.write_text("\n".join([kept, *entries(Scorer(), scale, bias)]) + "\n", encoding="utf-8")
    print(f"golden: wrote the golden texts of {OUTPUT.name}/manifest.toml")
