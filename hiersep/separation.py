"""Apply a network to audio of any length, rate and number of channels.

Long audio goes through the network in overlapping segments, so that memory for the network's work is bounded by one.
Segments begin on the STFT's grid of frames and are cross-faded in the middle third of what they share, by ramps that
sum to one: so the segmenting changes nothing for a network that hears no further than a third of the overlap.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from hiersep import audio
from hiersep.compat import nussl
from hiersep.errors import ConfigError, DataError, HierarchyError, near_miss
from hiersep.models.checkpoint import from_pretrained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hiersep.models.separator import MaskingSeparator

SEGMENT_S = 60.0
OVERLAP_S = 4.0


class HierarchicalSeparator(nussl.separation.base.SeparationBase):
    """Take a mixture apart at the levels of a path, as a nussl separation object.

    Args:
        mix: The mixture, an AudioSignal of any rate, length and number of channels, or an audio file's path.
        model: A network, or the path of a checkpoint.
        nodes: Ids of the nodes wanted. Default: all that the network estimates.
        device: Where to run: ``cpu``, ``cuda``, ``mps``. Default: a GPU where there is one.

    Raises:
        ConfigError: If there is no such device.
        HierarchyError: If the network does not estimate a wanted node.
        CheckpointError: If the checkpoint cannot be loaded.
        DataError: If the mixture cannot be read, or has no samples.

    Example:
        >>> separator = HierarchicalSeparator(
        ...     "song.wav", model="best.safetensors", nodes=["guitar"]
        ... )  # doctest: +SKIP
        >>> (guitar,) = separator()  # doctest: +SKIP
        >>> guitar.write_audio_to_file("guitar.wav")  # doctest: +SKIP
    """

    def __init__(
        self,
        mix: Any,
        model: MaskingSeparator | str | os.PathLike[str],
        *,
        nodes: Sequence[str] | None = None,
        device: str | None = None,
    ):
        if isinstance(mix, str | os.PathLike):
            samples, sample_rate = audio.read(mix)
            mix = nussl.AudioSignal(audio_data_array=samples, sample_rate=sample_rate)
        if not mix.has_data or not mix.signal_length:
            raise DataError("mix: expected a mixture with samples, got an empty AudioSignal")
        self.device = choose_device(device)
        self.model = from_pretrained(model) if isinstance(model, str | os.PathLike) else model
        self.model.to(self.device).eval()
        self.nodes = choose_nodes(self.model, nodes)
        super().__init__(mix)
        self.metadata["nodes"] = list(self.nodes)

    def _preprocess_audio_signal(self) -> None:
        """Forget what belongs to the mixture before; nussl calls this whenever a mixture is set."""
        self._estimates: npt.NDArray[np.float32] | None = None
        self._result_masks: list[Any] | None = None

    def run(self) -> None:
        """Separate; `make_audio_signals` gives the estimates, `result_masks` the masks."""
        self._estimates = self._separated()

    def _separated(self) -> npt.NDArray[np.float32]:
        rows = [self.model.nodes.index(node) for node in self.nodes]
        samples, rate = self.audio_signal.audio_data, self.audio_signal.sample_rate
        return separate(samples, rate, self.model, device=self.device)[rows]

    @property
    def result_masks(self) -> list[Any]:
        """One nussl SoftMask per node, ``(freq, frame, channel)``, at the *network's* rate and STFT.

        Estimated on first use, over the whole mixture at once.

        Raises:
            ConfigError: If the network's masks are complex; nussl has no such masks.
        """
        if self.model.network_config.mask == "complex":
            raise ConfigError("result_masks: expected a network with real masks, got complex ones; use the estimates")
        if self._result_masks is None:
            samples, rate = self.audio_signal.audio_data, self.audio_signal.sample_rate
            mixture = torch.from_numpy(audio.resample(samples, rate, int(self.model.sample_rate)))
            with torch.inference_mode():
                masks = self.model.separate_batch(mixture[None].to(self.device)).masks[0]
            arrays = masks.permute(0, 2, 3, 1).cpu().numpy()  # (node, freq, frame, channel)
            rows = [self.model.nodes.index(node) for node in self.nodes]
            self._result_masks = [nussl.core.masks.SoftMask(arrays[row]) for row in rows]
        return self._result_masks

    def make_audio_signals(self) -> list[Any]:
        """Give the estimates, coarse to fine, at the mixture's rate, channels and exact length; separate if need be."""
        if self._estimates is None:
            self._estimates = self._separated()
        return [self.audio_signal.make_copy_with_audio_data(estimate) for estimate in self._estimates]

    def to_dict(self) -> dict[str, Any]:
        """Give the estimates by node; separate if need be."""
        return dict(zip(self.nodes, self.make_audio_signals(), strict=True))


def choose_nodes(model: MaskingSeparator, nodes: Sequence[str] | None) -> tuple[str, ...]:
    """Order the wanted nodes as the network does, coarse to fine.

    Raises:
        HierarchyError: If the network does not estimate one of them; the message names the near miss.
    """
    for node in nodes or ():
        if node not in model.nodes:
            hint = near_miss(node, model.nodes)
            raise HierarchyError(f"unknown node '{node}'; this model estimates {', '.join(model.nodes)}{hint}")
    return tuple(node for node in model.nodes if nodes is None or node in nodes)


def choose_device(name: str | None = None) -> str:
    """Check that a device is there; by default name the fastest at hand.

    Raises:
        ConfigError: If there is no device of this name.
    """
    at_hand = ["cpu"]
    if torch.backends.mps.is_available():
        at_hand.append("mps")
    if torch.cuda.is_available():
        at_hand.append("cuda")
    if name is None:
        return at_hand[-1]
    if name.split(":")[0] not in at_hand:
        raise ConfigError(f"device: expected {' or '.join(at_hand)}, which this machine has, got {name!r}")
    return name


def separate(
    samples: npt.NDArray[Any],
    sample_rate: int,
    model: MaskingSeparator,
    *,
    device: str = "cpu",
    segment_s: float = SEGMENT_S,
    overlap_s: float = OVERLAP_S,
) -> npt.NDArray[np.float32]:
    """Estimate every node of a network from audio of any length.

    Audio at another rate than the network's is resampled on the way in and out.

    Args:
        samples: The mixture.
        sample_rate: Its rate in Hz.
        model: The network.
        device: Where to run.
        segment_s: Seconds that go through the network at once, rounded up to whole frames.
        overlap_s: Seconds that neighbouring segments share, rounded down; at most half of `segment_s`.

    Shape:
        samples: (channel, time); output: (node, channel, time).

    Raises:
        ConfigError: If the overlap is more than half a segment.
        DataError: If there are no samples.
    """
    if not 0 <= overlap_s <= segment_s / 2 or segment_s <= 0:
        raise ConfigError(f"overlap_s: expected 0 to half of segment_s = {segment_s}, got {overlap_s}")
    if not samples.shape[-1]:
        raise DataError("expected a mixture with samples, got none")
    rate, hop = int(model.sample_rate), model.stft.hop_length
    resampled = audio.resample(samples, sample_rate, rate)
    # A sample or two at a higher rate may be none at the network's.
    mixture = torch.from_numpy(audio.fit_length(resampled, max(1, resampled.shape[-1])))
    estimates = np.zeros((len(model.nodes), *mixture.shape), np.float32)
    overlap = math.floor(overlap_s * rate / hop) * hop
    step = math.ceil(segment_s * rate / hop) * hop - overlap
    model = model.to(device).eval()
    starts = range(0, max(1, mixture.shape[-1] - overlap), step)
    for start in tqdm(
        starts, desc="Separating", unit="segment", leave=False, disable=None if len(starts) > 1 else True
    ):
        segment = mixture[:, start : start + step + overlap]
        with torch.inference_mode():
            separated = model(segment[None].to(device))[0].cpu().numpy()  # (node, channel, time)
        end = start + segment.shape[-1]
        separated *= _ramps(segment.shape[-1], overlap, start > 0, end < mixture.shape[-1])
        estimates[..., start:end] += separated
    return np.stack([audio.resample(e, rate, sample_rate, length=samples.shape[-1]) for e in estimates])


def _ramps(length: int, overlap: int, fade_in: bool, fade_out: bool) -> npt.NDArray[np.float32]:
    """Weights of a segment; where two segments overlap their weights sum to one."""
    weights = np.ones(length, np.float32)
    position = (np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1)  # in the overlap, 0 to 1
    rising = np.clip(3 * position - 1, 0, 1)
    if fade_in:
        weights[:overlap] = rising[:length]
    if fade_out:
        weights[length - overlap :] = 1 - rising
    return weights


def write_estimates(
    path: Path,
    model: MaskingSeparator,
    out: Path,
    *,
    nodes: Sequence[str] | None = None,
    device: str | None = None,
) -> list[Path]:
    """Separate one file into ``out/NODE.wav``, 32-bit float, at its own rate, channels and length.

    Returns:
        The files, coarse to fine.

    Raises:
        DataError: If the file cannot be read or the folder not written to.
    """
    samples, sample_rate = audio.read(path)
    if not samples.shape[-1]:
        raise DataError(f"{path}: expected audio, got a file with 0 samples")
    chosen = choose_nodes(model, nodes)
    estimates = separate(samples, sample_rate, model, device=choose_device(device))
    files = []
    for node, estimate in zip(model.nodes, estimates, strict=True):
        if node in chosen:
            files.append(out / f"{node}.wav")
            audio.write(files[-1], estimate, sample_rate, subtype="FLOAT")
    return files
