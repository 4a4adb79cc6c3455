"""Make the audio of a mixture: its events, then the mixture and one submix per node, with one matrix product.

    stems (S, T)  --membership (N, S)-->  node submixes (N, T)

The row of a node is the stems that it claims itself plus the sum of its children's rows; the root's row is all
ones. So a parent is the sum of its children (and of what it claims itself) by construction, and the mixture is
the sum of all stems, claimed or not.

An event is an excerpt of a stem that is, in this order: shifted and stretched, augmented, made louder, and placed.
Pitch and time are sox's, as scaper uses them (`pitch`, `tempo -s`), so that an annotation means the same to both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hiersep import audio
from hiersep.data.reading import read_block, read_excerpt

if TYPE_CHECKING:
    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import Event, MixtureSpec

    Samples = npt.NDArray[np.float32]


def realise(catalog: Catalog, spec: MixtureSpec, channels: int = 1) -> Samples:
    """Make the audio of every event, placed in the mixture's length.

    Args:
        catalog: The data set.
        spec: The mixture.
        channels: 1 takes the mean of a stem's channels; 2 gives a mono stem to both sides.

    Returns:
        What each event adds to the mixture, which is their sum. Unit: full scale; peaks are not protected.

    Shape:
        output: (event, channel, time).

    Raises:
        HiersepError: If an event is augmented and pedalboard is not installed.
    """
    length = round(spec.duration * catalog.sample_rate)
    if _is_excerpt_of_track(catalog, spec):
        first = spec.events[0]
        stems = read_block(catalog, first.track, first.source_time, length, channels)
        gains_db = np.array([event.gain_db for event in spec.events], np.float32)
        if gains_db.any():
            stems *= _factor(gains_db)[:, None, None]
        return stems
    stems = np.zeros((len(spec.events), channels, length), np.float32)
    for stem, event in zip(stems, spec.events, strict=True):
        samples = _augmented(catalog, event, shape_event(catalog, event, channels))
        start = round(event.event_time * catalog.sample_rate)
        room = stem[:, start : start + samples.shape[-1]]
        np.multiply(samples[:, : room.shape[-1]], _factor(event.gain_db), out=room)
    return stems


def realise_query(catalog: Catalog, spec: MixtureSpec, channels: int = 1) -> Samples | None:
    """Make the audio of what shows the target of a mixture; None where nothing does.

    Shape:
        output: (channel, time).
    """
    query = spec.query
    if query is None:
        return None
    length = round(query.duration * catalog.sample_rate)
    return read_excerpt(catalog, query.track, query.stem, query.source_time, length, channels)


def _is_excerpt_of_track(catalog: Catalog, spec: MixtureSpec) -> bool:
    """Say whether the events are all stems of one track, in order, throughout the mixture, alike but for their gains.

    Such a mixture is read in one go.
    """
    events = spec.events
    if not events or len(events) != len(catalog.tracks[events[0].track].stems):
        return False
    place = events[0].track, events[0].source_time, spec.duration
    return all(
        event.stem == number
        and (event.track, event.source_time, event.duration) == place
        and event.event_time == event.pitch_shift == 0
        and event.time_stretch == 1
        and event.augmentation is None
        for number, event in enumerate(events)
    )


def shape_event(catalog: Catalog, event: Event, channels: int = 1) -> Samples:
    """Read an event's excerpt up to the stem's end, shift its pitch and stretch its time.

    Returns:
        As long as sox makes it: what there is of the excerpt times `time_stretch`, a few samples more or less.

    Shape:
        output: (channel, time).
    """
    rate = catalog.sample_rate
    measured = catalog.measurements[event.track][event.stem]
    there = math.ceil(measured.frames * rate / measured.sample_rate) - round(event.source_time * rate)
    length = max(0, min(round(event.duration * rate), there))
    samples = read_excerpt(catalog, event.track, event.stem, event.source_time, length, channels)
    return _shift_and_stretch(samples, rate, event.pitch_shift, event.time_stretch)


def _shift_and_stretch(samples: Samples, sample_rate: int, semitones: float, factor: float) -> Samples:
    """Change pitch and length by sox's effects; `factor` is that of the length.

    Shape:
        samples: (channel, time); output: (channel, other time).
    """
    effects = ["pitch", f"{100 * semitones:f}"] if semitones else []
    effects += ["tempo", "-s", f"{1 / factor:f}"] if factor != 1 else []
    if not effects or not samples.size:
        return samples
    from hiersep.compat import scaper

    room = 2.0 ** max(1, 1 + math.ceil(math.log2(np.abs(samples).max() or 1.0)))  # sox's integers end at full scale
    form = ["-r", str(sample_rate), "-c", str(len(samples))]
    words = [*form, "-", *form, "-", *effects]
    shaped, _ = scaper.core.sox.sox(words, np.ascontiguousarray(samples.T, np.float64) / room, sample_rate)
    return np.ascontiguousarray(room * shaped.reshape(-1, len(samples)).T, np.float32)


def _augmented(catalog: Catalog, event: Event, samples: Samples) -> Samples:
    """Augment an event's audio, if it is to be; a room may ring on past the stem's end."""
    if event.augmentation is None:
        return samples
    from hiersep.data.augmentation import augment

    length = round(event.duration * event.time_stretch * catalog.sample_rate)
    return augment(audio.fit_length(samples, length), catalog.sample_rate, event.augmentation)


def _factor(gain_db: Any) -> Any:
    """Turn decibels, one or an array, into factors on amplitudes, in single precision."""
    return np.float32(10) ** (np.float32(gain_db) / np.float32(20))


def mix(stems: Samples, membership: Samples) -> tuple[Samples, Samples]:
    """Sum stems into the mixture and into one submix per row of `membership`.

    One gain on the mixture and all submixes keeps every peak within full scale, so that the sums stay exact.

    Args:
        stems: Excerpts of all stems. Unit: full scale.
        membership: Ones where a node holds a stem.

    Returns:
        The mixture, which is the sum of all stems, and the submixes.

    Shape:
        stems: (stem, channel, time); membership: (node, stem); mixture: (channel, time);
        submixes: (node, channel, time).
    """
    mixture, submixes, _ = mix_protected(stems, membership)
    return mixture, submixes


def mix_protected(stems: Samples, membership: Samples) -> tuple[Samples, Samples, float]:
    """Do as `mix` does, and tell by which peak the mixture and the submixes were divided.

    Returns:
        The mixture, the submixes, and the greatest peak among them before; 1 where all were within full scale.
    """
    rows = np.concatenate([np.ones((1, len(stems)), np.float32), membership])
    # torch and not numpy multiplies: a loader's worker holds torch to one thread, numpy's BLAS would fight for all.
    product = torch.from_numpy(rows) @ torch.from_numpy(stems).flatten(1)
    mixed = product.numpy().reshape(len(rows), *stems.shape[1:])  # (1 + node, channel, time)
    lowest, highest = product.aminmax() if product.numel() else (0.0, 0.0)  # one pass; numpy would take two
    peak = max(float(highest), -float(lowest), 1.0)
    if peak > 1.0:
        mixed /= peak
    return mixed[0], mixed[1:], peak
