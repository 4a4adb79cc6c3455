"""What a studio does to a stem: drive, equalisation, compression and a room, drawn per stem, played by pedalboard.

The stem is worked on before its loudness is set, and keeps its length; what rings on after the end is cut. pedalboard
is GPL-3.0 and an extra of its own: ``pip install hiersep[effects]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.errors import HiersepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Kind -> share of the stems that are driven, and the greatest drive in dB.
DRIVE: dict[str, tuple[float, float]] = {
    "distorted_guitar": (0.5, 15.0),
    "clean_guitar": (0.3, 6.0),
    "electric_bass": (0.4, 12.0),
    "synth_bass": (0.4, 12.0),
    "organ": (0.4, 12.0),
    "synth_lead": (0.3, 12.0),
    "synth_pad": (0.2, 6.0),
}
ROOM, COMPRESSED = 0.8, 0.4  # shares of the stems
SHELF_DB, PEAK_DB = 4.0, 5.0  # greatest gain and cut


def load_effects() -> Any:
    """Import pedalboard.

    Raises:
        HiersepError: If it is not installed.
    """
    try:
        import pedalboard
    except ImportError as error:
        raise HiersepError(
            f"effects need pedalboard ({error}); run `pip install hiersep[effects]`, or render without effects"
        ) from error
    return pedalboard


def draw_effects(kind: str, rng: np.random.Generator) -> list[Any]:
    """Draw the effects of a stem, in the order of the signal.

    Args:
        kind: A key of `orchestrate.KINDS`; guitars, electric basses, organs and synthesizers may be driven.
        rng: Decides.

    Returns:
        Plug-ins of pedalboard, new ones: they hold state.
    """
    pedalboard = load_effects()
    chain = []
    share, greatest_db = DRIVE.get(kind, (0.0, 0.0))
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


def apply_effects(
    samples: npt.NDArray[np.float32], sample_rate: int, kind: str, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Play a stem through the effects that are drawn for it.

    Args:
        samples: The stem, its peak near 1: drive and compression depend on the level.
        sample_rate: In Hz.
        kind: A key of `orchestrate.KINDS`.
        rng: Decides.

    Shape:
        samples: (time,); output: (time,).
    """
    board = load_effects().Pedalboard(draw_effects(kind, rng))
    played: npt.NDArray[np.float32] = board(samples, sample_rate)
    return played
