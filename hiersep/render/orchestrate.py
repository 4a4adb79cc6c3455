"""Which sound plays a part: a program and a soundfont, drawn at random within the part's instrument class.

As in Slakh2100, where every part got a random patch of its class. A *kind* here is a set of General MIDI
programs that can stand in for each other: the data set's 34 classes, split further where a hierarchy may tell
members apart (harpsichord and clavinet from electric pianos).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hiersep.render.song import DRUMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from hiersep.render.song import Song
    from hiersep.render.soundfonts import Soundfont

DRUM_PROGRAM = 128  # Slakh's program number for drums
DRUM_BANK = 128  # where General MIDI soundfonts keep their kits

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
    "flute": (72, 73, 73, 74, 75, 76, 77, 78, 79),
    "synth_lead": (80, 81, 82, 83, 84, 85, 86, 87),
    "synth_pad": (88, 89, 90, 91, 92, 93, 94, 95),
}

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
    """The sound of one part: a preset of a soundfont.

    Attributes:
        program: Slakh's number, 0-127, or 128 for drums.
        soundfont: Where the preset is.
        bank: Its bank in the soundfont.
        preset: Its number in the bank.
        name: The preset's name there.
    """

    program: int
    soundfont: Soundfont
    bank: int
    preset: int
    name: str

    @property
    def plugin_name(self) -> str:
        """Name the patch as Slakh's metadata do: ``TimGM6mb.sf2:Nylon Gtr``; no slash in it."""
        return f"{self.soundfont.name}:{self.name}".replace("/", "_")


def _candidates(kind: str, soundfonts: Sequence[Soundfont]) -> list[tuple[int, Soundfont, int, int]]:
    if kind == DRUMS:
        return [(DRUM_PROGRAM, font, bank, preset) for font in soundfonts for bank, preset in font.kits]
    return [
        (program, font, 0, program)
        for program in _programs(kind)
        for font in soundfonts
        if (0, program) in font.presets
    ]


def orchestrate(song: Song, soundfonts: Sequence[Soundfont], rng: np.random.Generator) -> list[Voice | None]:
    """Draw a voice for each part of a song.

    Two parts of one kind get different programs while there are some left.

    Args:
        song: The parts.
        soundfonts: What may be drawn from, all equally likely.
        rng: Decides.

    Returns:
        One voice per part; None where no soundfont has a program of the kind.
    """
    used: set[tuple[int, str]] = set()
    voices: list[Voice | None] = []
    for part in song.parts:
        candidates = _candidates(part.kind, soundfonts)
        fresh = [option for option in candidates if (option[0], option[1].name) not in used]
        options = fresh or candidates
        if not options:
            voices.append(None)
            continue
        program, font, bank, preset = options[int(rng.integers(len(options)))]
        used.add((program, font.name))
        voices.append(Voice(program, font, bank, preset, font.presets[bank, preset]))
    return voices
