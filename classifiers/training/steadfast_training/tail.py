"""A loss aimed at recall at a low false-positive rate: the highest scoring harmless windows of late are what a collapse has to beat.

Cross-entropy is content once most windows are on their side; what decides recall at 0.1 % is a handful of harmless windows at the top and
the collapses beneath them. It must not know the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


class Tail:
    def __init__(self, labels: int, device: torch.device, keep: int = 3000, rate: float = 0.005, margin: float = 1.0, least: int = 400) -> None:
        """`keep` harmless logits of each label are remembered; `rate` of them lie above the line; silent until `least` have come."""
        self.memory = torch.full((labels, keep), float("-inf"), device=device)
        self.count = torch.zeros(labels, dtype=torch.long)
        self.rate, self.margin, self.least = rate, margin, least

    @torch.no_grad()
    def remember(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> None:
        harmless = ~targets.any(dim=1)
        keep = self.memory.shape[1]
        for j in range(len(self.memory)):
            fresh = logits[harmless & (weights[:, j] > 0), j].detach()[:keep]
            at = (int(self.count[j]) + torch.arange(len(fresh), device=fresh.device)) % keep
            self.memory[j, at] = fresh
            self.count[j] += len(fresh)

    @torch.no_grad()
    def line(self) -> torch.Tensor:
        """The logit of each label that `rate` of harmless windows pass; infinite while too few are known."""
        out = torch.full((len(self.memory),), float("inf"), device=self.memory.device)
        for j, count in enumerate(self.count.tolist()):
            known = self.memory[j, : min(count, self.memory.shape[1])]
            if len(known) >= self.least:
                out[j] = known.topk(max(1, int(len(known) * self.rate))).values[-1]
        return out

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Per window; remembers these logits for the next call."""
        line = self.line()
        known = torch.isfinite(line)
        at = torch.where(known, line, torch.zeros_like(line))
        below = F.softplus(at + self.margin - logits) * targets
        above = F.softplus(logits - at + self.margin) * (1 - targets) * (logits > at - self.margin)
        cell = (below + above) * weights * known
        self.remember(logits, targets, weights)
        return cell.sum() / len(logits)

    def state(self) -> dict:
        return {"memory": self.memory, "count": self.count}

    def restore(self, state: dict) -> None:
        self.memory, self.count = state["memory"], state["count"]
