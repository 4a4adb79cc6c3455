"""How a separation is done: in segments of which length, how often, on which channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hiersep.errors import ConfigError
from hiersep.separation.segments import Segments

# Longer segments would leave too few of a short song, and shorter ones share more of the whole. A minute is cut into
# five of 12.8 s, an hour into segments as long: it takes no more memory.
SEGMENT_S = 13.0
# The paper's network, on two cores, takes a third of the time for four or more at once than for one; the largest of the
# shipped ones, `tree`, gains nothing from more, and would need more than 1 GB.
BATCH_SIZE = 4
# By `benchmarks/inference.py`: no overlap, not even none at all, loses 0.05 dB of SI-SDR; but below a second the
# estimates differ from those over the whole far more at the joins than elsewhere.
OVERLAP_S = 1.0
MOST_SHIFTS = 64


@dataclass(frozen=True)
class SeparationSettings:
    """How audio is cut, and what of it the network is shown.

    Attributes:
        segment_s: Most seconds of a segment, rounded up to whole frames.
        overlap_s: Least seconds that neighbours share, rounded down to whole frames; at most half of `segment_s`.
        batch_size: Most items that go through the network at once, where an item is one channel of a segment; one
            segment goes through in any case. Where a GPU has too little memory for them, half as many do, and so on.
        shifts: How often each segment goes through, shifted against the STFT's frames by a part of their distance; the
            waveforms are averaged. As much slower as there are shifts.
        downmix: Show the network the mean of the channels, once, and apply its masks to each channel; else every
            channel goes through by itself. Faster, and an instrument stays where it stands between the channels; what
            is in antiphase is not seen.

    Raises:
        ConfigError: If the overlap is more than half a segment, there is nothing in a batch, or nothing goes through.

    Example:
        >>> SeparationSettings(segment_s=4.0, overlap_s=1.0).lay_out(1003, hop=10, sample_rate=100)
        Segments(starts=(0, 300, 600), length=403)
    """

    segment_s: float = SEGMENT_S
    overlap_s: float = OVERLAP_S
    batch_size: int = BATCH_SIZE
    shifts: int = 1
    downmix: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.overlap_s <= self.segment_s / 2 or not 0 < self.segment_s < math.inf:
            raise ConfigError(f"overlap_s: expected 0 to half of segment_s = {self.segment_s}, got {self.overlap_s}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {self.batch_size}")
        if not 1 <= self.shifts <= MOST_SHIFTS:
            raise ConfigError(f"shifts: expected 1 to {MOST_SHIFTS}, got {self.shifts}")

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
