"""Flat stem models of other libraries as nodes of a hierarchy: real music, taken apart by weights that people have.

What such a model gives is reconciled with the tree: the magnitudes of its stems, and of what they leave of the mixture,
become shares of every bin, which weigh the mixture. So no node is more than its parent, and children and remainder
sum to their parent exactly. Or, to hear and score the model as it is, a node is the plain sum of its stems.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hiersep.config import SpectrumConfig
from hiersep.errors import ConfigError, HiersepError
from hiersep.files import fingerprint
from hiersep.hierarchy import Hierarchy
from hiersep.models.checkpoint import weights_digest
from hiersep.models.constraints import kind_of
from hiersep.models.separator import Separation
from hiersep.stft import STFT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TINY = 1e-8  # of a magnitude; where a bin is silent, its shares are none


class ForeignSeparator(nn.Module):
    """Estimate nodes of a hierarchy with a model that knows nothing of it.

    A node is estimated if a stem is assigned to it, or to each of its children; it is then the sum of the stems
    assigned to it and below it.

    Args:
        estimate: The model; if it is a module, it moves with this one.
        nodes: Node that each of the model's stems is assigned to, in its order; None for a stem that belongs to none.
            Several stems may share a node.
        hierarchy: Where the nodes stand, or what `Hierarchy.load` takes.
        sample_rate: The model's rate in Hz.
        channels: How many channels the model wants: a mixture with fewer has its first repeated, one with more goes
            through its mean. None: as many as there are.
        spectrum: Sizes of the STFT in which the shares are taken.
        shares: Reconcile the stems with the tree, as above. False: the estimates are the stems' plain sums, to which
            the masks, then complex, lead (but where the mixture is silent: there, so are they).

    Attributes:
        nodes: Ids of the nodes, coarse to fine.
        kind: ``path`` where all of them are of one path, else ``tree``.
        complex_masks: Whether the masks change the phase as well.
        name: By which `load_foreign` loads it again; None for a model that it did not load.

    Shape:
        estimate: (batch, channel, time) -> (batch, stem, channel, time).
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If no stem is assigned to a node, or the model gives other axes than these.
        HierarchyError: If the hierarchy or a node is not known.

    Example:
        >>> def halves(mixture):
        ...     return torch.stack([mixture / 4, mixture / 4], dim=1)
        >>> model = ForeignSeparator(halves, ["drums", "bass"], "musdb18", sample_rate=44100)
        >>> estimates = model(torch.ones(1, 2, 5000))
        >>> model.nodes, torch.allclose(estimates, torch.tensor(0.25), atol=1e-4)
        (('drums', 'bass'), True)
    """

    name: str | None = None

    def __init__(
        self,
        estimate: Callable[[torch.Tensor], torch.Tensor],
        nodes: Sequence[str | None],
        hierarchy: Hierarchy | str | Mapping[str, Any],
        *,
        sample_rate: int,
        channels: int | None = None,
        spectrum: SpectrumConfig | Mapping[str, Any] | None = None,
        shares: bool = True,
    ):
        super().__init__()
        self.estimate, self.hierarchy, self.sample_rate = estimate, Hierarchy.load(hierarchy), sample_rate
        sizes = SpectrumConfig(4096, 1024) if spectrum is None else SpectrumConfig.of(spectrum)
        self.stft = STFT(sizes.n_fft, sizes.hop_length)
        self._stems, self._channels, self.complex_masks = tuple(nodes), channels, not shares
        self.nodes = tuple(self._known([node for node in nodes if node is not None]))
        if not self.nodes:
            raise ConfigError(f"nodes: expected a stem that is a node of '{self.hierarchy.name}', got none; assign one")
        self.kind = kind_of(self.hierarchy, self.nodes)
        rows = [self.hierarchy.index(node) for node in self.nodes]
        membership = torch.from_numpy(self.hierarchy.membership(self._stems)[rows])
        self.register_buffer("_membership", membership, persistent=False)  # (node, stem)

    @property
    def key(self) -> str | None:
        """A digest of the stems' nodes and the model's weights; None if it is a function, whose doing nobody knows."""
        if not isinstance(self.estimate, nn.Module):
            return None
        sizes = [self.sample_rate, self._channels, self.stft.n_fft, self.stft.hop_length, self.complex_masks]
        return fingerprint([self.hierarchy.to_dict(), self._stems, *sizes, weights_digest(self.estimate)])

    def _known(self, assigned: Sequence[str]) -> list[str]:
        """Find the nodes that the stems make whole, the root apart."""
        known = {self.hierarchy.node(node).id for node in assigned}
        for node in reversed(self.hierarchy.nodes):  # children before their parents
            if not node.is_leaf and all(child in known for child in node.children):
                known.add(node.id)
        return [node.id for node in self.hierarchy.nodes[1:] if node.id in known]

    def separate_batch(self, mixture: torch.Tensor, condition: torch.Tensor | None = None) -> Separation:
        """Estimate the stems of a batch of mixtures, and make masks of them.

        Shape:
            mixture: (batch, channel, time); condition: None.
        """
        stems = self._stems_of(mixture)  # (batch, stem, channel, time)
        spectrum = self.stft(mixture)
        masks = self._plain(spectrum, stems) if self.complex_masks else self._shares(mixture, stems)
        return Separation(mixture, spectrum, masks, self.stft)

    def _shares(self, mixture: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
        """Give every bin of the mixture to the stems, and to what they leave, by their magnitudes."""
        magnitudes = self.stft(stems).abs()
        rest = self.stft(mixture - stems.sum(dim=1)).abs()
        shares = magnitudes / (magnitudes.sum(dim=1) + rest).clamp(min=_TINY)[:, None]
        return torch.einsum("ns,bscft->bncft", self._membership, shares)

    def _plain(self, spectrum: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
        """Find the masks that make the sums of the stems of the mixture."""
        sums = self.stft(torch.einsum("ns,bsct->bnct", self._membership, stems))
        there = (spectrum.abs() > _TINY)[:, None]
        return torch.where(there, sums / torch.where(there, spectrum[:, None], 1.0), 0.0)

    def condition_of(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Find nothing in a batch: a model of fixed stems is not conditioned."""

    def _stems_of(self, mixture: torch.Tensor) -> torch.Tensor:
        shown = mixture
        if self._channels is not None and mixture.shape[1] != self._channels:
            shown = mixture if mixture.shape[1] < self._channels else mixture.mean(dim=1, keepdim=True)
            shown = shown[:, :1].expand(-1, self._channels, -1)
        stems = self.estimate(shown)
        expected = (len(mixture), len(self._stems), shown.shape[1], mixture.shape[2])
        if tuple(stems.shape) != expected:
            raise ConfigError(
                f"estimate: expected (batch, stem, channel, time) = {expected}, got {tuple(stems.shape)}; wrap the "
                "model in a function that gives these"
            )
        if shown.shape[1] != mixture.shape[1]:
            stems = stems.mean(dim=2, keepdim=True).expand(-1, -1, mixture.shape[1], -1)
        return stems

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Estimate the waveform of every node; shapes as the class says."""
        return self.separate_batch(mixture).waveforms()


def of_asteroid(
    model: Any, nodes: Sequence[str | None], hierarchy: Hierarchy | str, **options: Any
) -> ForeignSeparator:
    """Take an asteroid model, which hears one channel at a time.

    Args:
        model: An ``asteroid.models.BaseModel`` with a ``sample_rate``.
        nodes: As `ForeignSeparator`.
        hierarchy: As `ForeignSeparator`.
        **options: ``spectrum`` and ``shares``, as `ForeignSeparator`.
    """

    class ByChannel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, mixture: torch.Tensor) -> torch.Tensor:
            return by_channel(self.model, mixture)

    return ForeignSeparator(ByChannel(), nodes, hierarchy, sample_rate=round(float(model.sample_rate)), **options)


def by_channel(model: Any, mixture: torch.Tensor) -> torch.Tensor:
    """Show a model that hears one channel each channel by itself.

    Args:
        model: From (item, time) to (item, stem, time), as asteroid's are.
        mixture: What to take apart.

    Shape:
        mixture: (batch, channel, time); output: (batch, stem, channel, time).
    """
    stems = model(mixture.flatten(0, 1))  # (batch * channel, stem, time)
    return torch.unflatten(stems, 0, tuple(mixture.shape[:2])).transpose(1, 2)


def of_openunmix(model: Any, hierarchy: Hierarchy | str = "musdb18") -> ForeignSeparator:
    """Take an ``openunmix.model.Separator``, such as ``openunmix.umxl()``; its targets are nodes by their names."""
    nodes = [_same_name(target, hierarchy) for target in model.target_models]
    return ForeignSeparator(model, nodes, hierarchy, sample_rate=round(float(model.sample_rate)))


def of_demucs(model: Any, hierarchy: Hierarchy | str = "musdb18") -> ForeignSeparator:
    """Take a model of demucs, such as ``demucs.pretrained.get_model("htdemucs")``; its sources are nodes by names."""

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, mixture: torch.Tensor) -> torch.Tensor:
            from demucs.apply import apply_model

            mono = mixture.mean(dim=1, keepdim=True)
            mean, scale = mono.mean(dim=2, keepdim=True), mono.std(dim=2, keepdim=True).clamp(min=_TINY)
            stems = apply_model(self.model, (mixture - mean) / scale, shifts=0, split=True, device=mixture.device)
            return torch.as_tensor(stems * scale[:, None] + mean[:, None])

    nodes = [_same_name(source, hierarchy) for source in model.sources]
    rate, channels = round(float(model.samplerate)), int(model.audio_channels)
    return ForeignSeparator(Normalised(), nodes, hierarchy, sample_rate=rate, channels=channels)


def _same_name(stem: str, hierarchy: Hierarchy | str) -> str | None:
    return stem if stem in Hierarchy.load(hierarchy).ids else None


_LOADERS: dict[str, Callable[[str], ForeignSeparator]] = {
    "demucs": lambda weights: of_demucs(importlib.import_module("demucs.pretrained").get_model(weights)),
    "openunmix": lambda weights: of_openunmix(getattr(importlib.import_module("openunmix"), weights)()),
}
LIBRARIES = tuple(_LOADERS)  # of which models are loaded by name


def load_foreign(name: str) -> ForeignSeparator:
    """Load a model of another library that is installed, with that library's own weights.

    Args:
        name: ``openunmix:umxl``, ``demucs:htdemucs``, and so on: the library, and what it calls the weights.

    Raises:
        ConfigError: If the library is none of these, not installed, or cannot load the weights.
    """
    library, _, weights = name.partition(":")
    if library not in _LOADERS:
        raise ConfigError(f"{name}: expected {' or '.join(f'{known}:WEIGHTS' for known in LIBRARIES)}, got {library}")
    try:
        separator = _LOADERS[library](weights)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{name}: {error.name} is not installed; try `pip install {library}`") from error
    except HiersepError:
        raise
    except Exception as error:  # whatever a stranger's download raises
        raise ConfigError(f"{name}: {library} cannot load these weights ({error})") from error
    separator.name = name
    return separator
