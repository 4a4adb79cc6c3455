"""Play a stem through a studio's effects: equalisation, compression, a room.

What is drawn is a pure function of the seed, and pedalboard plays it: a stem keeps its length and stays what it is. So
augmentation leaves drive out, which would make a distorted guitar of a clean one; `hiersep.render`, which knows what
plays, draws drive as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep.errors import HiersepError

if TYPE_CHECKING:
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

ROOM, COMPRESSED = 0.8, 0.4  # shares of the stems
SHELF_DB, PEAK_DB = 4.0, 5.0  # greatest gain and cut
NO_DRIVE = (0.0, 0.0)


def load_pedalboard() -> Any:
    """Import pedalboard.

    Raises:
        HiersepError: If it is not installed.
    """
    try:
        import pedalboard
    except ImportError as error:
        raise HiersepError(
            f"effects need pedalboard ({error}); run `pip install hiersep[effects]`, or go without effects"
        ) from error
    return pedalboard


def draw_chain(rng: np.random.Generator, drive: tuple[float, float] = NO_DRIVE) -> list[Any]:
    """Draw effects, in the order of the signal.

    Args:
        rng: Decides.
        drive: Probability that the stem is driven, and the greatest drive in dB.

    Returns:
        Plug-ins of pedalboard, new ones: they hold state.

    Raises:
        HiersepError: If pedalboard is not installed.
    """
    pedalboard = load_pedalboard()
    chain = []
    share, greatest_db = drive
    if rng.random() < share:
        chain.append(pedalboard.Distortion(drive_db=rng.uniform(0.2, 1.0) * greatest_db))
    chain += [
        pedalboard.LowShelfFilter(rng.uniform(100, 300), rng.uniform(-SHELF_DB, SHELF_DB)),
        pedalboard.PeakFilter(300 * 8 ** rng.random(), rng.uniform(-PEAK_DB, PEAK_DB), rng.uniform(0.5, 1.5)),
        pedalboard.HighShelfFilter(rng.uniform(1800, 3600), rng.uniform(-SHELF_DB, SHELF_DB)),
    ]
    if rng.random() < COMPRESSED:
        chain.append(
            pedalboard.Compressor(rng.uniform(-24, -12), rng.uniform(2, 4), rng.uniform(3, 20), rng.uniform(80, 250))
        )
    if rng.random() < ROOM:
        room, damping, wet = rng.uniform(0.05, 0.45), rng.uniform(0.3, 0.8), rng.uniform(0.05, 0.35)
        chain.append(pedalboard.Reverb(room, damping, wet_level=wet, dry_level=0.5, width=0.0))  # 0.5 is unity
    return chain


def play(samples: Samples, sample_rate: int, chain: list[Any]) -> Samples:
    """Play audio through effects.

    Args:
        samples: Audio, its peak near 1: drive and compression depend on the level.
        sample_rate: In Hz.
        chain: Plug-ins of pedalboard.

    Shape:
        samples: (time,) or (channel, time); output: same.
    """
    length = samples.shape[-1]
    if samples.ndim > 1 and length <= len(samples):
        # pedalboard takes the longer side for time, and fails where both are equal.
        samples = np.pad(samples, [(0, 0), (0, len(samples) + 1 - length)])
    played: Samples = load_pedalboard().Pedalboard(chain)(samples, sample_rate)
    return played[..., :length]


def augment(samples: Samples, sample_rate: int, seed: int) -> Samples:
    """Play a stem through effects that a seed decides; the same for all channels.

    Its peak is brought to full scale for the effects and back afterwards, so that they do not depend on the level.

    Args:
        samples: The stem. Unit: full scale.
        sample_rate: In Hz.
        seed: Decides what is drawn, 0 or more.

    Shape:
        samples: (channel, time); output: same.

    Raises:
        HiersepError: If pedalboard is not installed.
    """
    chain = draw_chain(np.random.default_rng(seed))
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return samples
    return np.float32(peak) * play(samples / np.float32(peak), sample_rate, chain)
