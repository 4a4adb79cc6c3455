"""Cut audio into equal, overlapping segments, and cross-fade what a network makes of them.

Segments of one mixture are equally long, so that several go through a network as one batch; they begin on the STFT's
grid of frames, so that a segment's frame is a frame of the whole; the last one ends where the mixture ends. Neighbours
are cross-faded in the middle third of what they share, by ramps that sum to one. So the segmenting changes nothing for
a network that hears no further than a third of the overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hiersep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

# The paper's network, on two cores, takes a third of the time for four segments or more at once than for one; longer
# segments than these would leave too few of a short song, and shorter ones share more of the whole.
SEGMENT_S = 15.0
BATCH_SIZE = 8
# By `benchmarks/inference.py`: no overlap, not even none at all, loses 0.05 dB of SI-SDR; but below a second the
# estimates differ from those over the whole far more at the joins than elsewhere.
OVERLAP_S = 1.0


class Segments(NamedTuple):
    """Where the segments of a mixture lie, in samples or in frames.

    Attributes:
        starts: First one of each.
        length: Of each.
    """

    starts: tuple[int, ...]
    length: int

    def in_frames(self, hop: int) -> Segments:
        """The same in frames of an exact-length STFT."""
        frames = 1 + (self.length + (hop - 1) // 2) // hop  # rounded, halves down, as `hiersep.stft` does
        return Segments(tuple(start // hop for start in self.starts), frames)

    def batches(self, most: int) -> list[list[int]]:
        """Put the starts together, at most so many and at least one, to batches of about equal size."""
        count = math.ceil(len(self.starts) / max(1, most))
        return [[int(start) for start in starts] for starts in np.array_split(self.starts, count)]


@dataclass(frozen=True)
class Segmenting:
    """How audio is cut.

    Attributes:
        segment_s: Most seconds of a segment, rounded up to whole frames.
        overlap_s: Least seconds that neighbours share, rounded down to whole frames; at most half of `segment_s`.
        batch_size: Most items that go through the network at once, where an item is one channel of a segment; one
            segment goes through in any case.

    Raises:
        ConfigError: If the overlap is more than half a segment, or there is nothing in a batch.

    Example:
        >>> Segmenting(segment_s=4.0, overlap_s=1.0).lay_out(1003, hop=10, sample_rate=100)
        Segments(starts=(0, 300, 600), length=403)
    """

    segment_s: float = SEGMENT_S
    overlap_s: float = OVERLAP_S
    batch_size: int = BATCH_SIZE

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.overlap_s <= self.segment_s / 2 or not 0 < self.segment_s < math.inf:
            raise ConfigError(f"overlap_s: expected 0 to half of segment_s = {self.segment_s}, got {self.overlap_s}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {self.batch_size}")

    def lay_out(self, length: int, *, hop: int, sample_rate: int) -> Segments:
        """Place as few segments as will do, at about equal distances.

        Args:
            length: Of the mixture, in samples.
            hop: Step of the grid in samples.
            sample_rate: In Hz.
        """
        most = math.ceil(self.segment_s * sample_rate / hop)
        shared = math.floor(self.overlap_s * sample_rate / hop)
        frames, rest = divmod(length, hop)
        count = max(1, math.ceil((frames - shared) / (most - shared)))
        each = math.ceil((frames + (count - 1) * shared) / count)
        starts = [number * (frames - each) // max(1, count - 1) * hop for number in range(count)]
        # With the rest each ends between frames, as the mixture does: so the last one can begin on the grid.
        return Segments(tuple(starts), each * hop + rest)


def cross_fade(pieces: Iterable[npt.NDArray[Any]], segments: Segments) -> Iterator[npt.NDArray[Any]]:
    """Join what was made of segments, and give it stretch by stretch, each as soon as it is finished.

    Args:
        pieces: One for each segment, in order.
        segments: Where they lie.

    Shape:
        pieces: (..., length); output: (..., any), which laid end to end are as long as all segments together.
    """
    begin, fading = 0, None
    for start, following, piece in zip(segments.starts, (*segments.starts[1:], None), pieces, strict=True):
        shared = 0 if following is None else start + segments.length - following
        apart = shared // 3  # at an end of the segment, where another has heard more of what is around
        end = segments.length - (shared - apart)
        if fading is not None:
            width = fading.shape[-1]
            rising = _rising(width)
            yield fading * (1 - rising) + piece[..., begin : begin + width] * rising
            begin += width
        yield piece[..., begin:end]
        begin, fading = apart, piece[..., end : segments.length - apart]


def _rising(width: int) -> npt.NDArray[np.float32]:
    return ((np.arange(width) + 0.5) / max(width, 1)).astype(np.float32)
