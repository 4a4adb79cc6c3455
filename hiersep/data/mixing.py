"""Turn the stems of an excerpt into the mixture and one submix per node, with one matrix product.

    stems (S, T)  --membership (N, S)-->  node submixes (N, T)

The row of a node is the stems that it claims itself plus the sum of its children's rows; the root's row is all
ones. So a parent is the sum of its children (and of what it claims itself) by construction, and the mixture is
the sum of all stems, claimed or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hiersep import audio

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.sampling import Excerpt

# Margin around an excerpt of another rate, so that the resampler's filter has settled at its edges.
_MARGIN_S = 0.1


def read_stems(
    catalog: Catalog, excerpts: Sequence[Excerpt], duration: float, channels: int = 1
) -> npt.NDArray[np.float32]:
    """Read excerpts of stems, at the catalog's working rate.

    What lies past a stem's end is silence.

    Args:
        catalog: The data set.
        excerpts: Which stems, from which second.
        duration: Length in seconds.
        channels: 1 takes the mean of a stem's channels; 2 gives a mono stem to both sides.

    Shape:
        output: (stem, channel, time).
    """
    length = round(duration * catalog.sample_rate)
    stems = np.zeros((len(excerpts), channels, length), np.float32)
    for stem, excerpt in zip(stems, excerpts, strict=True):
        measurement = catalog.measurements[excerpt.track][excerpt.stem]
        path = catalog.tracks[excerpt.track].stems[excerpt.stem].path
        after = 0.0 if measurement.sample_rate == catalog.sample_rate else _MARGIN_S
        before = min(after, excerpt.start_s)
        start = round((excerpt.start_s - before) * measurement.sample_rate)
        frames = round((before + duration + after) * measurement.sample_rate)
        samples, rate = audio.read(path, start=start, frames=frames)
        samples = audio.resample(samples, rate, catalog.sample_rate)[:, round(before * catalog.sample_rate) :]
        if channels == 1 and len(samples) > 1:
            samples = samples.mean(axis=0, keepdims=True)
        stem[...] = audio.fit_length(samples[:channels], length)
    return stems


def mix(
    stems: npt.NDArray[np.float32], membership: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
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
    rows = np.concatenate([np.ones((1, len(stems)), np.float32), membership])
    # torch and not numpy multiplies: a loader's worker holds torch to one thread, numpy's BLAS would fight for all.
    product = torch.from_numpy(rows) @ torch.from_numpy(stems).flatten(1)
    mixed = product.numpy().reshape(len(rows), *stems.shape[1:])  # (1 + node, channel, time)
    peak = max(float(mixed.max(initial=0.0)), -float(mixed.min(initial=0.0)))
    if peak > 1.0:
        mixed /= peak
    return mixed[0], mixed[1:]
