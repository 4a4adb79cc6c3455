"""AutoClip: clip the gradient at a percentile of the norms seen so far."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hiersep.compat import pytorch_lightning as pl


class AutoClip(pl.Callback):
    """Clip the gradient norm at a percentile of its own history before every step.

    The history is part of the training state, so a resumed run clips as the undisturbed one would.

    Args:
        percentile: Of the norms seen so far, [0, 100]; 100 clips nothing but a new maximum.

    Reference:
        Seetharaman, Wichern, Pardo, Le Roux, "AutoClip: Adaptive Gradient Clipping for Source Separation Networks",
        MLSP 2020.
    """

    def __init__(self, percentile: float = 10.0):
        self.percentile = percentile
        self.history: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: torch.nn.Module, optimizer: Any) -> None:
        """Measure the norm, remember it, and clip."""
        parameters = [p for p in pl_module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(norm):
            # One broken batch must neither move the weights nor enter the history.
            for parameter in parameters:
                parameter.grad = None
            return
        self.history.append(float(norm))
        limit = float(np.percentile(self.history, self.percentile))
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)

    def state_dict(self) -> dict[str, Any]:
        """History of norms, for the training state."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history of an earlier run up."""
        self.history = list(state_dict["history"])
