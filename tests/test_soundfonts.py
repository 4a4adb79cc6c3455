"""Soundfonts: where they are found, which are relatives, and who may play what split."""

import shutil
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from helpers import write_soundfont

from hiersep.errors import DataError
from hiersep.render import RenderSettings, find_soundfonts
from hiersep.render.plan import make_plan
from hiersep.render.soundfonts import open_soundfont, resolve


@pytest.fixture
def make_soundfont(tmp_path):
    """Make a soundfont in the test's own folder."""
    return lambda file, name, makers="": write_soundfont(tmp_path / file, name, makers)


def fonts_of(**settings):
    plan = make_plan(RenderSettings(tracks=10, duration=1.0, **settings))
    return {split: [font.name for font in fonts] for split, fonts in plan.soundfonts.items()}, plan


def test_soundfonts_are_found_by_name_and_the_default_is_pretty_midis():
    found = find_soundfonts()
    assert found[0].parent == Path(pretty_midi.__file__).parent
    assert resolve(()) == found[:1]
    assert resolve(["TimGM6mb", found[0]]) == found[:1]


@pytest.mark.parametrize(
    ("file", "name", "makers", "family"),
    [
        ("FluidR3_GM.sf2", "Fluid R3 GM", "Frank Wen", "fluidr3"),
        ("default-GM.sf2", "Fluid R3 GM", "", "fluidr3"),
        ("FluidR3Mono_GM.sf3", "", "", "fluidr3"),
        ("FluidR3Mono_GM.sf3", "FluidR3Mono_GM.sf3", "Fluid (R3) Mono GM by Church Organist", "fluidr3"),
        ("a.sf3", "MuseScore_General_Lite.sf3 (MuseScore_General v0.2.1)", "", "fluidr3"),
        ("a.sf3", "Mine", "based on Fluid (R3) SoundFont by Frank Wen", "fluidr3"),
        ("default-GM.sf2", "TimGM6mb1.sf2", "", "timgm6mb"),
        ("TimGM6mb.sf2", "", "", "timgm6mb"),
        ("OPL-3_FM_128M.sf2", "OPL-3 FM 128M", "Zandro Reveille", "opl3"),
        ("sf_GMbank.sf2", "GM GS Bank", "", "sf_gmbank"),
        ("Mine.sf2", "User Bank", "", "mine"),
        ("Yours.sf2", "User Bank", "", "yours"),
    ],
)
def test_a_soundfont_is_known_by_what_it_says_of_itself_and_by_its_name(make_soundfont, file, name, makers, family):
    assert open_soundfont(make_soundfont(file, name, makers)).family == family


def test_a_link_is_of_the_family_of_its_file(make_soundfont, tmp_path):
    (tmp_path / "default.sf2").symlink_to(make_soundfont("Mine.sf2", "User Bank"))
    assert open_soundfont(tmp_path / "default.sf2").family == "mine"


def test_without_a_test_soundfont_all_play_everything(make_soundfont):
    paths = tuple(make_soundfont(name, "User Bank", name) for name in ("one.sf2", "two.sf2"))
    fonts, _ = fonts_of(soundfonts=paths)
    assert list(fonts.values()) == [["one.sf2", "two.sf2"]] * 3


def test_a_held_out_family_plays_the_test_songs_alone(make_soundfont):
    fluid, relative = make_soundfont("FluidR3_GM.sf2", "Fluid R3 GM"), make_soundfont("m.sf2", "MuseScore_General")
    mine = make_soundfont("mine.sf2", "User Bank")
    fonts, plan = fonts_of(soundfonts=(mine, relative, "TimGM6mb"), test_soundfonts=(fluid,))
    others = ["mine.sf2", "TimGM6mb.sf2"]
    assert fonts == {"train": others, "validation": others, "test": ["FluidR3_GM.sf2", "m.sf2"]}
    heard = {"train": set(), "validation": set(), "test": set()}
    for track in plan.tracks:
        heard[track.split] |= {voice.soundfont.family for voice in plan.arrange(track).voices}
    assert heard == {"train": {"mine", "timgm6mb"}, "validation": {"mine", "timgm6mb"}, "test": {"fluidr3"}}
    written = plan.to_dict()["soundfonts"]
    assert {split: list(names) for split, names in written.items()} == fonts
    assert written["test"]["m.sf2"] == {"family": "fluidr3", "digest": open_soundfont(relative).digest}


def test_holding_out_every_family_is_refused(make_soundfont):
    relative = make_soundfont("Other.sf2", "TimGM6mb1.sf2")
    with pytest.raises(DataError) as caught:
        fonts_of(test_soundfonts=(relative,))
    assert str(caught.value) == (
        "soundfonts: expected one at least of another family than those held out for test (timgm6mb), "
        "got TimGM6mb.sf2; name another with --soundfont"
    )


def test_one_content_is_one_soundfont_and_two_contents_have_two_names(make_soundfont, tmp_path):
    one = make_soundfont("one.sf2", "User Bank")
    shutil.copy(one, tmp_path / "copy.sf2")
    assert fonts_of(soundfonts=(one, tmp_path / "copy.sf2"))[0]["train"] == ["copy.sf2"]
    (tmp_path / "more").mkdir()
    other = shutil.move(make_soundfont("other.sf2", "User Bank", "me"), tmp_path / "more" / "one.sf2")
    with pytest.raises(DataError, match=r"one\.sf2 has this name too, and another content; rename one of them$"):
        fonts_of(soundfonts=("TimGM6mb", one), test_soundfonts=(other,))


def test_renderings_of_one_song_differ_in_sounds_levels_and_doublings(tmp_path):
    midi = pretty_midi.PrettyMIDI()
    for program in (0, 25, 40, 73):
        midi.instruments.append(pretty_midi.Instrument(program))
        for beat in np.arange(0, 4, 0.5):
            midi.instruments[-1].notes.append(pretty_midi.Note(90, 67, beat, beat + 0.4))
    (tmp_path / "midi").mkdir()
    midi.write(str(tmp_path / "midi" / "song.mid"))
    plan = make_plan(RenderSettings(tracks=6, splits=(1, 0, 0), midi=tmp_path / "midi"))
    arrangements = [plan.arrange(track) for track in plan.tracks]
    assert len({tuple(voice.plugin_name for voice in a.voices) for a in arrangements}) == 6
    assert len({tuple(voice.level_db for voice in a.voices) for a in arrangements}) == 6
    assert len({tuple(part.kind for part in a.song.parts) for a in arrangements}) >= 3
    assert plan.arrange(plan.tracks[3]) == arrangements[3]
