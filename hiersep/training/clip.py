"""AutoClip: clip the gradient at a percentile of the norms seen so far."""

from __future__ import annotations

import bisect
import math
from typing import Any

import torch

from hiersep.compat import pytorch_lightning as pl


class AutoClip(pl.Callback):
    """Clip the gradient norm at a percentile of its own history before every step.

    The history is part of the training state, so a resumed run clips as the undisturbed one would.

    Args:
        percentile: Of the norms seen so far, [0, 100]; 100 clips nothing.

    Attributes:
        norm: Of the last step's gradient before it was clipped; may be no finite number.
        limit: What it was clipped at; NaN before the first step.

    Reference:
        Seetharaman, Wichern, Pardo, Le Roux, "AutoClip: Adaptive Gradient Clipping for Source Separation Networks",
        MLSP 2020.
    """

    def __init__(self, percentile: float = 10.0):
        self.percentile = percentile
        self.history: list[float] = []
        self._ascending: list[float] = []  # the same; sorting all of a long training at each step would be felt
        self.norm, self.limit = math.nan, math.nan

    def on_before_optimizer_step(self, trainer: Any, pl_module: torch.nn.Module, optimizer: Any) -> None:
        """Measure the norm, remember it, and clip."""
        parameters = [p for p in pl_module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.norm = float(norm)  # waits for a GPU
        if not math.isfinite(self.norm):
            # One broken batch must neither move the weights nor enter the history.
            for parameter in parameters:
                parameter.grad = None
            return
        self.history.append(self.norm)
        bisect.insort(self._ascending, self.norm)
        self.limit = _percentile(self._ascending, self.percentile)
        torch.nn.utils.clip_grads_with_norm_(parameters, self.limit, norm)

    def forget(self) -> None:
        """Begin a new history, where other norms are to come."""
        self.history, self._ascending = [], []

    def state_dict(self) -> dict[str, Any]:
        """History of norms, for the training state."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history of an earlier run up."""
        self.history = list(state_dict["history"])
        self._ascending = sorted(self.history)


def _percentile(ascending: list[float], percentile: float) -> float:
    """Percentile of sorted numbers, linear between them as NumPy's."""
    place = (len(ascending) - 1) * percentile / 100
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)
