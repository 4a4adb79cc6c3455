"""The shipped hierarchies, against the data sets' own vocabularies written out here a second time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hiersep.hierarchy import Hierarchy

ROOT = Path(__file__).parents[1]
NAMES = (
    "general_midi",
    "medleydb",
    "moisesdb",
    "musdb18",
    "slakh34",
    "slakh_ismir2020",
    "universal",
)

# magenta/mt3, preprocessors.py, _SLAKH_CLASS_PROGRAMS: class and its first program
MT3_CLASSES = {
    "Acoustic Piano": 0, "Electric Piano": 4, "Chromatic Percussion": 8, "Organ": 16,
    "Acoustic Guitar": 24, "Clean Electric Guitar": 26, "Distorted Electric Guitar": 29,
    "Acoustic Bass": 32, "Electric Bass": 33, "Violin": 40, "Viola": 41, "Cello": 42,
    "Contrabass": 43, "Orchestral Harp": 46, "Timpani": 47, "String Ensemble": 48,
    "Synth Strings": 50, "Choir and Voice": 52, "Orchestral Hit": 55, "Trumpet": 56,
    "Trombone": 57, "Tuba": 58, "French Horn": 60, "Brass Section": 61, "Soprano/Alto Sax": 64,
    "Tenor Sax": 66, "Baritone Sax": 67, "Oboe": 68, "English Horn": 69, "Bassoon": 70,
    "Clarinet": 71, "Pipe": 73, "Synth Lead": 80, "Synth Pad": 88,
}  # fmt: skip

# the classes of the ISMIR 2020 tree, with the instruments below each
ISMIR_CLASSES = {
    "bowed_strings": 8, "plucked_strings": 2, "clean_guitars": 2, "effected_guitars": 1,
    "acoustic_piano": 1, "electric_piano": 1, "organs": 1, "synthesizer": 2,
    "acoustic_basses": 1, "electric_basses": 1, "flutes": 3, "single_reeds": 6,
    "double_reeds": 3, "woodwind_section": 1, "brass": 7, "choir": 1, "idiophones": 5, "drums": 2,
}  # fmt: skip

MOISES_TYPES = {
    "vocals": [
        "lead male singer", "lead female singer", "human choir", "background vocals",
        "other (vocoder, beatboxing etc)",
    ],
    "bass": [
        "bass guitar", "bass synthesizer (moog etc)",
        "contrabass/double bass (bass of instrings)",
    ],
    "drums": [
        "snare drum", "toms", "kick drum", "cymbals", "overheads", "full acoustic drumkit",
        "drum machine",
    ],
    "other": ["fx/processed sound, scratches, gun shots, explosions etc", "click track"],
    "guitar": [
        "clean electric guitar", "distorted electric guitar",
        "lap steel guitar or slide guitar", "acoustic guitar",
    ],
    "other_plucked": ["banjo, mandolin, ukulele, harp etc"],
    "percussion": [
        "a-tonal percussion (claps, shakers, congas, cowbell etc)",
        "pitched percussion (mallets, glockenspiel, ...)",
    ],
    "piano": ["grand piano", "electric piano (rhodes, wurlitzer, piano sound alike)"],
    "other_keys": [
        "organ, electric organ", "synth pad", "synth lead",
        "other sounds (hapischord, melotron etc)",
    ],
    "bowed_strings": [
        "violin (solo)", "viola (solo)", "cello (solo)", "violin section", "viola section",
        "cello section", "string section", "other strings",
    ],
    "wind": [
        "brass (trumpet, trombone, french horn, brass etc)",
        "flutes (piccolo, bamboo flute, panpipes, flutes etc)",
        "reeds (saxophone, clarinets, oboe, english horn, bagpipe)", "other wind",
        "tuba (bass of brass)", "bassoon (bass of woodwind)",
    ],
}  # fmt: skip

MEDLEYDB_FAMILIES = {
    "strings": """erhu, violin, viola, cello, double bass, violin section, viola section, cello
        section, string section, dilruba, acoustic guitar, banjo, guzheng, harp, harpsichord,
        liuqin, mandolin, oud, slide guitar, ukulele, zhongruan, sitar, dulcimer, yangqin, piano,
        tack piano""",
    "winds": """dizi, flute, flute section, piccolo, bamboo flute, panpipes, recorder, alto
        saxophone, baritone saxophone, bass clarinet, clarinet, clarinet section, tenor saxophone,
        soprano saxophone, oboe, english horn, bassoon, bagpipe, trumpet, cornet, trombone, french
        horn, euphonium, tuba, brass section, french horn section, trombone section, horn section,
        trumpet section, harmonica, concertina, accordion, bandoneon, harmonium, pipe organ,
        melodica""",
    "voices": """male singer, female singer, male speaker, female speaker, male rapper, female
        rapper, beatboxing, vocalists, choir, crowd, male screamer, female screamer""",
    "percussion": """triangle, sleigh bells, cowbell, cabasa, high hat, gong, guiro, gu, cymbal,
        chimes, castanet, claps, rattle, shaker, maracas, xylophone, vibraphone, marimba,
        glockenspiel, whistle, snaps, timpani, toms, snare drum, kick drum, bass drum, bongo,
        conga, tambourine, darbuka, doumbek, tabla, auxiliary percussion, drum set""",
    "electric": """clean electric guitar, distorted electric guitar, electric bass, lap steel
        guitar, drum machine, electric piano, electronic organ, synthesizer, theremin,
        fx/processed sound, scratches, sampler""",
    "mixture": "Main System, Unlabeled",
}

SLAKH34_DRAWN = """\
mixture
├── plucked_and_keys
│   ├── guitar
│   │   ├── acoustic_guitar
│   │   ├── clean_electric_guitar
│   │   └── distorted_electric_guitar
│   ├── keyboards
│   │   ├── acoustic_piano
│   │   ├── electric_piano
│   │   └── organ
│   └── synthesizer
│       ├── synth_lead
│       └── synth_pad
├── strings_and_voices
│   ├── bowed_strings
│   │   ├── violin
│   │   ├── viola
│   │   ├── cello
│   │   └── contrabass
│   ├── orchestra
│   │   ├── string_ensemble
│   │   ├── synth_strings
│   │   ├── orchestral_harp
│   │   └── orchestral_hit
│   └── voices
│       └── choir_and_voice
├── winds
│   ├── brass
│   │   ├── trumpet
│   │   ├── trombone
│   │   ├── tuba
│   │   ├── french_horn
│   │   └── brass_section
│   ├── reeds
│   │   ├── soprano_alto_sax
│   │   ├── tenor_sax
│   │   ├── baritone_sax
│   │   ├── oboe
│   │   ├── english_horn
│   │   ├── bassoon
│   │   └── clarinet
│   └── flutes
│       └── pipe
└── rhythm
    ├── bass
    │   ├── acoustic_bass
    │   └── electric_bass
    └── percussion
        ├── drums
        ├── timpani
        └── chromatic_percussion"""


def by_program(name: str, dataset: str | None = None) -> dict[int, str | None]:
    hierarchy = Hierarchy.load(name)
    return {program: hierarchy.claim({"program_num": program}, dataset) for program in range(129)}


def words(text: str) -> list[str]:
    return [" ".join(word.split()) for word in text.split(",")]


def test_the_shipped_ones_are_those_in_the_folder():
    files = sorted(path.stem for path in (ROOT / "hierarchies").glob("*.yaml"))
    assert files == list(NAMES)
    assert Hierarchy.available() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_prints_and_is_written_back(name):
    hierarchy = Hierarchy.load(name)
    assert hierarchy.name == name
    assert hierarchy.root.id == "mixture"
    assert len(str(hierarchy).splitlines()) == len(hierarchy)
    assert Hierarchy.load(hierarchy.to_dict()) == hierarchy
    assert Hierarchy.load(ROOT / "hierarchies" / f"{name}.yaml") == hierarchy


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_short_and_begins_with_its_source(name):
    lines = (ROOT / "hierarchies" / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_slakh34_is_drawn_like_this():
    assert str(Hierarchy.load("slakh34")) == SLAKH34_DRAWN


def test_slakh34_has_the_34_classes_and_drums():
    claims = by_program("slakh34")
    leaves = Hierarchy.load("slakh34").leaves
    assert len(leaves) == 35
    ids = {name.lower().replace(" ", "_").replace("/", "_"): p for name, p in MT3_CLASSES.items()}
    assert {id: claims[program] for id, program in ids.items()} == {id: id for id in ids}
    assert claims[128] == "drums"
    assert set(leaves) == {*ids, "drums"}


def test_the_ismir_tree_has_the_papers_counts():
    hierarchy = Hierarchy.load("slakh_ismir2020")
    counts = Counter(node.depth for node in hierarchy.nodes)
    assert [counts[depth] for depth in range(5)] == [1, 4, 8, 18, 48]
    below = {id: len(hierarchy.node(id).children) for id in hierarchy.at_level("class")}
    assert below == ISMIR_CLASSES
    assert hierarchy.path("clean_guitars")[1:] == (
        "strings_guitars_keyboards",
        "guitar",
        "clean_guitars",
    )


@pytest.mark.parametrize(
    ("program", "slakh34", "ismir"),
    [
        (6, "electric_piano", "harpsichord"),
        (7, "electric_piano", "amplified_piano"),
        (44, "string_ensemble", "string_section"),
        (45, "string_ensemble", "string_section"),
        (47, "timpani", "timpani"),
        (59, "trumpet", "trumpet"),
        (72, "pipe", "piccolo"),
        (110, None, "violin"),
        (128, "drums", "drum_set"),
    ],
)
def test_programs_that_are_easily_misplaced(program, slakh34, ismir):
    assert by_program("slakh34")[program] == slakh34
    assert by_program("slakh_ismir2020")[program] == ismir


def test_a_rendered_woodwind_ensemble_is_a_clarinet_but_in_the_papers_tree():
    ensemble = {"program_num": 71, "plugin_name": "TimGM6mb.sf2:Woodwind Ensemble"}
    assert Hierarchy.load("slakh_ismir2020").claim(ensemble) == "woodwind_ensemble"
    assert Hierarchy.load("slakh34").claim(ensemble) == by_program("slakh34")[71]
    assert Hierarchy.load("slakh_ismir2020").claim({**ensemble, "plugin_name": "TimGM6mb.sf2:Clarinet"}) == "clarinet"


@pytest.mark.parametrize("name", ["slakh34", "slakh_ismir2020", "general_midi", "universal"])
def test_every_program_is_claimed_by_a_leaf_or_ignored(name):
    hierarchy = Hierarchy.load(name)
    for program, claim in by_program(name, "slakh").items():
        ignored = hierarchy.ignores({"program_num": program}, "slakh")
        assert ignored == (claim is None), program
        assert ignored or claim in hierarchy.leaves


def test_general_midi_has_16_families_of_8_and_drums():
    hierarchy = Hierarchy.load("general_midi")
    claims = by_program("general_midi")
    families = hierarchy.root.children
    assert len(set(claims.values())) == 129
    assert families[-1] == claims[128] == "drums"
    for program in range(128):
        parent = hierarchy.node(claims[program]).parent
        assert parent == families[program // 8]
        assert hierarchy.node(parent).children[program % 8] == claims[program]
    assert (claims[0], claims[40], claims[127]) == ("acoustic_grand_piano", "violin", "gunshot")


@pytest.mark.parametrize("stem", ["vocals", "drums", "bass", "other"])
@pytest.mark.parametrize("name", ["musdb18", "universal"])
def test_musdb18s_stems_are_claimed_by_the_nodes_of_their_names(name, stem):
    attributes = {"filename": f"train/A Song/{stem}.wav"}
    assert Hierarchy.load(name).claim(attributes, "musdb18") == stem


def test_musdb18s_other_is_an_inner_node_of_the_universal_tree():
    hierarchy = Hierarchy.load("universal")
    known = hierarchy.known(["other"])
    unknown = [id for id, sure in zip(hierarchy.ids, known, strict=True) if not sure]
    assert unknown == list(hierarchy.descendants("other"))
    assert len(unknown) > 20


@pytest.mark.parametrize("stem", MOISES_TYPES)
def test_every_moisesdb_track_type_is_claimed_below_its_stem(stem):
    hierarchy, universal = Hierarchy.load("moisesdb"), Hierarchy.load("universal")
    for track_type in MOISES_TYPES[stem]:
        attributes = {"track_type": track_type, "stem_name": "bass"}
        claim = hierarchy.claim(attributes)
        assert claim in hierarchy.leaves
        assert stem in hierarchy.path(claim)
        assert (universal.claim(attributes, "moisesdb") is None) == (track_type == "click track")
    unlisted = {"track_type": "theremin", "stem_name": stem}
    assert hierarchy.claim(unlisted) == stem
    assert universal.claim(unlisted, "moisesdb") is not None


@pytest.mark.parametrize("family", MEDLEYDB_FAMILIES)
def test_every_medleydb_instrument_is_claimed_in_its_family(family):
    hierarchy, universal = Hierarchy.load("medleydb"), Hierarchy.load("universal")
    for instrument in words(MEDLEYDB_FAMILIES[family]):
        claim = hierarchy.claim({"instrument": instrument})
        assert family in hierarchy.path(claim)
        assert claim in hierarchy.leaves or family == "mixture"
        assert universal.claim({"instrument": instrument}, "medleydb") is not None


def test_medleydb_has_no_other_instruments():
    listed = sum(len(words(text)) for text in MEDLEYDB_FAMILIES.values()) - 2
    assert len(Hierarchy.load("medleydb").leaves) == listed
