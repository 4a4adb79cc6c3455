"""What a mixture is made of: events, each an excerpt of one stem and what is done to it.

A `MixtureSpec` says all that the audio of a mixture depends on, besides the data set itself: equal specs give equal
samples. The sampler and the mixers write specs, `hiersep.data.mixing` makes audio of them, and an annotation is a
spec on disk. The terms are scaper's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One stem in a mixture.

    Attributes:
        track: Index of the track in the catalog.
        stem: Index of the stem in the track.
        source_time: Where the excerpt begins in the stem, in seconds.
        duration: Length of the excerpt in the stem, in seconds; what lies past the stem's end is silence.
        event_time: Where it begins in the mixture, in seconds.
        gain_db: How much louder it is made.
        pitch_shift: In semitones.
        time_stretch: Factor on its length.
        augmentation: Seed of the augmentation of this stem; None: none.
    """

    track: int
    stem: int
    source_time: float
    duration: float
    event_time: float = 0.0
    gain_db: float = 0.0
    pitch_shift: float = 0.0
    time_stretch: float = 1.0
    augmentation: int | None = None


@dataclass(frozen=True)
class MixtureSpec:
    """One mixture.

    Attributes:
        events: The stems that sound.
        claims: Node that claims each event, for the hierarchy at hand; None where no node does.
        duration: Of the mixture in seconds.
        track: Index of the track that lent its instrumentation, or whose excerpt it is; None where events were drawn
            one by one.
        start_s: Where the excerpt of that track begins, in seconds.
        target: The node that is asked for; None where the nodes are the same in every item.
        query: The excerpt that shows what is asked for, from another track; None without a query.
    """

    events: tuple[Event, ...]
    claims: tuple[str | None, ...]
    duration: float
    track: int | None = None
    start_s: float = 0.0
    target: str | None = None
    query: Event | None = None
