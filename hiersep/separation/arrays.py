"""From a mixture to the nodes of a network, as arrays and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from hiersep import audio
from hiersep.errors import ConfigError, DataError, HierarchyError, near_miss
from hiersep.models.query import QuerySeparator
from hiersep.separation.segments import Segmenting, cross_fade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hiersep.models.separator import MaskingSeparator, Separation
    from hiersep.separation.segments import Segments


def choose_nodes(model: MaskingSeparator, nodes: Sequence[str] | None) -> tuple[str, ...]:
    """Order the wanted nodes as the network does, coarse to fine.

    Raises:
        HierarchyError: If there are none, or the network does not estimate one of them; the message names the near
            miss.
    """
    if nodes is not None and not nodes:
        raise HierarchyError(f"nodes: expected one or more of {', '.join(model.nodes)}, got none")
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


class Passage:
    """The way of a mixture through a network, segment by segment; what comes out is given as soon as it is finished.

    Mixtures have the network's rate. Of one nothing is asked but slices, in order, so it may be larger than memory.

    Args:
        model: The network; it is moved to the device, and set to evaluation.
        nodes: Names of the wanted nodes. Default: all that the network estimates.
        condition: The anchor, for a network that is asked by a query.
        device: Where to run.
        segmenting: How the mixture is cut.

    Attributes:
        nodes: The wanted nodes, in the network's order.

    Shape:
        condition: (1, dim).

    Raises:
        ConfigError: If a network that needs an anchor has none, or another one has it.
        HierarchyError: If the network does not estimate a wanted node.
    """

    def __init__(
        self,
        model: MaskingSeparator,
        *,
        nodes: Sequence[str] | None = None,
        condition: torch.Tensor | None = None,
        device: str = "cpu",
        segmenting: Segmenting | None = None,
    ):
        if isinstance(model, QuerySeparator) != (condition is not None):
            expected, got = ("an anchor", "none") if condition is None else ("none", "an anchor")
            raise ConfigError(f"condition: expected {expected} for a {type(model).__name__}, got {got}")
        self.model = model.to(device).eval()
        self.nodes = choose_nodes(model, nodes)
        self.device, self.segmenting = device, segmenting or Segmenting()
        self._rows = None if self.nodes == model.nodes else [model.nodes.index(node) for node in self.nodes]
        self._condition = None if condition is None else condition.to(device)

    def waveforms(self, mixture: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
        """Estimate the waveforms of the nodes.

        Shape:
            mixture: (channel, time); output: (node, channel, any), which laid end to end are as long as the mixture.
        """
        segments = self._lay_out(mixture)
        return cross_fade(self._pieces(mixture, segments, lambda separation: separation.waveforms()), segments)

    def masks(self, mixture: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """Estimate the masks of the nodes, for the STFT of the whole mixture.

        Shape:
            mixture: (channel, time); output: (node, channel, freq, any), which laid end to end have all frames.
        """
        segments = self._lay_out(mixture)
        frames = segments.in_frames(self.model.stft.hop_length)
        return cross_fade(self._pieces(mixture, segments, lambda separation: separation.masks), frames)

    def _lay_out(self, mixture: npt.NDArray[Any]) -> Segments:
        rate, hop = int(self.model.sample_rate), self.model.stft.hop_length
        return self.segmenting.lay_out(mixture.shape[-1], hop=hop, sample_rate=rate)

    def _pieces(
        self, mixture: npt.NDArray[Any], segments: Segments, result: Callable[[Separation], torch.Tensor]
    ) -> Iterator[npt.NDArray[Any]]:
        """Send the segments through the network, and give what is wanted of each, in order."""
        batches = segments.batches(self.segmenting.batch_size // mixture.shape[0])
        # A bar is shown in a terminal, and only where there is more than one step to wait for.
        for starts in tqdm(batches, desc="Separating", leave=False, disable=None if len(batches) > 1 else True):
            batch = np.stack([mixture[:, start : start + segments.length] for start in starts])
            with torch.inference_mode():
                separation = self._separate(torch.from_numpy(batch).to(self.device, torch.float32))
                results = result(separation).cpu().numpy()  # (segment, node, channel, ...)
            del separation
            yield from results

    def _separate(self, batch: torch.Tensor) -> Separation:
        condition = None if self._condition is None else self._condition.expand(len(batch), -1)
        separation: Separation = self.model.separate_batch(batch, condition)
        return separation if self._rows is None else separation._replace(masks=separation.masks[:, self._rows])


def separate(
    samples: npt.NDArray[Any],
    sample_rate: int,
    model: MaskingSeparator,
    *,
    nodes: Sequence[str] | None = None,
    condition: torch.Tensor | None = None,
    device: str = "cpu",
    segmenting: Segmenting | None = None,
) -> npt.NDArray[np.float32]:
    """Estimate nodes of a network from audio of any length.

    Audio at another rate than the network's is resampled on the way in and out.

    Args:
        samples: The mixture.
        sample_rate: Its rate in Hz.
        model: The network.
        nodes: Names of the wanted nodes. Default: all that the network estimates.
        condition: The anchor, for a network that is asked by a query.
        device: Where to run.
        segmenting: How the mixture is cut.

    Shape:
        samples: (channel, time); condition: (1, dim); output: (node, channel, time), nodes in the network's order.

    Raises:
        ConfigError: If a network that needs an anchor has none, or another one has it.
        DataError: If there are no samples.
        HierarchyError: If the network does not estimate a wanted node.
    """
    mixture = at_rate_of(model, samples, sample_rate)
    passage = Passage(model, nodes=nodes, condition=condition, device=device, segmenting=segmenting)
    estimates = np.empty((len(passage.nodes), *mixture.shape), np.float32)
    begin = 0
    for stretch in passage.waveforms(mixture):
        estimates[..., begin : begin + stretch.shape[-1]] = stretch
        begin += stretch.shape[-1]
    rate, length = int(model.sample_rate), samples.shape[-1]
    if rate == sample_rate:
        return estimates
    return np.stack([audio.resample(estimate, rate, sample_rate, length=length) for estimate in estimates])


def at_rate_of(model: MaskingSeparator, samples: npt.NDArray[Any], sample_rate: int) -> npt.NDArray[np.float32]:
    """Bring a mixture to a network's rate; it keeps at least one sample, even where there is less at that rate.

    Shape:
        samples: (channel, time); output: (channel, time').

    Raises:
        DataError: If there are no samples.
    """
    if not samples.shape[-1]:
        raise DataError("expected a mixture with samples, got none")
    resampled = audio.resample(samples, sample_rate, int(model.sample_rate))
    return np.asarray(audio.fit_length(resampled, max(1, resampled.shape[-1])))


def write_estimates(
    path: Path,
    model: MaskingSeparator,
    out: Path,
    *,
    nodes: Sequence[str] | None = None,
    condition: torch.Tensor | None = None,
    device: str | None = None,
    file_format: audio.FileFormat | None = None,
) -> list[Path]:
    """Separate one file into ``out/NODE.wav``, at its own rate, channels and length.

    Args:
        path: The mixture.
        model: The network.
        out: The folder; it is made.
        nodes: Names of the nodes, or levels, wanted. Default: all that the network estimates.
        condition: The anchor, for a network that is asked by a query.
        device: Where to run. Default: the fastest at hand.
        file_format: What is written. Default: wav of 32-bit float, which keeps what lies above full scale.

    Returns:
        The files, coarse to fine.

    Shape:
        condition: (1, dim).

    Raises:
        ConfigError: If a network that needs an anchor has none, or another one has it.
        HierarchyError: If the network does not estimate a wanted node.
        DataError: If the file cannot be read or the folder not written to.
    """
    suffix, subtype = file_format or audio.FileFormat.of("wav")
    samples, sample_rate = audio.read(path)
    if not samples.shape[-1]:
        raise DataError(f"{path}: expected audio, got a file with 0 samples")
    chosen = choose_nodes(model, nodes)
    device = choose_device(device)
    estimates = separate(samples, sample_rate, model, nodes=chosen, condition=condition, device=device)
    files = []
    for node, estimate in zip(chosen, estimates, strict=True):
        files.append(out / f"{node}{suffix}")
        audio.write(files[-1], estimate, sample_rate, subtype=subtype)
    return files
