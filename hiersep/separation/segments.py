"""Cut audio into equal, overlapping segments, and cross-fade what a network makes of them.

Segments of one mixture are equally long, so that several go through a network as one batch; they begin on the STFT's
grid of frames, so that a segment's frame is a frame of the whole; the last one ends where the mixture ends. Neighbours
are cross-faded in the middle third of what they share, by ramps that sum to one. So the segmenting changes nothing for
a network that hears no further than a third of the overlap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt


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
        begin, fading = apart, piece[..., end : segments.length - apart].copy()  # and let go of the rest


def _rising(width: int) -> npt.NDArray[np.float32]:
    return ((np.arange(width) + 0.5) / max(width, 1)).astype(np.float32)
