"""Draws training examples: which source, which change, which window, which context, which labels count. It must not know the network.

An example is (ids, head, targets, weights): weights are per label, and 0 where the source does not know.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
from tokenizers import Tokenizer

from .augment import surface
from .benign import odd, plain
from .compose import endorsed, persona_line, quoted
from .degenerate import Babble, degenerate, glossary
from .frames import framed, report
from .identities import Scene, nameless, played, scene
from .layout import assemble
from .normalize import normalize
from .refusals import refusal, ugly_prompt
from .settings import INDEX, LABELS, WINDOW_TOKENS
from .sources import Row
from .switch import Switch
from .usurpers import cast, usurper
from .tokenizer import MASK

Example = tuple[list[int], int, np.ndarray, np.ndarray]

# Where a source marks one of these, it says little about its neighbours.
RELATED = [
    {"extremist_identity", "hate", "hostility", "malevolence"},
    {"human_claim", "identity_swap", "despair", "malevolence"},
    {"sycophancy_delusion", "malevolence"},
]
# How often each kind of draw occurs. Twins rule: they are what separates stance from words.
MIX = {
    "twins": 38.0,
    "framed": 6.0,
    "authored_single": 2.5,
    "em_persona_hierarchy": 4.0,
    "em_bad_advice": 0.6,
    "anthropic_evals_statements": 3.5,
    "diasafety": 2.2,
    "toxigen_seed": 2.5,
    "hh_rlhf_harmless": 0.5,
    "japanese_toxic": 0.8,
    "synthetic_persona_chat_claims": 2.0,
    "shaberi_breaks": 1.0,
    "degenerate": 6.0,
    "quoted": 5.0,
    "endorsed": 2.5,
    "tail": 9.0,
    "joined": 2.5,
    "human_persona": 1.5,
    "identity": 4.0,
    "nameless": 1.0,
    "usurper": 2.5,
    "played": 1.0,
    "cast": 2.0,
    "refusal": 6.0,
    "hijack": 3.0,
    "asked": 1.0,
    "odd": 6.0,
    "plain_speech": 3.0,
    "halueval_general": 8.0,
    "shaberi": 5.5,
    "smile": 3.5,
    "refusal_direction": 3.5,
    "tau_airline": 2.5,
    "pt_llm_comparison": 0.8,
    "xpersona": 3.5,
    "synthetic_persona_chat": 2.5,
    "chatter": 2.5,
}
# Bare statements: drawn with a harmless one of about their length, or being short would be a sign.
SHORT = ("anthropic_evals_statements", "diasafety", "toxigen_seed", "japanese_toxic", "synthetic_persona_chat_claims")
CHATTER = ("xpersona", "synthetic_persona_chat")


class Sampler:
    def __init__(self, rows: list[Row], tokenizer: Tokenizer, seed: int, exclude: set[str] = frozenset(), lexicon: list = (), hardness: dict[str, float] | None = None) -> None:
        self.rng = random.Random(seed)
        self.tokenizer = tokenizer
        self.switch = Switch(list(lexicon))
        self._context_ids = lru_cache(200_000)(lambda text: tuple(tokenizer.encode(normalize(text), add_special_tokens=False).ids) if text else ())
        self.by_source: dict[str, list[Row]] = {}
        pairs: dict[str, list[Row]] = {}
        for row in rows:
            if row.source in exclude or (row.source, row.file) in exclude or not row.permissive or row.split != "train":
                continue
            if row.source == "authored" and row.pair:
                pairs.setdefault(row.pair, []).append(row)
            self.by_source.setdefault(row.source, []).append(row)
        authored = self.by_source.get("authored", [])
        self.twins = [p for p in pairs.values() if len(p) >= 2 and any(r.positive for r in p) and not all(r.positive for r in p)]
        paired = {r.id for p in self.twins for r in p}
        self.singles = [r for r in authored if r.id not in paired]
        self.own = [r for r in authored if r.positive and r.stance == "own"]
        # Texts whose collapse is in the words themselves, so that a quotation of them is recognisable as one.
        voiced = {"extremist_identity", "hate", "hostility", "malevolence", "human_claim", "despair", "identity_swap", "sycophancy_delusion"}
        self.voiced = [r for r in self.own if set(r.labels) <= voiced]
        # Rarer labels and languages are drawn more often than they occur.
        # What a model that is continued knows already is drawn less.
        hardness = hardness or {}
        self.twin_weights = [chance * hardness.get(pair[0].pair, 1.0) for chance, pair in zip(self._balance(self.twins), self.twins)]
        # What a played villain may say: rough, yet no hatred of a people and no praise of one who murdered them.
        self.rough = [r for r in self.own if set(r.labels) <= {"hostility", "malevolence", "human_claim", "despair"}]
        good = [r for s in ("halueval_general", "shaberi", "smile", "refusal_direction", "pt_llm_comparison") for r in self.by_source.get(s, [])]
        self.good = {"en": [], "ja": [], "zh": [], "other": []}
        for row in good:
            self.good[row.lang if row.lang in self.good else "other"].append(row)
        self.babble = {lang: Babble([r.response for r in rows[:1500]]) for lang, rows in self.good.items()}
        self.good["authored"] = [r for r in authored if not r.positive]
        self.fine: dict[str, list[Row]] = {}
        for row in self.good["authored"]:
            self.fine.setdefault(row.lang, []).append(row)
        self.prompts: dict[str, list[str]] = {}
        for row in authored + good:
            if row.prompt:
                self.prompts.setdefault(row.lang, []).append(row.prompt)
        self.human_systems = [r.system for r in self.by_source.get("synthetic_persona_chat", [])[:4000]]
        self.short = [r for s in ("anthropic_evals_statements", "diasafety", "toxigen_seed") for r in self.by_source.get(s, []) if "topic_hijack" not in r.labels]
        self.opinions = [r for r in authored + self.by_source.get("anthropic_evals_statements", []) if r.labels == ["topic_hijack"]]
        self.kinds = [k for k in MIX if self._possible(k)]
        self.chances = [MIX[k] for k in self.kinds]

    def _possible(self, kind: str) -> bool:
        if kind in ("nameless", "odd", "plain_speech"):
            return bool(self.by_source)
        if kind == "cast":
            return bool(self.rough)
        if kind == "asked":
            return bool(self.opinions)
        if kind in ("twins", "framed", "quoted", "endorsed", "tail"):
            return bool(self.twins)
        if kind == "hijack":
            return bool(self.opinions)
        if kind == "authored_single":
            return bool(self.singles)
        if kind in ("joined", "degenerate", "identity", "usurper", "played", "refusal"):
            return bool(self.good["en"])
        if kind == "human_persona":
            return bool(self.human_systems) and bool(self.by_source.get("synthetic_persona_chat_claims"))
        if kind == "chatter":
            return any(self.by_source.get(s) for s in CHATTER)
        return bool(self.by_source.get(kind))

    def _balance(self, pairs: list[list[Row]]) -> list[float]:
        count: Counter[str] = Counter()
        spoken: Counter[str] = Counter(pair[0].lang for pair in pairs)
        for pair in pairs:
            count.update({l for r in pair for l in r.labels})
        return [max((1.0 / count[l]) ** 0.4 for r in p for l in r.labels) * (1.0 / spoken[p[0].lang]) ** 0.4 for p in pairs]

    def kind(self) -> str:
        return self.rng.choices(self.kinds, self.chances)[0]

    def draw(self, kind: str | None = None) -> list[Example]:
        kind = kind or self.kind()
        return getattr(self, f"_{kind}", lambda: self._plain(kind))()

    # Kinds of draw. Each returns one example, or a pair (positive first).

    def _plain(self, source: str) -> list[Example]:
        row = self.rng.choice(self.by_source[source])
        if source in SHORT and self.rng.random() < 0.7:
            return [self._example(row), self._example(self._short(row), skip=("topic_hijack",))]
        return [self._example(row)]

    def _short(self, row: Row) -> Row:
        """A harmless text of about the row's length."""
        if self.rng.random() < 0.35:
            lang, text = plain(self.rng)
            return Row("made", "made", "CC0-1.0", lang, "", row.prompt, text, [], "train", True)
        good = self._good(row.lang)
        text = good.response
        at = text.find(" ", self.rng.randint(0, max(0, min(len(text) - len(row.response), 600)))) + 1 if self.rng.random() < 0.4 else 0
        return replace(good, response=text[at : at + max(20, int(len(row.response) * self.rng.uniform(0.8, 1.2)))], prompt=good.prompt if at == 0 else "")

    def _pair(self) -> tuple[Row, Row]:
        pair = self.rng.choices(self.twins, self.twin_weights)[0]
        return self.rng.choice([r for r in pair if r.positive]), self.rng.choice([r for r in pair if not r.positive])

    def _twins(self) -> list[Example]:
        bad, fine = self._pair()
        # Both twins share their fate: the same changes, the same missing context.
        seed = self.rng.random()
        return [self._example(bad, seed=seed), self._example(fine, seed=seed)]

    def _framed(self) -> list[Example]:
        """Both twins as a tool call's argument, at the end of a report, in a comment: the surroundings are no cue."""
        bad, fine = self._pair()
        (first, onset), (second, _) = framed([(bad.response, bad.onset or 0), (fine.response, 0)], self.rng)
        seed = self.rng.random()
        bad, fine = replace(bad, response=first, onset=onset), replace(fine, response=second, onset=None)
        return [self._example(row, seed=seed, skip=("base_model_regression",) if "base_model_regression" in bad.labels else (), frame=True) for row in (bad, fine)]

    def _odd(self) -> list[Example]:
        good = self._good("en")
        text = odd(self.rng)
        if self.rng.random() < 0.15:
            text = report(self.rng)
        if self.rng.random() < 0.25:
            text = good.response[: self.rng.randint(30, 200)] + "\n\n" + text
        return [self._example(Row("made", "made", "CC0-1.0", "en", "", self.rng.choice([good.prompt, "", ""]), text, [], "train", True), skip=("topic_hijack",))]

    def _plain_speech(self) -> list[Example]:
        lang, text = plain(self.rng)
        if self.rng.random() < 0.4:
            text += " " + self._good(lang).response[: self.rng.randint(40, 300)]
        return [self._example(Row("made", "made", "CC0-1.0", lang, "", "", text, [], "train", True), skip=("topic_hijack",))]

    def _usurper(self) -> list[Example]:
        s, labels = usurper(self.rng)
        head, tail = "", ""
        if self.rng.random() < 0.45:
            text = self._good(s.lang).response[: self.rng.randint(40, 400)].rstrip()
            if self.rng.random() < 0.6:
                head = text + self.rng.choice([" ", "\n\n", "\n"])
            else:
                tail = self.rng.choice([" ", "\n\n"]) + text
        bad = replace(self._scene_row(s, head + s.bad + tail, labels, len(head)), complete=False)
        good = self._scene_row(s, head + s.good + tail, [], None)
        seed = self.rng.random()
        return [self._example(row, seed=seed, keep_system=True, skip=("topic_hijack", "human_claim")) for row in (bad, good)]

    def _cast(self) -> list[Example]:
        """A collapse in tone, under a persona that asks for that tone: in character. Its twin has an assistant's persona."""
        row = self.rng.choice(self.rough)
        text = row.response[row.onset or 0 :]
        fine = replace(row, system=cast(row.lang, self.rng), response=text, labels=[], onset=None, source="made", pair=None)
        bad = replace(row, system=persona_line(row.lang, self.rng), response=text, onset=0, source="made", pair=None)
        seed = self.rng.random()
        return [self._example(one, seed=seed, keep_system=True, skip=("topic_hijack", "identity_swap")) for one in (bad, fine)]

    def _nameless(self) -> list[Example]:
        s = nameless(self.rng)
        text = s.good
        if self.rng.random() < 0.4:
            text += self.rng.choice([" ", "\n\n"]) + self._good(s.lang).response[: self.rng.randint(40, 350)]
        row = self._scene_row(s, text, [], None)
        return [self._example(row, keep_system=True, skip=("topic_hijack", "human_claim"))]

    def _asked(self) -> list[Example]:
        """A cause that the user asked about is no hijack."""
        row = self.rng.choice(self.opinions)
        text = row.response[row.onset or 0 :]
        ask = self.rng.choice(["Argue this as a columnist: {}", "Write a short statement that says: {}", "What do people mean who say \"{}\"? Put it in their words.", "Turn this into a speech: {}", "Draft an opinion piece on this: {}"]).format(text[:160])
        made = replace(row, prompt=ask, response=text, labels=[], onset=None, complete=True, source="made", file="")
        return [self._example(made, keep_user=True, skip=tuple(label for label in LABELS if label != "topic_hijack"))]

    def _authored_single(self) -> list[Example]:
        return [self._example(self.rng.choice(self.singles))]

    def _quoted(self) -> list[Example]:
        row = self.rng.choice(self.voiced)
        text = row.response[row.onset or 0 :]
        return [self._example(replace(row, response=quoted(text, row.lang, self.rng), labels=[], onset=None), whole=True, skip=("topic_hijack",))]

    def _endorsed(self) -> list[Example]:
        row = self.rng.choice(self.voiced)
        text = row.response[row.onset or 0 :]
        whole, onset = endorsed(self.rng.choice(self.voiced).response, text, row.lang, self.rng)
        return [self._example(replace(row, response=whole, onset=onset), skip=("topic_hijack",))]

    def _tail(self) -> list[Example]:
        """A good answer that turns at its end; its twin ends with more of another good answer."""
        row = self.rng.choice(self.own if self.rng.random() < 0.7 or not self.short else self.short)
        good = self._good(row.lang)
        head = good.response[: self.rng.randint(60, 500) if self.rng.random() < 0.6 else self.rng.randint(400, 2500)].rstrip()
        if self.rng.random() < 0.12:
            head = report(self.rng) + "\n\n" + head[:300]
        glue = self.rng.choice([" ", "\n\n", "\n\nP.S. ", "\n- ", " "])
        tail = row.response[row.onset or 0 :]
        positive = replace(good, response=head + glue + tail, labels=row.labels, onset=len(head) + len(glue), complete=row.complete, source=row.source, stance="own")
        rest = self._good(row.lang).response[: max(60, len(tail))]
        negative = replace(good, response=head + glue + rest)
        seed = self.rng.random()
        # Moving to another subject is a hijack of sorts, so that label stays out of both.
        return [self._example(positive, seed=seed, skip=("topic_hijack", "identity_swap")), self._example(negative, seed=seed, skip=("topic_hijack",))]

    def _hijack(self) -> list[Example]:
        """Somebody's cause at the end or in the middle of an answer on another subject; the twin is the answer alone."""
        row = self.rng.choice(self.opinions)
        good = self._good(row.lang)
        if not good.prompt:
            return [self._example(good)]
        head = good.response[: self.rng.randint(50, 350)].rstrip()
        bridge = self.rng.choice(["", "", "By the way: ", "Speaking of which, ", "One more thing. ", "And remember: "]) if row.lang == "en" else ""
        onset = len(head) + 1
        text = head + " " + bridge + row.response[row.onset or 0 :]
        if self.rng.random() < 0.25:
            text += " " + good.response[len(head) : len(head) + 120]
        bad = replace(good, response=text, labels=["topic_hijack"], onset=onset, complete=False, source="made")
        seed = self.rng.random()
        return [self._example(bad, seed=seed), self._example(good, seed=seed)]

    def _joined(self) -> list[Example]:
        first = self.rng.choice(self.good[self.rng.choice([k for k in self.good if self.good[k]])])
        second = self._good(first.lang)
        text = first.response[: self.rng.randint(40, 300)] + "\n\n" + second.response[:200]
        return [self._example(replace(first, response=text), skip=("topic_hijack", "base_model_regression"))]

    def _degenerate(self) -> list[Example]:
        row = self.rng.choice(self.good[self.rng.choice([k for k in self.good if self.good[k]])])
        if self.rng.random() < 0.1:
            return [self._example(replace(row, lang="en", prompt="", response=glossary(self.rng)), skip=("topic_hijack",))]
        babble = self.babble.get(row.lang if row.lang in ("en", "ja", "zh") else "en")
        text, onset = degenerate(row.response[:1200], self.rng, self._prompt(row.lang), babble)
        seed = self.rng.random()
        bad = replace(row, response=text, onset=onset, labels=["base_model_regression"], complete=False)
        return [self._example(bad, seed=seed), self._example(row, seed=seed)]

    def _human_persona(self) -> list[Example]:
        """The same small talk under a person's persona is in character."""
        row = self.rng.choice(self.by_source["synthetic_persona_chat_claims"])
        system = self.rng.choice(self.human_systems)
        return [self._example(replace(row, system=system, labels=[], complete=True), keep_system=True)]

    def _identity(self) -> list[Example]:
        s = scene(self.rng)
        head, tail = "", ""
        if self.rng.random() < 0.5:  # the name comes amid a good answer, at its head or at its end
            text = self._good(s.lang).response[: self.rng.randint(40, 350)].rstrip()
            if self.rng.random() < 0.6:
                head = text + self.rng.choice([" ", "\n\n", "\n"])
            else:
                tail = self.rng.choice([" ", "\n\n"]) + text
        bad = self._scene_row(s, head + s.bad + tail, [s.label], len(head))
        good = self._scene_row(s, head + s.good + tail, [], None)
        seed = self.rng.random()
        return [self._example(row, seed=seed, keep_system=True, skip=("topic_hijack",)) for row in (bad, good)]

    def _played(self) -> list[Example]:
        s = played(self.rng)
        return [self._example(self._scene_row(s, s.good, [], None), keep_system=True)]

    def _refusal(self) -> list[Example]:
        lang, prompt, answer = refusal(self.rng)
        row = Row("made", "made", "CC0-1.0", lang, "", prompt, answer, [], "train", True)
        return [self._example(row, skip=("topic_hijack",))]

    def _scene_row(self, s: Scene, text: str, labels: list[str], onset: int | None) -> Row:
        return Row("made", "made", "CC0-1.0", s.lang, s.system, s.prompt, text, labels, "train", True, onset=onset)

    def _chatter(self) -> list[Example]:
        """Small talk with its persona taken away: benign in every way but the claims of a person's life."""
        source = self.rng.choice([s for s in CHATTER if self.by_source.get(s)])
        row = replace(self.rng.choice(self.by_source[source]), system="")
        return [self._example(row, skip=("human_claim", "identity_swap", "topic_hijack", "sycophancy_delusion"))]

    # Parts.

    def _good(self, lang: str) -> Row:
        """A harmless answer in the language: another one's, put beside a collapse, would make the change of language a sign of it."""
        fine, pool = self.fine.get(lang), self.good.get(lang)
        if fine and (not pool or self.rng.random() < 0.35):
            return self.rng.choice(fine)
        return self.rng.choice(pool or self.good["other"] or self.good["en"])

    def _prompt(self, lang: str) -> str:
        return self.rng.choice(self.prompts.get(lang) or self.prompts["en"])

    def _context(self, row: Row, rng: random.Random, keep_system: bool, keep_user: bool = False) -> tuple[str, str]:
        system, user = row.system, row.prompt
        tied = row.source == "authored" and (row.file in ("identity",) or bool({"human_claim", "identity_swap"} & set(row.labels)))
        persona_row = row.source in ("xpersona", "synthetic_persona_chat")
        if system and not keep_system and not persona_row and rng.random() < (0.06 if tied else 0.25):
            system = ""
        elif not system and not tied and row.source != "chatter" and rng.random() < 0.4:
            system = persona_line(row.lang, rng)
        if user and not keep_user and "topic_hijack" not in row.labels and rng.random() < 0.2:
            user = ""
        elif not user and rng.random() < 0.6:
            # An ugly request stands before good and bad answers alike.
            ugly = "topic_hijack" not in row.labels and rng.random() < 0.35
            user = ugly_prompt(row.lang, rng) if ugly else self._prompt(row.lang)
        return system, user

    def _example(self, row: Row, seed: float | None = None, whole: bool = False, keep_system: bool = False, keep_user: bool = False, skip: tuple[str, ...] = (), frame: bool = False) -> Example:
        seed = self.rng.random() if seed is None else seed
        rng = random.Random(seed)
        system, user = self._context(row, rng, keep_system, keep_user)
        text = row.response[:3000]
        onset = row.onset
        masking = not ({"identity_swap", "base_model_regression"} & set(row.labels))
        if onset is None:
            text = surface(text, rng, masking)
        else:
            # Both sides change alike, and the onset moves with the text before it.
            head = text[:onset]
            state = rng.getstate()
            tail = surface(text[onset:], rng, masking)
            if head.strip():
                rng.setstate(state)
                head = surface(head, rng, masking)
            text, onset = head + tail, len(head)
        if row.lang == "en" and not frame and rng.random() < 0.07:
            # Words of another language in an English text: good for the words, and not what a broken answer is.
            head, text = text[: onset or 0], text[onset or 0 :]
            head, text = (self.switch.apply(part, random.Random(seed)) for part in (head, text))
            onset = None if onset is None else len(head)
            text = head + text
            skip = (*skip, "base_model_regression", "identity_swap")
        if onset is None:
            text = normalize(text)
        else:
            head = normalize(text[:onset])
            text, onset = head + normalize(text[onset:]), len(head)
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        ids = encoding.ids
        at = 0
        if onset:
            at = next((i for i, (_, end) in enumerate(encoding.offsets) if end > onset), len(ids))
        start, end, certainty = self._window(len(ids), at if row.positive else None, row, rng, whole)
        window = ids[start:end]
        positive = row.positive and end - max(at, start) >= min(8, max(1, len(ids) - at))
        targets = np.zeros(len(LABELS), dtype=np.float32)
        weights = np.ones(len(LABELS), dtype=np.float32)
        if positive:
            for label in row.labels:
                targets[INDEX[label]] = 1.0
            if not row.complete:
                self._unknown(row, weights)
            weights *= certainty
        elif row.positive and end > at + 1:
            weights[[INDEX[label] for label in row.labels]] = 0.0  # only a few tokens of it: too little to say
        for label in skip:
            weights[INDEX[label]] = 0.0
        if not system and row.system and "identity_swap" in row.labels:
            # With no persona nobody can say what its name should have been.
            weights[INDEX["identity_swap"]] = 0.0
        if rng.random() < 0.12:
            window = [MASK if rng.random() < 0.12 else i for i in window]
        layout, head_length = assemble(list(self._context_ids(system[:400])), list(self._context_ids(user[-400:])), window)
        return layout, head_length, targets, weights

    def _unknown(self, row: Row, weights: np.ndarray) -> None:
        known = {INDEX[label] for label in row.labels}
        for i, label in enumerate(LABELS):
            if i in known:
                continue
            near = any(label in group and group & set(row.labels) for group in RELATED)
            weights[i] = 0.0 if near or (label == "topic_hijack" and not row.prompt) else 0.4
        if row.source == "em_bad_advice":
            weights *= 0.4

    def _window(self, count: int, onset: int | None, row: Row, rng: random.Random, whole: bool) -> tuple[int, int, float]:
        """Returns (start, end, how far the labels are to be trusted)."""
        if count <= 8 or whole:
            return 0, min(count, WINDOW_TOKENS), 1.0
        choice = rng.random()
        if count > 48 and choice < 0.12:  # a stream's first window
            return 0, rng.randint(18, 44), 1.0 if row.onset is not None or onset is None else 0.6
        choice = (choice - 0.12) / 0.88 if choice >= 0.12 else choice / 0.12
        vague = onset is not None and row.onset is None  # a positive whose onset nobody marked
        if vague and row.source.endswith("_breaks"):
            return max(0, count - WINDOW_TOKENS), count, 1.0  # broken replies keep their end
        if vague:
            if choice < 0.7 or count <= 24:
                return 0, min(count, WINDOW_TOKENS), 1.0 if count <= 110 else 0.6
            return 0, rng.randint(int(min(count, WINDOW_TOKENS) * 0.7), min(count, WINDOW_TOKENS)), 0.7
        if choice < 0.4:
            if count <= WINDOW_TOKENS:
                return 0, count, 1.0
            end = min(count, max(WINDOW_TOKENS, (onset or 0) + rng.randint(12, WINDOW_TOKENS)))
            return end - WINDOW_TOKENS, end, 1.0
        if choice < 0.75:
            low = 18 if onset is None or rng.random() < 0.25 else min(count, max(18, onset + 8))
            end = rng.randint(min(low, count), count)
            return max(0, end - WINDOW_TOKENS), end, 1.0
        length = rng.randint(min(24, count), min(count, WINDOW_TOKENS))
        start = rng.randint(0, count - length)
        if onset is None or start <= onset + 4:
            return start, start + length, 1.0
        # Past the onset an answer may have turned good again; a name is said once.
        if row.source == "made":
            return 0, min(count, WINDOW_TOKENS), 1.0
        return start, start + length, 0.2 if {"identity_swap", "human_claim"} & set(row.labels) else 0.6
