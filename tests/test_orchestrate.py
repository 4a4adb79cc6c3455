"""Kinds and Slakh's classes of programs."""

from hiersep.render.orchestrate import KINDS, inst_class, kind_of

INST_CLASSES = {
    "Piano": (0, 7), "Chromatic Percussion": (8, 15), "Organ": (16, 23), "Guitar": (24, 31), "Bass": (32, 39),
    "Strings": (40, 47), "Strings (continued)": (48, 55), "Brass": (56, 63), "Reed": (64, 71), "Pipe": (72, 79),
    "Synth Lead": (80, 87), "Synth Pad": (88, 95), "Sound Effects": (96, 103), "Ethnic": (104, 111),
    "Percussive": (112, 118), "Sound effects": (119, 127), "Drums": (128, 128),
}  # fmt: skip


def test_instrument_classes_are_slakhs():
    for name, (first, last) in INST_CLASSES.items():
        assert {inst_class(program) for program in range(first, last + 1)} == {name}


def test_no_program_is_in_two_kinds():
    single = {kind: members for kind, members in KINDS.items() if kind != "woodwind_section"}  # layered of others
    programs = [program for members in single.values() for program in set(members)]
    assert sorted(programs) == [*range(96), 128]
    assert all(kind_of(program) == kind for kind, members in single.items() for program in members)
    assert set(KINDS["woodwind_section"]) <= set(programs)
