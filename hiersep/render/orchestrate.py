"""Which sound plays a part, and how loud: a program and a soundfont, drawn within the part's instrument class.

As in Slakh2100, where every part got a random patch of its class. A *kind* here is a set of General MIDI
programs that can stand in for each other: the data set's 34 classes, split further where a hierarchy may tell
members apart (harpsichord and clavinet from electric pianos). General MIDI has no woodwind ensemble, which is a class
of the paper's tree: four of its programs play it together. Trees that go by programs take it for the clarinet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hiersep.render.song import DRUMS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hiersep.render.song import Part, Song
    from hiersep.render.soundfonts import Soundfont

DRUM_PROGRAM = 128  # Slakh's program number for drums
LEVEL_DB, GREATEST_LEVEL_DB = 2.5, 6.0  # standard deviation of the parts' levels, and the limit on either side
RHYTHM_LEVEL_DB = -3.5  # mean of drums and basses: their peaks decide how loud the whole mixture may be
DOUBLE_LEVEL_DB = (-8.0, 0.0)  # of parts that double another

# A program that is written twice is drawn twice as often.
KINDS: dict[str, tuple[int, ...]] = {
    DRUMS: (DRUM_PROGRAM,),
    "acoustic_piano": (0, 0, 1, 2, 3),
    "electric_piano": (4, 5),
    "harpsichord": (6,),
    "clavinet": (7,),
    "bells": (8, 9, 10, 14),
    "mallets": (11, 12, 13),
    "dulcimer": (15,),
    "organ": (16, 17, 18, 19, 20),
    "accordion": (21, 22, 23),
    "acoustic_guitar": (24, 25),
    "clean_guitar": (26, 27, 28),
    "distorted_guitar": (29, 29, 30, 30, 31),
    "acoustic_bass": (32,),
    "electric_bass": (33, 34, 35, 36, 37),
    "synth_bass": (38, 39),
    "violin": (40,),
    "viola": (41,),
    "cello": (42,),
    "contrabass": (43,),
    "tremolo_strings": (44,),
    "pizzicato_strings": (45,),
    "harp": (46,),
    "timpani": (47,),
    "string_ensemble": (48, 49),
    "synth_strings": (50, 51),
    "choir": (52, 53, 54),
    "orchestra_hit": (55,),
    "trumpet": (56, 59),
    "trombone": (57,),
    "tuba": (58,),
    "french_horn": (60,),
    "brass_section": (61, 62, 63),
    "high_sax": (64, 65),
    "tenor_sax": (66,),
    "baritone_sax": (67,),
    "oboe": (68,),
    "english_horn": (69,),
    "bassoon": (70,),
    "clarinet": (71,),
    "woodwind_section": (71,),
    "flute": (72, 73, 73, 74, 75, 76, 77, 78, 79),
    "synth_lead": (80, 81, 82, 83, 84, 85, 86, 87),
    "synth_pad": (88, 89, 90, 91, 92, 93, 94, 95),
}

# Kinds that several programs play together: the programs, of which the first stands in Slakh's metadata, and the name.
LAYERED: dict[str, tuple[tuple[int, ...], str]] = {"woodwind_section": ((71, 73, 68, 70), "Woodwind Ensemble")}

# Slakh's `inst_class` strings by the first program of each range (slakh-utils, general_midi_inst_0based.json).
_INST_CLASSES = (
    (0, "Piano"),
    (8, "Chromatic Percussion"),
    (16, "Organ"),
    (24, "Guitar"),
    (32, "Bass"),
    (40, "Strings"),
    (48, "Strings (continued)"),
    (56, "Brass"),
    (64, "Reed"),
    (72, "Pipe"),
    (80, "Synth Lead"),
    (88, "Synth Pad"),
    (96, "Sound Effects"),
    (104, "Ethnic"),
    (112, "Percussive"),
    (119, "Sound effects"),
    (DRUM_PROGRAM, "Drums"),
)


def inst_class(program: int) -> str:
    """Name Slakh's instrument class of a program, 0-127, or 128 for drums.

    Example:
        >>> inst_class(29), inst_class(118), inst_class(128)
        ('Guitar', 'Percussive', 'Drums')
    """
    return next(name for first, name in reversed(_INST_CLASSES) if program >= first)


def kind_of(program: int) -> str:
    """Name the kind that a program belongs to; a program that is in none is a kind of its own, ``program_N``.

    Example:
        >>> kind_of(27), kind_of(104)
        ('clean_guitar', 'program_104')
    """
    return next((kind for kind, programs in KINDS.items() if program in programs), f"program_{program}")


def _programs(kind: str) -> tuple[int, ...]:
    return KINDS.get(kind) or (int(kind.removeprefix("program_")),)


@dataclass(frozen=True)
class Voice:
    """The sound of one part: a preset of a soundfont, or several at once.

    Attributes:
        program: Slakh's number, 0-127, or 128 for drums.
        soundfont: Where the presets are.
        layers: (bank, preset number) of each preset; MIDI files name the first.
        name: The preset's name in the soundfont, or that of the layers together.
        level_db: How much louder than the common loudness the part is.
    """

    program: int
    soundfont: Soundfont
    layers: tuple[tuple[int, int], ...]
    name: str
    level_db: float = 0.0

    @property
    def plugin_name(self) -> str:
        """Name the patch as Slakh's metadata do: ``TimGM6mb.sf2:Nylon Gtr``; no slash in it."""
        return f"{self.soundfont.name}:{self.name}".replace("/", "_")


@dataclass(frozen=True)
class Arrangement:
    """A `song` as it is played, and the voice of each of its parts; None where no soundfont has one."""

    song: Song
    voices: tuple[Voice | None, ...]


def _candidates(kind: str, soundfonts: Sequence[Soundfont]) -> list[Voice]:
    if kind in LAYERED:
        programs, name = LAYERED[kind]
        layers = tuple((0, program) for program in programs)
        whole = [font for font in soundfonts if font.presets.keys() >= set(layers)]
        return [Voice(programs[0], font, layers, name) for font in whole]
    if kind == DRUMS:
        return [Voice(DRUM_PROGRAM, font, (kit,), font.presets[kit]) for font in soundfonts for kit in font.kits]
    return [
        Voice(program, font, ((0, program),), font.presets[0, program])
        for program in _programs(kind)
        for font in soundfonts
        if (0, program) in font.presets
    ]


def _level_db(part: Part, rng: np.random.Generator, *, is_double: bool) -> float:
    if is_double:
        return round(float(rng.uniform(*DOUBLE_LEVEL_DB)), 2)
    mean = RHYTHM_LEVEL_DB if part.is_drum or part.kind.endswith("_bass") else 0.0
    return round(float(np.clip(rng.normal(mean, LEVEL_DB), -GREATEST_LEVEL_DB, GREATEST_LEVEL_DB)), 2)


def orchestrate(
    song: Song, soundfonts: Sequence[Soundfont], rng: np.random.Generator, *, doubles: Collection[int] = ()
) -> tuple[Voice | None, ...]:
    """Draw a voice for each part of a song.

    Two parts of one kind get different programs while there are some left.

    Args:
        song: The parts.
        soundfonts: What may be drawn from, all equally likely.
        rng: Decides.
        doubles: Which of the parts double another, and are no louder than most.

    Returns:
        One voice per part; None where no soundfont has a program of the kind.
    """
    used: set[tuple[object, str]] = set()
    voices: list[Voice | None] = []
    for index, part in enumerate(song.parts):
        candidates = _candidates(part.kind, soundfonts)
        fresh = [voice for voice in candidates if (voice.layers, voice.soundfont.name) not in used]
        options = fresh or candidates
        if not options:
            voices.append(None)
            continue
        voice = options[int(rng.integers(len(options)))]
        used.add((voice.layers, voice.soundfont.name))
        voices.append(replace(voice, level_db=_level_db(part, rng, is_double=index in doubles)))
    return tuple(voices)
