"""Several networks as one: each estimates nodes of its own of one hierarchy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from hiersep.errors import ConfigError
from hiersep.files import fingerprint
from hiersep.models.constraints import HierarchicalConstraint, kind_of
from hiersep.models.query import QuerySeparator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiersep.models.separator import MaskingSeparator, Separation


class JointSeparator(nn.Module):
    """Estimate with several networks, such as one for each level of a path.

    Args:
        models: The networks: of one hierarchy, one sample rate and one STFT, and of different nodes. None that is asked
            by an example.
        constraint: ``max``: across the networks, which must then be of one path and have real masks, every level
            becomes the running maximum of those below it; ``none``: masks stay as each network made them.

    Attributes:
        nodes: Ids of all their nodes, coarse to fine.
        kind: ``path`` where all of them are of one path, else ``tree``.
        models: The networks.
        constraint: What holds across them.

    Shape:
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If the networks do not go together.

    Reference:
        Manilow, Wichern, Le Roux, ISMIR 2020: its single-level networks, of which it compares three with one network of
        three levels.

    Example:
        >>> from hiersep import PathSeparator
        >>> sizes = {"hidden_size": 4, "num_layers": 1}
        >>> singles = [PathSeparator("musdb18", [node], network=sizes) for node in ("drums", "vocals")]
        >>> JointSeparator(singles).nodes
        ('vocals', 'drums')
    """

    def __init__(self, models: Sequence[MaskingSeparator], *, constraint: Literal["none", "max"] = "none"):
        super().__init__()
        if not models:
            raise ConfigError("model: expected one network or more, got none")
        first = models[0]
        for number, model in enumerate(models, 1):
            _check_fit(first, model, number)
        self.models = nn.ModuleList(models)
        self.hierarchy, self.sample_rate, self.stft = first.hierarchy, first.sample_rate, first.stft
        names = [node for model in models for node in model.nodes]
        twice = sorted({node for node in names if names.count(node) > 1})
        if twice:
            raise ConfigError(f"model: expected every node from one network, got {', '.join(twice)} from several")
        self.nodes = tuple(sorted(names, key=self.hierarchy.index))
        self._order = [names.index(node) for node in self.nodes]
        self.kind = kind_of(self.hierarchy, self.nodes)
        self.constraint = HierarchicalConstraint(constraint)
        if constraint == "max" and (self.complex_masks or self.kind != "path"):
            raise ConfigError(
                "constraint: expected real masks of the nodes of one path for max, got "
                + ("complex ones" if self.complex_masks else ", ".join(self.nodes))
            )

    @property
    def complex_masks(self) -> bool:
        """Whether any of the networks has masks that change the phase as well."""
        return any(model.complex_masks for model in self.models)

    @property
    def key(self) -> str:
        """A digest of the networks, their weights and the constraint."""
        return fingerprint([self.constraint.kind, *(model.key for model in self.models)])

    def separate_batch(self, mixture: torch.Tensor, condition: torch.Tensor | None = None) -> Separation:
        """Estimate masks for a batch of mixtures, with all networks.

        Shape:
            mixture: (batch, channel, time); condition: None.
        """
        separations: list[Separation] = [model.separate_batch(mixture) for model in self.models]  # type: ignore[operator]
        masks = torch.cat([separation.masks for separation in separations], dim=1)[:, self._order]
        return separations[0]._replace(masks=self.constraint(masks))

    def condition_of(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Find nothing in a batch: no network of fixed nodes is conditioned."""

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Estimate the waveform of every node; shapes as the class says."""
        return self.separate_batch(mixture).waveforms()


def _check_fit(first: MaskingSeparator, model: MaskingSeparator, number: int) -> None:
    if isinstance(model, QuerySeparator):
        raise ConfigError(
            f"model: expected networks of fixed nodes, got a QuerySeparator (number {number}), which needs an example "
            "of what is wanted; use it alone"
        )
    same = {
        "hierarchy": (first.hierarchy.name, model.hierarchy.name),
        "sample rate": (first.sample_rate, model.sample_rate),
        "STFT": (first.spectrum_config, model.spectrum_config),
    }
    for what, (one, other) in same.items():
        if one != other:
            raise ConfigError(f"model: expected the same {what} of all, got {one} and {other} (numbers 1 and {number})")
    if first.hierarchy.to_dict() != model.hierarchy.to_dict():
        raise ConfigError(f"model: expected one {first.hierarchy.name}, got two that differ (numbers 1 and {number})")
