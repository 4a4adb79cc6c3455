"""The source-specific separator (SSS): the nodes of one path, coarse to fine, from one network.

Log-magnitude spectrum, batch normalisation, a backbone (the paper's is a recurrent stack), and a fully connected layer
with a sigmoid that gives one mask per level; the hierarchical constraint makes every level the running maximum of those
below it. Masks may also be complex, without bound or constraint; the backbone then sees the mixture's phase as well.

Reference:
    Manilow, Wichern, Le Roux, "Hierarchical Musical Instrument Separation", ISMIR 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from hiersep.compat import asteroid
from hiersep.config import NetworkConfig, SpectrumConfig
from hiersep.errors import ConfigError
from hiersep.hierarchy import Hierarchy
from hiersep.models import checkpoint
from hiersep.models.backbones import make_backbone
from hiersep.models.constraints import running_maximum
from hiersep.stft import STFT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Magnitudes below -80 dB of a full-scale bin carry no music; the logarithm stops there.
_FLOOR = 1e-4


class Separation(NamedTuple):
    """What a masking network makes of a batch: the mixture, its spectrum, and a mask per node.

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


class PathSeparator(asteroid.models.BaseModel):
    """Estimate the nodes of one path of a hierarchy from a mixture.

    Channels are separated independently, with the same weights.

    Args:
        hierarchy: The hierarchy that holds the path, or what `Hierarchy.load` takes.
        nodes: Ids of one or several nodes on one path below the root, coarse to fine.
        sample_rate: Rate of the waveforms in Hz.
        spectrum: The STFT's sizes.
        network: The backbone and its sizes, the kind of mask, and the constraint.

    Shape:
        forward: (batch, channel, time) -> (batch, node, channel, time).

    Raises:
        ConfigError: If the nodes do not lie on one path, coarse to fine, or a setting makes no network.
        HierarchyError: If the hierarchy or a node is not known.

    Example:
        >>> model = PathSeparator(
        ...     "slakh_ismir2020", ["guitar", "clean_guitars"], network={"hidden_size": 4, "num_layers": 1}
        ... )
        >>> model(torch.zeros(2, 1, 1000)).shape
        torch.Size([2, 2, 1, 1000])
    """

    def __init__(
        self,
        hierarchy: Hierarchy | str | Mapping[str, Any],
        nodes: Sequence[str],
        *,
        sample_rate: int = 16000,
        spectrum: SpectrumConfig | Mapping[str, Any] | None = None,
        network: NetworkConfig | Mapping[str, Any] | None = None,
    ):
        if not isinstance(sample_rate, int) or sample_rate <= 0:
            raise ConfigError(f"sample_rate: expected a whole number of Hz, got {sample_rate!r}")
        super().__init__(sample_rate=sample_rate, in_channels=1)
        self.hierarchy = hierarchy if isinstance(hierarchy, Hierarchy) else Hierarchy.load(hierarchy)
        self.nodes = _checked_path(self.hierarchy, nodes)
        self.spectrum_config = SpectrumConfig.of(spectrum)
        self.network_config = NetworkConfig.of(network)
        self.stft = STFT(self.spectrum_config.n_fft, self.spectrum_config.hop_length)
        self.norm = nn.BatchNorm1d(self.stft.n_freq)
        self.backbone = make_backbone(
            self.network_config,
            n_freq=self.stft.n_freq,
            sample_rate=sample_rate,
            channels=1 if self.network_config.mask == "real" else 3,
        )
        self.head = nn.Linear(self.backbone.output_size, len(self.nodes) * self.stft.n_freq * self._parts)

    @property
    def _parts(self) -> int:
        """Numbers that make a mask's value."""
        return 1 if self.network_config.mask == "real" else 2

    def estimate_masks(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Estimate a mask per node: real in [0, 1], or complex.

        Shape:
            spectrum: (batch, channel, freq, frame), complex; output: (batch, node, channel, freq, frame).
        """
        batch, channels, n_freq, frames = spectrum.shape
        hidden = self.backbone(self._features(spectrum.flatten(0, 1)))  # (batch * channel, frame, hidden)
        parts = self.head(hidden).view(batch, channels, frames, len(self.nodes), n_freq, self._parts)
        parts = parts.permute(0, 3, 1, 4, 2, 5)  # (batch, node, channel, freq, frame, part)
        if self.network_config.mask == "complex":
            return torch.view_as_complex(parts)
        masks = torch.sigmoid(parts[..., 0])
        return running_maximum(masks) if self.network_config.constraint == "max" else masks

    def _features(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Give the normalised level in dB and, for complex masks, the real and imaginary part of the phase's factor.

        Shape:
            spectrum: (item, freq, frame), complex; output: (item, 1 or 3, freq, frame).
        """
        magnitude = spectrum.abs().clamp(min=_FLOOR)
        level = self.norm(20 * torch.log10(magnitude))[:, None]  # (item, 1, freq, frame)
        if self.network_config.mask == "real":
            return torch.as_tensor(level)
        phase = torch.view_as_real(spectrum / magnitude).movedim(-1, 1)  # (item, 2, freq, frame), each in [-1, 1]
        return torch.cat([level, phase], dim=1)

    def separate_batch(self, mixture: torch.Tensor) -> Separation:
        """Estimate masks for a batch of mixtures and keep all that losses and metrics need.

        Shape:
            mixture: (batch, channel, time).
        """
        spectrum = self.stft(mixture)
        return Separation(mixture, spectrum, self.estimate_masks(spectrum), self.stft)

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        """Estimate the waveform of every node; shapes as the class says."""
        return self.separate_batch(mixture).waveforms()

    def forward_wav(self, wav: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Estimate in asteroid's dialect, for its ``separate`` functions.

        Shape:
            wav: (time,), (batch, time) or (batch, 1, time); output: (batch, node, time), without batch for (time,).

        Raises:
            ConfigError: If `wav` has more channels; call the model itself for those.
        """
        if wav.ndim > 3 or (wav.ndim == 3 and wav.shape[1] != 1):
            raise ConfigError(f"forward_wav: expected one channel, (batch, 1, time), got {tuple(wav.shape)}")
        mixture = wav.reshape(-1, 1, wav.shape[-1])
        estimates = self(mixture)[:, :, 0]
        return torch.as_tensor(estimates[0] if wav.ndim == 1 else estimates)

    def get_model_args(self) -> dict[str, Any]:
        """Arguments that make this network again, JSON-able."""
        return {
            "hierarchy": self.hierarchy.to_dict(),
            "nodes": list(self.nodes),
            "sample_rate": self.sample_rate,
            "spectrum": self.spectrum_config.to_dict(),
            "network": self.network_config.to_dict(),
        }

    @classmethod
    def from_pretrained(cls, pretrained_model_conf_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a network from a checkpoint file, or from the dict that ``serialize`` gives; nothing is unpickled."""
        if isinstance(pretrained_model_conf_or_path, dict):
            return super().from_pretrained(pretrained_model_conf_or_path, *args, **kwargs)
        return checkpoint.from_pretrained(pretrained_model_conf_or_path)


def _checked_path(hierarchy: Hierarchy, nodes: Sequence[str]) -> tuple[str, ...]:
    if not nodes:
        raise ConfigError("nodes: expected one or more ids of a path, got none")
    path = hierarchy.path(nodes[-1])[1:]
    if tuple(node for node in path if node in nodes) != tuple(nodes):
        raise ConfigError(
            f"nodes: expected nodes of one path below the root, coarse to fine, such as {', '.join(path)}; "
            f"got {', '.join(nodes)}"
        )
    return tuple(nodes)
