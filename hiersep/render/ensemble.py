"""Who plays in a song: groups of instruments with their shares, and what each instrument can do.

The shares and the least share of bars are what makes a data set worth learning from: a clean guitar is mostly
heard beside another guitar, and guitars beside keyboards and strings, so that the levels of a path differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.song import DRUMS

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = (6, 9)  # fewest and most in a song
COPIES = 3  # most parts of one group


@dataclass(frozen=True)
class Group:
    """Instruments that a song has or has not.

    Attributes:
        share: Of the songs that have it.
        kinds: Kind -> relative weight.
        again: Relative weight when a song that has it needs one part more.
        playing: Chance that a part plays in a section.
        bars: Least share of the song's bars in which a part plays.
    """

    share: float
    kinds: Mapping[str, float]
    again: float
    playing: float
    bars: float


GROUPS: dict[str, Group] = {
    "drums": Group(share=0.95, kinds={DRUMS: 1}, again=0, playing=0.88, bars=0.6),
    "bass": Group(
        share=0.95,
        kinds={"electric_bass": 7, "acoustic_bass": 2, "synth_bass": 2},
        again=0,
        playing=0.9,
        bars=0.7,
    ),
    "clean_guitars": Group(
        share=0.8, kinds={"acoustic_guitar": 1, "clean_guitar": 1}, again=3, playing=0.74, bars=0.62
    ),
    "distorted_guitars": Group(share=0.65, kinds={"distorted_guitar": 1}, again=2, playing=0.74, bars=0.62),
    "pianos": Group(
        share=0.75,
        kinds={"acoustic_piano": 3, "electric_piano": 2, "clavinet": 0.3},
        again=1,
        playing=0.72,
        bars=0.6,
    ),
    "electronic_keys": Group(
        share=0.55,
        kinds={"organ": 3, "synth_lead": 2, "synth_pad": 3, "accordion": 0.5},
        again=1.5,
        playing=0.66,
        bars=0.5,
    ),
    "strings": Group(
        share=0.5,
        kinds={
            "string_ensemble": 4,
            "synth_strings": 2,
            "violin": 1,
            "viola": 0.7,
            "cello": 1,
            "contrabass": 0.3,
            "tremolo_strings": 0.5,
            "pizzicato_strings": 0.7,
        },
        again=1.5,
        playing=0.66,
        bars=0.45,
    ),
    "winds_and_voices": Group(
        share=0.6,
        kinds={
            "trumpet": 1,
            "trombone": 1,
            "tuba": 0.3,
            "french_horn": 1,
            "brass_section": 2,
            "high_sax": 1,
            "tenor_sax": 1,
            "baritone_sax": 0.5,
            "oboe": 0.7,
            "english_horn": 0.4,
            "bassoon": 0.4,
            "clarinet": 0.8,
            "flute": 2,
            "choir": 2,
        },
        again=1.5,
        playing=0.62,
        bars=0.4,
    ),
    "mallets_and_harp": Group(
        share=0.25,
        kinds={"bells": 2, "mallets": 3, "harp": 1.5, "timpani": 0.5},
        again=0.3,
        playing=0.58,
        bars=0.35,
    ),
}

# Kind -> (lowest pitch, highest pitch, role -> relative weight).
PLAYING: dict[str, tuple[int, int, Mapping[str, float]]] = {
    DRUMS: (35, 81, {"drums": 1}),
    "electric_bass": (28, 52, {"bass": 1}),
    "acoustic_bass": (28, 52, {"bass": 1}),
    "synth_bass": (28, 52, {"bass": 1}),
    "acoustic_guitar": (40, 76, {"strum": 5, "arpeggio": 5}),
    "clean_guitar": (40, 79, {"strum": 4, "arpeggio": 4, "melody": 2}),
    "distorted_guitar": (40, 81, {"power": 7, "melody": 2}),
    "acoustic_piano": (45, 84, {"comp": 7, "arpeggio": 3}),
    "electric_piano": (48, 82, {"comp": 8, "pad": 2}),
    "clavinet": (45, 79, {"comp": 1}),
    "organ": (48, 79, {"pad": 6, "comp": 4}),
    "accordion": (55, 82, {"comp": 1, "melody": 1}),
    "synth_lead": (57, 86, {"melody": 7, "arpeggio": 3}),
    "synth_pad": (48, 77, {"pad": 1}),
    "string_ensemble": (48, 84, {"pad": 9, "counter": 1}),
    "synth_strings": (48, 84, {"pad": 1}),
    "tremolo_strings": (48, 81, {"pad": 1}),
    "pizzicato_strings": (48, 84, {"arpeggio": 2, "stabs": 1}),
    "violin": (57, 93, {"counter": 2, "melody": 1}),
    "viola": (50, 81, {"counter": 1}),
    "cello": (38, 67, {"counter": 1}),
    "contrabass": (29, 52, {"counter": 1}),
    "trumpet": (55, 80, {"melody": 2, "counter": 1}),
    "trombone": (43, 67, {"counter": 1}),
    "tuba": (31, 53, {"counter": 1}),
    "french_horn": (45, 72, {"counter": 1}),
    "brass_section": (50, 77, {"stabs": 6, "pad": 4}),
    "high_sax": (52, 82, {"melody": 1}),
    "tenor_sax": (46, 74, {"melody": 2, "counter": 1}),
    "baritone_sax": (39, 66, {"counter": 1}),
    "oboe": (60, 86, {"melody": 1, "counter": 1}),
    "english_horn": (54, 79, {"counter": 1}),
    "bassoon": (36, 65, {"counter": 1}),
    "clarinet": (52, 84, {"melody": 1, "counter": 1}),
    "flute": (62, 93, {"melody": 2, "counter": 1}),
    "choir": (50, 77, {"pad": 1}),
    "bells": (67, 98, {"arpeggio": 2, "melody": 1}),
    "mallets": (53, 89, {"arpeggio": 2, "melody": 1}),
    "harp": (45, 91, {"arpeggio": 1}),
    "timpani": (41, 55, {"counter": 1}),
}


def draw(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """Draw a key, by the weights."""
    shares = np.array(list(weights.values()), float)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def draw_cast(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Draw who plays: (group, kind) of each of 6-9 parts, in the order of `GROUPS`."""
    groups = [name for name, group in GROUPS.items() if rng.random() < group.share]
    if not any(GROUPS[name].again for name in groups):  # nobody but drums and bass
        groups.append("clean_guitars")
    size = max(int(rng.integers(PARTS[0], PARTS[1] + 1)), len(groups))
    while len(groups) < size:
        open_groups = {n: GROUPS[n].again for n in groups if GROUPS[n].again and groups.count(n) < COPIES}
        if not open_groups:
            open_groups = {n: g.again for n, g in GROUPS.items() if g.again and n not in groups}
        groups.append(draw(open_groups, rng))
    ordered = sorted(groups, key=list(GROUPS).index)
    return [(name, draw(GROUPS[name].kinds, rng)) for name in ordered]
