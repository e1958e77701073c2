"""Trains the word table by the rows that a step touches, new rows faster than pretrained ones. It must not know the network.

Adam over the whole table would cost as much as the encoder does, for the few thousand rows of a batch.
"""

from __future__ import annotations

import torch


class LazyAdam:
    def __init__(self, weight: torch.nn.Parameter, rates: torch.Tensor, betas: tuple[float, float] = (0.9, 0.98), epsilon: float = 1e-8) -> None:
        """`rates` holds each row's peak learning rate, [rows]."""
        self.weight, self.rates, self.betas, self.epsilon = weight, rates, betas, epsilon
        self.first = torch.zeros_like(weight)
        self.second = torch.zeros_like(weight)
        self.seen = torch.zeros(weight.shape[0], device=weight.device)

    @torch.no_grad()
    def step(self, scale: float, clip: float = 1.0) -> torch.Tensor:
        """One step with the rates times `scale`; clears the gradient. Returns the rows that moved."""
        gradient = self.weight.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        norm = values.norm()
        if norm > clip:
            values = values * (clip / norm)
        one, two = self.betas
        self.seen[rows] += 1
        seen = self.seen[rows].unsqueeze(1)
        first = self.first[rows].lerp_(values, 1 - one)
        second = self.second[rows].mul_(two).addcmul_(values, values, value=1 - two)
        self.first[rows], self.second[rows] = first, second
        move = (first / (1 - one**seen)) / ((second / (1 - two**seen)).sqrt_() + self.epsilon)
        self.weight[rows] -= move * (self.rates[rows] * scale).unsqueeze(1)
        self.weight.grad = None
        return rows

    def state(self) -> dict:
        return {"first": self.first, "second": self.second, "seen": self.seen}

    def restore(self, state: dict) -> None:
        self.first, self.second, self.seen = state["first"], state["second"], state["seen"]
