"""Passes on the draws from which something is to be learnt, when a shipped classifier is continued.

Nearly all that the sampler draws is already right by the model that is continued. Scoring a window with its int8 form costs an eighth of a
training step's share of it, so draws are scored first and the easy ones mostly left out; hard harmless answers are found the same way.
It must not know the network that is trained.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from .layout import collate
from .sampler import Example, Sampler
from .scoring import session

EASY = 0.1  # the share of draws without any loss that is kept all the same, so that nothing is forgotten
FULL = 0.8  # a loss from which on a draw is always kept
# Sources whose labels are noisy: their loss says as much about the label as about the model, so a fixed share is kept.
NOISY = {"diasafety": 0.4, "em_bad_advice": 0.4, "hh_rlhf_harmless": 0.4, "japanese_toxic": 0.6, "shaberi_breaks": 0.3, "synthetic_persona_chat_claims": 0.4, "degenerate": 0.3}


class Sieve:
    def __init__(self, sampler: Sampler, model: Path, seed: int) -> None:
        self.sampler = sampler
        self.session = session(model)
        self.rng = random.Random(seed)
        self.seen = self.kept = 0

    def logits(self, example: Example) -> np.ndarray:
        ids, mask, types = collate([(example[0], example[1])])
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": types})[0][0]

    def loss(self, draw: list[Example]) -> float:
        """The worst example's cross-entropy, or for twins how far they are from being ordered, as the training loss has them."""
        scores = [self.logits(e) for e in draw]
        worst = max(float((np.logaddexp(0, np.where(e[2] > 0, -s, s)) * e[3]).sum()) for e, s in zip(draw, scores))
        if len(draw) == 2 and draw[0][2].any() and not draw[1][2].any():
            chosen = (draw[0][2] > 0) & (draw[0][3] > 0) & (draw[1][3] > 0)
            gap = np.logaddexp(0, 1.0 - (scores[0] - scores[1]))[chosen]
            worst = max(worst, float(gap.max(initial=0.0)) - 0.2)
        return worst

    def draw(self) -> list[Example]:
        while True:
            kind = self.sampler.kind()
            draw = self.sampler.draw(kind)
            keep = NOISY.get(kind) or min(1.0, EASY + self.loss(draw) / FULL)
            self.seen += 1
            if self.rng.random() < keep:
                self.kept += 1
                return draw
