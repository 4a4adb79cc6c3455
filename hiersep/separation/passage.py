"""The way of a mixture through a network, in bounded memory."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from hiersep import __version__, audio
from hiersep.errors import ConfigError, DataError, HierarchyError, near_miss
from hiersep.files import fingerprint
from hiersep.models.query import QuerySeparator
from hiersep.separation.segments import cross_fade
from hiersep.separation.settings import SeparationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from hiersep.audio import Slices
    from hiersep.models.separator import Separation, Separator
    from hiersep.separation.segments import Segments


RESIDUAL = "residual"  # what the outermost of the wanted nodes leave of the mixture


def choose_nodes(model: Separator, nodes: Sequence[str] | None) -> tuple[str, ...]:
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
    """A network made ready for mixtures of any rate, length and number of channels.

    What comes out is given as soon as it is finished. Of a mixture nothing is asked but slices, in order, so it may be
    larger than memory.

    Args:
        model: The network; it is moved to the device, and set to evaluation.
        nodes: Names of the wanted nodes. Default: all that the network estimates.
        condition: The anchor, for a network that is asked by a query.
        device: Where to run: ``cpu``, ``cuda``, ``mps``. Default: the fastest at hand.
        settings: How mixtures are cut, and more.

    Attributes:
        model: The network.
        nodes: The wanted nodes, in the network's order.

    Shape:
        condition: (1, dim).

    Raises:
        ConfigError: If a network that needs an anchor has none, or another one has it; or there is no such device.
        HierarchyError: If the network does not estimate a wanted node.
    """

    def __init__(
        self,
        model: Separator,
        *,
        nodes: Sequence[str] | None = None,
        condition: torch.Tensor | None = None,
        device: str | None = None,
        settings: SeparationSettings | None = None,
    ):
        if isinstance(model, QuerySeparator) != (condition is not None):
            expected, got = ("an anchor", "none") if condition is None else ("none", "an anchor")
            raise ConfigError(f"condition: expected {expected} for a {type(model).__name__}, got {got}")
        self.nodes = choose_nodes(model, nodes)
        self.device, self.settings = choose_device(device), settings or SeparationSettings()
        self.model = model.to(self.device).eval()
        self._rows = None if self.nodes == model.nodes else [model.nodes.index(node) for node in self.nodes]
        self._condition = None if condition is None else condition.to(self.device)
        self._most = self.settings.batch_size  # segments at once, until memory says otherwise

    def estimates(self, mixture: npt.NDArray[Any] | Slices, sample_rate: int) -> Iterator[npt.NDArray[np.float32]]:
        """Estimate the waveforms of the nodes from a mixture of any rate; it is resampled on the way in and out.

        Args:
            mixture: The mixture, with one sample at least.
            sample_rate: Its rate in Hz.

        Shape:
            mixture: (channel, time); output: (node, channel, any), which laid end to end are as long as the mixture.
        """
        rate, (channels, length) = int(self.model.sample_rate), mixture.shape
        if rate == sample_rate:
            yield from self.waveforms(mixture)
            return
        stretches = self.waveforms(resampled(mixture, sample_rate, rate))
        flat = (
            stretch.reshape(stretch.shape[0] * channels, stretch.shape[-1]) for stretch in stretches
        )  # (node * channel, any)
        for block in audio.fit_blocks(audio.resample_blocks(flat, rate, sample_rate), length):
            yield block.reshape(len(self.nodes), channels, block.shape[-1])

    @functools.cached_property
    def key(self) -> str | None:
        """A digest of all that the estimates depend on beside the mixture; None where that cannot be known.

        Of the weights as they are when it is first asked for: of many mixtures they are read once.
        """
        anchor = None if self._condition is None else self._condition.tolist()
        settings = [dataclasses.asdict(self.settings), self.device, torch.__version__, __version__]
        return self.model.key and fingerprint([self.model.key, list(self.nodes), anchor, *settings])

    def whole(self, mixture: npt.NDArray[Any], sample_rate: int) -> npt.NDArray[np.float32]:
        """Estimate as `estimates` does, in one array.

        Shape:
            mixture: (channel, time); output: (node, channel, time).

        Raises:
            DataError: If there are no samples.
        """
        if not mixture.shape[-1]:
            raise DataError("expected a mixture with samples, got none")
        whole = np.empty((len(self.nodes), *mixture.shape), np.float32)
        begin = 0
        for stretch in self.estimates(mixture, sample_rate):
            whole[..., begin : begin + stretch.shape[-1]] = stretch
            begin += stretch.shape[-1]
        return whole

    def residual(self, mixture: npt.NDArray[Any], estimates: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give what the outermost of the wanted nodes leave of the mixture: these and it sum to the mixture.

        Shape:
            mixture: (channel, time); estimates: (node, channel, time); output: (channel, time).
        """
        return np.asarray(mixture - estimates[self._outermost].sum(axis=0))

    @property
    def _outermost(self) -> list[int]:
        if isinstance(self.model, QuerySeparator):
            return [0]  # its nodes are levels, each within the one before
        above = [set(self.model.hierarchy.path(node)[:-1]) for node in self.nodes]
        return [place for place, names in enumerate(above) if not names & set(self.nodes)]

    def waveforms(self, mixture: npt.NDArray[Any] | Slices) -> Iterator[npt.NDArray[np.float32]]:
        """Estimate the waveforms of the nodes from a mixture of the network's rate.

        Shape:
            mixture: (channel, time); output: (node, channel, any), which laid end to end are as long as the mixture.
        """
        segments = self._lay_out(mixture)
        return cross_fade(self._pieces(mixture, segments, self._shifted_waveforms), segments)

    def masks(self, mixture: npt.NDArray[Any] | Slices) -> Iterator[npt.NDArray[Any]]:
        """Estimate the masks of the nodes, for the STFT of the whole mixture, of the network's rate; without shifts.

        Shape:
            mixture: (channel, time); output: (node, channel, freq, any), which laid end to end have all frames.
        """
        segments = self._lay_out(mixture)
        frames = segments.in_frames(self.model.stft.hop_length)
        return cross_fade(self._pieces(mixture, segments, lambda batch: self._separate(batch).masks), frames)

    def _lay_out(self, mixture: npt.NDArray[Any] | Slices) -> Segments:
        rate, hop = int(self.model.sample_rate), self.model.stft.hop_length
        return self.settings.lay_out(mixture.shape[-1], hop=hop, sample_rate=rate)

    def _pieces(
        self,
        mixture: npt.NDArray[Any] | Slices,
        segments: Segments,
        work: Callable[[torch.Tensor], torch.Tensor],
    ) -> Iterator[npt.NDArray[Any]]:
        """Send the segments through the network, and give what is wanted of each, in order."""
        items = 1 if self.settings.downmix else mixture.shape[0]
        batches = segments.batches(self.settings.batch_size // items)
        # A bar is shown in a terminal, and only where there is more than one step to wait for.
        for starts in tqdm(batches, desc="Separating", leave=False, disable=None if len(batches) > 1 else True):
            batch = np.stack([mixture[:, start : start + segments.length] for start in starts])
            yield from self._work_off(torch.from_numpy(batch), work)

    def _work_off(
        self, batch: torch.Tensor, work: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[npt.NDArray[Any]]:
        """Do the work in as many parts as the device's memory makes of it."""
        done = 0
        while done < len(batch):
            part = batch[done : done + self._most]
            try:
                with torch.inference_mode():
                    results = work(part.to(self.device, torch.float32)).cpu().numpy()  # (segment, node, channel, ...)
            except torch.OutOfMemoryError as error:
                if len(part) == 1:
                    raise ConfigError(
                        f"device: expected memory for a segment of {part.shape[-1] / self.model.sample_rate:.1f} s on "
                        f"{self.device}, got too little; set a smaller segment_s, or take the device cpu"
                    ) from error
                self._most = len(part) // 2
            else:
                done += len(part)
                yield from results
                del results  # else it would lie there while the next part is worked on
                continue
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()  # only here has the error let go of what the network had begun

    def _shifted_waveforms(self, batch: torch.Tensor) -> torch.Tensor:
        """Average the waveforms over the shifts.

        Shape:
            batch: (segment, channel, time); output: (segment, node, channel, time).
        """
        shifts, hop = self.settings.shifts, self.model.stft.hop_length
        waveforms = self._separate(batch).waveforms()
        for number in range(1, shifts):
            shift = number * hop // shifts
            waveforms += self._separate(functional.pad(batch, (shift, 0))).waveforms()[..., shift:]
        return waveforms / shifts

    def _separate(self, batch: torch.Tensor) -> Separation:
        condition = None if self._condition is None else self._condition.expand(len(batch), -1)
        shown = batch.mean(dim=1, keepdim=True) if self.settings.downmix else batch
        separation: Separation = self.model.separate_batch(shown, condition)
        if self._rows is not None:
            separation = separation._replace(masks=separation.masks[:, self._rows])
        if shown is batch:
            return separation
        masks = separation.masks.expand(-1, -1, batch.shape[1], -1, -1)
        return separation._replace(mixture=batch, spectrum=self.model.stft(batch), masks=masks)


def resampled(mixture: npt.NDArray[Any] | Slices, source_rate: int, target_rate: int) -> Slices:
    """Give slices of a mixture at another rate; it keeps at least one sample, even where there is less at that rate."""
    channels, length = mixture.shape
    step = audio.blocks.BLOCK_FRAMES
    blocks = (mixture[:, start : start + step] for start in range(0, length, step))
    frames = max(1, round(length * target_rate / source_rate))
    return audio.Slices(audio.resample_blocks(blocks, source_rate, target_rate), channels, frames)
