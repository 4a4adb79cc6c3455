"""What all separators share: a mixture's spectrum, a backbone, a fully connected head, a mask per node.

`path`, `query` and `tree` say which nodes those are and how the head's values become masks. Masks may be complex where
nothing binds them to each other; the backbone then sees the mixture's phase as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import nn

from hiersep.compat import asteroid
from hiersep.config import NetworkConfig, SpectrumConfig
from hiersep.errors import CheckpointError, ConfigError
from hiersep.files import fingerprint
from hiersep.models import checkpoint
from hiersep.models.backbones import make_backbone
from hiersep.stft import STFT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hiersep.hierarchy import Hierarchy
    from hiersep.models.constraints import PathMasks

# Where the logarithm of a magnitude stops, in the STFT's own unit: a full-scale sine has half the window's sum (326 for
# n_fft 1024), so this is -130 dB of it. Every checkpoint's features depend on it.
FLOOR = 1e-4


class Separation(NamedTuple):
    """What a separator makes of a batch: the mixture, its spectrum, and a mask per node.

    Shape:
        mixture: (batch, channel, time); spectrum: (batch, channel, freq, frame), complex;
        masks: (batch, node, channel, freq, frame), real or complex.
    """

    mixture: torch.Tensor
    spectrum: torch.Tensor
    masks: torch.Tensor
    stft: STFT

    def waveforms(self) -> torch.Tensor:
        """Apply the masks to the complex mixture.

        Shape:
            output: (batch, node, channel, time), as long as the mixture.
        """
        return self.stft.inverse(self.masks * self.spectrum[:, None], self.mixture.shape[-1])

    def of(self, items: torch.Tensor, nodes: torch.Tensor) -> Separation:
        """Take some estimates alone, as a batch of one node each.

        Args:
            items: Place of each estimate's item in the batch.
            nodes: Place of its node.

        Shape:
            items, nodes: (estimate,).
        """
        return Separation(self.mixture[items], self.spectrum[items], self.masks[items, nodes][:, None], self.stft)


class Separator(Protocol):
    """What takes mixtures apart: a network of ours, several together, or a stranger's."""

    @property
    def kind(self) -> str:
        """``query``: asked by an example; ``path``: nodes of one path; ``tree``: of several."""

    @property
    def hierarchy(self) -> Hierarchy:
        """Where the nodes stand."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the node axis."""

    @property
    def sample_rate(self) -> float:
        """In Hz."""

    @property
    def stft(self) -> STFT:
        """The masks' transform."""

    @property
    def complex_masks(self) -> bool:
        """Whether the masks change the phase as well."""

    def separate_batch(self, mixture: torch.Tensor, condition: torch.Tensor | None = None) -> Separation:
        """Estimate masks for a batch of mixtures, (batch, channel, time)."""

    def condition_of(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """Find what `separate_batch` is conditioned on in a batch of `HierarchicalMixtureDataset`, if on anything."""

    @property
    def key(self) -> str | None:
        """A digest of all that the estimates depend on; None where that cannot be known."""

    def to(self, device: str) -> Any:
        """Move it."""

    def eval(self) -> Any:
        """Make it work as it does when it separates."""


class MaskingSeparator(asteroid.models.BaseModel):
    """A network from a mixture to one mask per node; a base class.

    A subclass sets `nodes`, and `bound` or its own `masks_of`. Channels are separated independently, with the same
    weights.

    Args:
        hierarchy: The hierarchy, or what `Hierarchy.load` takes.
        sample_rate: Rate of the waveforms in Hz.
        spectrum: The STFT's sizes.
        network: The backbone and its sizes, and the kind of mask.
        num_outputs: How many values per bin the head gives.
        condition_size: Dimensions of a condition, for a network that takes one.

    Attributes:
        kind: What it is called in a configuration: ``path``, ``query`` or ``tree``.
        nodes: Names of the node axis.
        bound: What makes masks of the head's values, where the nodes are levels of a path.

    Shape:
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If a setting makes no network, or what is to be separated has no samples.
        HierarchyError: If the hierarchy is not known.
    """

    kind: str
    nodes: tuple[str, ...]
    bound: PathMasks

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        sample_rate: int,
        spectrum: SpectrumConfig | Mapping[str, Any] | None,
        network: NetworkConfig | Mapping[str, Any] | None,
        num_outputs: int,
        condition_size: int = 0,
    ):
        if not isinstance(sample_rate, int) or sample_rate <= 0:
            raise ConfigError(f"sample_rate: expected a whole number of Hz, got {sample_rate!r}")
        super().__init__(sample_rate=sample_rate, in_channels=1)
        self.hierarchy = hierarchy
        self.spectrum_config = SpectrumConfig.of(spectrum)
        self.network_config = NetworkConfig.of(network)
        self.stft = STFT(self.spectrum_config.n_fft, self.spectrum_config.hop_length)
        self.norm = nn.BatchNorm1d(self.stft.n_freq)
        self.backbone = make_backbone(
            self.network_config,
            n_freq=self.stft.n_freq,
            sample_rate=sample_rate,
            channels=3 if self.complex_masks else 1,
            condition_size=condition_size,
        )
        self._num_outputs = num_outputs
        self.head = self.backbone.make_head(num_outputs, self.stft.n_freq, 1 + self.complex_masks)

    @property
    def complex_masks(self) -> bool:
        """Whether the masks change the phase as well."""
        return self.network_config.mask == "complex"

    @property
    def key(self) -> str:
        """A digest of the network and its weights."""
        return fingerprint([type(self).__name__, self.get_model_args(), checkpoint.weights_digest(self)])

    def masks_of(self, values: torch.Tensor) -> torch.Tensor:
        """Make masks of what the head gives: bound them, and hold parents to their children.

        Shape:
            values: (batch, output, channel, freq, frame), complex where the masks are; output: (batch, node, channel,
            freq, frame).
        """
        return torch.as_tensor(self.bound(values))

    def head_values(self, spectrum: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Run the network up to its head; what it gives is unbounded.

        Shape:
            spectrum: (batch, channel, freq, frame), complex; condition: (batch, dim);
            output: (batch, output, channel, freq, frame), complex where the masks are.
        """
        batch, channels, n_freq, frames = spectrum.shape
        if condition is not None:
            condition = condition.repeat_interleave(channels, dim=0)  # (batch * channel, dim)
        hidden = self.backbone(self._features(spectrum.flatten(0, 1)), condition)  # (batch * channel, frame, hidden)
        # Where the layers run in bfloat16, masks and all that follows are in the spectrum's precision again.
        values = self.head(hidden).to(spectrum.real.dtype)
        values = values.view(batch, channels, frames, self._num_outputs, n_freq, 1 + self.complex_masks)
        values = values.permute(0, 3, 1, 4, 2, 5)  # (batch, output, channel, freq, frame, part)
        return torch.view_as_complex(values) if self.complex_masks else values[..., 0]

    def _features(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Give the normalised level in dB and, for complex masks, the real and imaginary part of the phase's factor.

        Shape:
            spectrum: (item, freq, frame), complex; output: (item, 1 or 3, freq, frame).
        """
        level = self.norm(level_db(spectrum))[:, None]  # (item, 1, freq, frame)
        if not self.complex_masks:
            return torch.as_tensor(level)
        phase = torch.view_as_real(spectrum / spectrum.abs().clamp(min=FLOOR))  # in [-1, 1]
        return torch.cat([level, phase.movedim(-1, 1)], dim=1)

    def estimate_masks(self, spectrum: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Estimate a mask per node: real in [0, 1], or complex.

        Shape:
            spectrum: (batch, channel, freq, frame), complex; condition: (batch, dim);
            output: (batch, node, channel, freq, frame).
        """
        return self.masks_of(self.head_values(spectrum, condition))

    def separate_batch(self, mixture: torch.Tensor, condition: torch.Tensor | None = None) -> Separation:
        """Estimate masks for a batch of mixtures and keep all that losses and metrics need.

        Shape:
            mixture: (batch, channel, time); condition: (batch, dim).

        Raises:
            ConfigError: If the mixture has no samples, or other axes.
        """
        if mixture.ndim != 3 or not mixture.numel():
            raise ConfigError(
                f"mixture: expected (batch, channel, time), each at least 1, got {tuple(mixture.shape)}; give one with "
                "samples and all three axes"
            )
        spectrum = self.stft(mixture)
        return Separation(mixture, spectrum, self.estimate_masks(spectrum, condition), self.stft)

    def condition_of(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """Find what the network is conditioned on in a batch of `HierarchicalMixtureDataset`.

        Shape:
            output: (batch, dim); None for a network that takes no condition.
        """
        return None

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Estimate the waveform of every node; shapes as the class says."""
        return self.separate_batch(mixture).waveforms()

    # asteroid's dialect

    def forward_wav(self, wav: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Estimate from one channel, for asteroid's ``separate`` functions.

        Args:
            wav: One channel.
            *args: What the network takes beside the mixture; asteroid passes it on as it is, so arrays will do, and
                tensors of any device and precision.
            **kwargs: Likewise.

        Shape:
            wav: (time,), (batch, time) or (batch, 1, time); output: (batch, node, time), without batch for (time,).

        Raises:
            ConfigError: If `wav` has no samples, or more channels; call the model itself for those.
        """
        if wav.ndim > 3 or (wav.ndim == 3 and wav.shape[1] != 1):
            raise ConfigError(f"forward_wav: expected one channel, (batch, 1, time), got {tuple(wav.shape)}")
        mixture = self._like_weights(wav.reshape(wav.shape[:-1].numel(), 1, wav.shape[-1]))
        beside = {name: self._like_weights(value) for name, value in kwargs.items()}
        estimates = self(mixture, *map(self._like_weights, args), **beside)[:, :, 0]
        return torch.as_tensor(estimates[0] if wav.ndim == 1 else estimates)

    def _like_weights(self, value: Any) -> Any:
        """Bring a tensor or an array to the device and the precision of the weights; None stays."""
        return None if value is None else torch.as_tensor(value).to(self.head.weight)

    def monaural(self, *args: Any, **kwargs: Any) -> Monaural:
        """This network as one from (batch, 1, time) to (batch, node, time), for asteroid's ``LambdaOverlapAdd``.

        Args:
            *args: What the network takes beside the mixture.
            **kwargs: Likewise.

        Example:
            >>> from hiersep import PathSeparator
            >>> from hiersep.compat import asteroid
            >>> model = PathSeparator("musdb18", ["vocals"], network={"hidden_size": 4, "num_layers": 1}).eval()
            >>> long = asteroid.dsp.overlap_add.LambdaOverlapAdd(
            ...     model.monaural(), n_src=1, window_size=32000, reorder_chunks=False
            ... )
            >>> long(torch.zeros(1, 1, 100000)).shape
            torch.Size([1, 1, 100000])
        """
        return Monaural(self, lambda wav: self.forward_wav(wav, *args, **kwargs))

    def get_model_args(self) -> dict[str, Any]:
        """Arguments that make this network again, JSON-able."""
        return {
            "hierarchy": self.hierarchy.to_dict(),
            "sample_rate": self.sample_rate,
            "spectrum": self.spectrum_config.to_dict(),
            "network": self.network_config.to_dict(),
        }

    @classmethod
    def from_pretrained(cls, pretrained_model_conf_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a network of this class from a checkpoint file, or from the dict that ``serialize`` gives.

        Nothing is unpickled: a file is always one of ours.

        Args:
            pretrained_model_conf_or_path: The file, or the dict.
            *args: With a dict, arguments of the network.
            **kwargs: With a dict, arguments of the network that overrule the dict's.

        Raises:
            CheckpointError: If the file cannot be read, or the network is not of this class.
            ConfigError: If there are arguments beside a file, which says all of its network.
        """
        source = pretrained_model_conf_or_path
        if isinstance(source, dict):
            if source.get("model_name") != cls.__name__:  # asteroid would look for it among its own networks
                raise _other_class(cls, "from_pretrained", source.get("model_name"))
            return super().from_pretrained(source, *args, **kwargs)
        if args or kwargs:
            raise ConfigError(
                f"{source}: expected no arguments beside a checkpoint file, which says all of its network; "
                f"got {', '.join([*map(repr, args), *kwargs])}"
            )
        model = checkpoint.from_pretrained(source)
        if not isinstance(model, cls):
            raise _other_class(cls, source, type(model).__name__)
        return model


class Monaural(nn.Module):
    """A separator as asteroid's tools expect a network, (batch, 1, time) -> (batch, node, time).

    Args:
        model: The separator, of which the weights are shared.
        estimate: What is called.
    """

    def __init__(self, model: MaskingSeparator, estimate: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.model, self._estimate = model, estimate
        self.sample_rate, self.in_channels = model.sample_rate, model.in_channels

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        """Estimate; shapes as the class says."""
        return self._estimate(wav)


def _other_class(cls: type, place: Any, name: object) -> CheckpointError:
    return CheckpointError(
        f"{place}: expected a {cls.__name__}, got {name}; load it with its own class, "
        "or a file of whichever with hiersep.from_pretrained"
    )


def level_db(spectrum: torch.Tensor) -> torch.Tensor:
    """Level of every bin in dB, of magnitude 1; the floor, -80 dB, stands for silence.

    Shape:
        spectrum: (...), complex; output: same, real.
    """
    return 20 * torch.log10(spectrum.abs().clamp(min=FLOOR))


def chosen(names: Sequence[str] | None, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Take some of a list of names, in its order; None takes all.

    Args:
        names: The wanted ones.
        known: The list.
        what: Of what they are names, for the message.

    Raises:
        ConfigError: If there are none, one is not in the list or comes twice, or the order is another.
    """
    wanted = tuple(known if names is None else names)
    if not wanted or tuple(name for name in known if name in wanted) != wanted:
        raise ConfigError(
            f"{what}: expected one or more of {', '.join(known)}, in this order; got {', '.join(wanted) or 'none'}"
        )
    return wanted
