"""Learn the nodes in stages: the coarse ones first, say, then what lies below them, with the parents held fast.

In a stage only its own nodes' losses count, in training and in validation. Held fast are the rows of the head that make
the masks *above* them, unless those nodes are learned too:

- `path`, `query`: the rows of every coarser node. Rows of finer nodes are not held: they get what the constraint passes
  down to them, as a parent's mask is never less than its child's; without the constraint that is nothing.
- `tree`: children and remainder share their parent's mask, so they are held together: the rows of every parent of
  which no child is learned in the stage.

With ``trunk: false`` all that is below the head is held too and works as when it separates: no dropout, and batch
normalisation by the statistics that it has. A stage begins with the best network of the stage before, at the first
learning rate (`plateau`), with new optimizer states and a new clipping history; the best network is then the best of
this stage.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import torch

from hiersep.compat import pytorch_lightning as pl
from hiersep.errors import ConfigError, near_miss
from hiersep.models.tree import TreeSeparator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from hiersep.config import StageConfig
    from hiersep.models.separator import MaskingSeparator


class Forgetful(Protocol):
    """What remembers losses or gradients, which mean something else in another stage."""

    def forget(self) -> None:
        """Begin anew."""


class HeldRows:
    """Rows of a linear layer that no step changes.

    Args:
        layer: The layer, whose rows are some for each of its outputs, one output after the other.
        count: Number of outputs.
        held: Those that are held.
    """

    def __init__(self, layer: nn.Linear, count: int, held: Sequence[int]):
        self._parameters, self._count, self._held = list(layer.parameters()), count, list(held)
        self._values = [self._blocks(parameter.detach())[self._held].clone() for parameter in self._parameters]

    def _blocks(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.unflatten(rows, 0, (self._count, -1))  # (output, row, ...)

    def clear_gradients(self) -> None:
        """Let the held rows count for nothing in the gradient's norm."""
        for parameter in self._parameters:
            if parameter.grad is not None and self._held:
                self._blocks(parameter.grad)[self._held] = 0.0

    def put_back(self) -> None:
        """Undo what weight decay did."""
        for parameter, values in zip(self._parameters, self._values, strict=True):
            if self._held:
                self._blocks(parameter.detach())[self._held] = values


class Stages(pl.Callback):
    """Let the stages follow one another; comes before gradients are clipped, and after all else of an epoch's end.

    Args:
        stages: In their order.
        best: Where the best network of a stage lies when the next one begins.
        forgetful: What begins anew with every stage.
    """

    def __init__(self, stages: Sequence[StageConfig], best: Path, forgetful: Sequence[Forgetful]):
        self._stages, self._best, self._forgetful = stages, best, forgetful
        # The epochs that the stages begin with; the last one has no end.
        self._starts = list(itertools.accumulate((stage.epochs or 0 for stage in stages[:-1]), initial=0))
        self._held: HeldRows | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Hold what the stage holds that this epoch is in."""
        number = sum(start <= trainer.current_epoch for start in self._starts) - 1
        self._hold(pl_module, self._stages[number])
        trainer.optimizers[0].register_step_post_hook(self._put_back)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Begin the next stage, if this was the last epoch of one; the state that is saved next is then the new one's.

        What is left of the old one lies in the best checkpoint, which the next validation will replace.
        """
        following = trainer.current_epoch + 1
        if following not in self._starts or trainer.should_stop:
            return
        trainer.strategy.barrier()  # until the first process has written it
        if self._best.exists():
            pl_module.go_on_from(self._best)
        trainer.optimizers[0].state.clear()
        for one in self._forgetful:
            one.forget()
        self._hold(pl_module, self._stages[self._starts.index(following)])

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Leave what is held out of the gradient."""
        if self._held is not None:
            self._held.clear_gradients()

    def _put_back(self, *args: Any) -> None:
        if self._held is not None:
            self._held.put_back()

    def _hold(self, pl_module: Any, stage: StageConfig) -> None:
        model: MaskingSeparator = pl_module.model
        pl_module.learn(stage.nodes)
        for name, part in model.named_children():
            if name != "head":
                part.requires_grad_(stage.trunk).train(stage.trunk)
        self._held = HeldRows(model.head, *held_outputs(model, stage.nodes))


def held_outputs(model: MaskingSeparator, nodes: Sequence[str]) -> tuple[int, list[int]]:
    """Find the outputs of the head that make the masks above some nodes.

    Args:
        model: The network.
        nodes: Those that are learned.

    Returns:
        How many outputs the head has, and the positions of those that are to be held.

    Raises:
        ConfigError: If the network has no such node.
    """
    for node in nodes:
        if node not in model.nodes:
            hint = near_miss(node, model.nodes) or f"; there are {', '.join(model.nodes)}"
            raise ConfigError(f"training.stages: nodes: unknown node '{node}'{hint}")
    if isinstance(model, TreeSeparator):
        learned = [any(model.nodes[child] in nodes for child in branching.children) for branching in model.branchings]
        sizes = [len(branching.children) + 1 for branching in model.branchings]  # the remainder is an output too
        per_output = [is_learned for is_learned, size in zip(learned, sizes, strict=True) for _ in range(size)]
        return len(per_output), [position for position, is_learned in enumerate(per_output) if not is_learned]
    finest = max(model.nodes.index(node) for node in nodes)
    return len(model.nodes), [position for position in range(finest) if model.nodes[position] not in nodes]
