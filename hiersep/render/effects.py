"""What a studio does to a stem: drive, equalisation, compression and a room, drawn per stem, played by pedalboard.

The stem is worked on before its loudness is set, and keeps its length; what rings on after the end is cut. pedalboard
is GPL-3.0 and an extra of its own: ``pip install hiersep[effects]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.data.augmentation import NO_DRIVE, draw_chain, play

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


def draw_effects(kind: str, rng: np.random.Generator) -> list[Any]:
    """Draw the effects of a stem, in the order of the signal.

    Args:
        kind: A key of `orchestrate.KINDS`; guitars, electric basses, organs and synthesizers may be driven.
        rng: Decides.

    Returns:
        Plug-ins of pedalboard, new ones: they hold state.
    """
    return draw_chain(rng, DRIVE.get(kind, NO_DRIVE))


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
    return play(samples, sample_rate, draw_effects(kind, rng))
