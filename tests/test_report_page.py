"""The page of a separation: which nodes it shows where, how it carries their sound, and what it refuses."""

import base64
import io
import warnings

import numpy as np
import pytest
import soundfile
from helpers import RATE, error_db, noise, read_audio, read_page, tone, write_audio

from hiersep.errors import DataError, HierarchyError, HiersepWarning
from hiersep.hierarchy import Hierarchy
from hiersep.report import Truth, write_report
from hiersep.report.outline import outline
from hiersep.report.sound import embed, seconds_that_fit
from hiersep.separation import Span

SLAKH = Hierarchy.load("slakh34")


def standing(separated, hierarchy=SLAKH):
    """Ids of the nodes that stand at each of the page's levels."""
    root, levels = outline(hierarchy, separated)
    return {level: [entry.id for entry in root.walk() if number in entry.levels] for number, level in enumerate(levels)}


def test_every_level_of_a_whole_tree_holds_the_nodes_that_stand_there():
    shown = standing(SLAKH.ids[1:])
    assert shown.keys() == set(SLAKH.levels)
    for level, nodes in shown.items():
        assert set(nodes) == set(SLAKH.at_level(level))


def test_what_has_nothing_separated_below_stands_for_itself_further_down():
    musdb = Hierarchy.load("musdb18")
    shallow = next(leaf for leaf in musdb.leaves if musdb.node(leaf).depth == 1)
    assert shallow in standing(musdb.ids[1:], musdb)[musdb.levels[-1]]
    assert standing(["rhythm", "guitar", "drums", "residual"]) == {
        "mixture": ["mixture"],
        "group": ["rhythm", "residual"],
        "family": ["guitar", "rhythm", "residual"],
        "class": ["guitar", "drums", "residual"],
    }


def test_nodes_above_are_drawn_though_they_were_not_separated():
    root, levels = outline(SLAKH, ["acoustic_guitar"])
    assert [entry.id for entry in root.walk()] == ["mixture", "plucked_and_keys", "guitar", "acoustic_guitar"]
    assert levels == ("mixture", "class")


def test_the_levels_of_an_example_hang_below_each_other():
    root, levels = outline(SLAKH, ["class", "group"])
    assert [(entry.id, entry.levels) for entry in root.walk()] == [("mixture", (0,)), ("group", (1,)), ("class", (2,))]
    assert levels == ("mixture", "group", "class")


@pytest.mark.parametrize("names", [["gitar"], ["mixture"], ["group", "guitar"]])
def test_a_name_that_is_no_node_is_refused(names):
    with pytest.raises(HierarchyError, match=r"has no node '(gitar|mixture|group)'"):
        outline(SLAKH, names)


SOUNDS = {
    "loud": noise(0.5, db=10.0),
    "quiet": noise(0.5, db=-110.0),
    "stereo": noise(0.5, channels=2),
    "tone": tone(0.5),
    "beats": np.eye(1, 8000) + np.eye(1, 8000, 4000) * -0.5,  # 36 dB from mean to peak
    "one sample": np.full((1, 1), 0.3),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_is_carried_within_60_db_whatever_its_level(name):
    samples = SOUNDS[name].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text, scale = embed(samples, RATE)
    carried, rate = soundfile.read(io.BytesIO(base64.b64decode(text)), always_2d=True)
    assert rate == RATE
    assert error_db(carried.T * scale, samples) < -60


def test_silence_is_carried_as_silence():
    text, scale = embed(np.zeros((2, 1000), np.float32), RATE)
    carried, _ = soundfile.read(io.BytesIO(base64.b64decode(text)))
    assert carried.shape == (1000, 2)
    assert not carried.any()
    assert scale == 1.0


def test_ten_minutes_fit_and_less_of_many_nodes(tmp_path):
    mono = write_audio(tmp_path / "a.wav", tone(0.01))
    stereo = write_audio(tmp_path / "b.wav", tone(0.01, rate=44100, channels=2), 44100)
    surround = write_audio(tmp_path / "c.wav", tone(0.01, rate=44100, channels=6), 44100)
    assert seconds_that_fit([mono] * 5) == 600.0
    assert 60 * 4 < seconds_that_fit([stereo] * 6) < 60 * 5
    assert seconds_that_fit([surround] * 40) == 2 * seconds_that_fit([stereo] * 40)  # their mean is played


def test_a_long_song_is_cut_and_the_page_and_a_warning_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("hiersep.report.sound.LONGEST_S", 2.0)
    song = write_audio(tmp_path / "song.wav", noise(3.0))
    with pytest.warns(HiersepWarning, match=r"report.html: holds the first 0:02 of 0:03"):
        page = read_page(write_report(song, {"guitar": song}, SLAKH, tmp_path / "report.html"))
    assert "the first 0:02 of 0:03 min" in " ".join(page.text.split())
    assert [sound.shape for sound in page.sounds] == [(1, 2 * RATE)] * 2


def test_a_span_of_the_mixture_stands_beside_what_was_made_of_it(tmp_path):
    samples = noise(3.0)
    song = write_audio(tmp_path / "song.wav", samples)
    span = write_audio(tmp_path / "guitar.wav", samples[:, RATE : 2 * RATE])
    page = read_page(write_report(song, {"guitar": span}, SLAKH, tmp_path / "report.html", span=Span(1.0, 2.0)))
    assert [sound.shape for sound in page.sounds] == [(1, RATE)] * 2
    assert error_db(page.sounds[0], page.sounds[1]) < -60


def test_of_many_channels_the_mean_is_played_and_the_page_says_so(tmp_path):
    song = write_audio(tmp_path / "song.wav", noise(0.1, channels=6))
    page = read_page(write_report(song, {"guitar": song}, SLAKH, tmp_path / "report.html"))
    assert error_db(page.sounds[1], read_audio(song).mean(axis=0, keepdims=True)) < -60
    assert "Played is the mean of the channels" in page.text


def test_what_cannot_be_shown_is_refused_and_leaves_no_page(tmp_path):
    song, short = write_audio(tmp_path / "song.wav", noise(0.5)), write_audio(tmp_path / "short.wav", noise(0.25))
    out, stems = tmp_path / "report.html", {"guitar": song}
    with pytest.raises(HierarchyError, match="expected nodes that were separated, got 'gitar'; did you mean 'guitar'"):
        write_report(song, stems, SLAKH, out, truth=Truth({"gitar": song}))
    with pytest.raises(DataError, match=r"short.wav: expected a reference with the channels and the length of"):
        write_report(song, stems, SLAKH, out, truth=Truth({"guitar": short}))
    with pytest.raises(DataError, match=r"gone.wav: no such file"):
        write_report(song, {"guitar": tmp_path / "gone.wav"}, SLAKH, out)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"text.wav: expected audio"):
        write_report(tmp_path / "text.wav", stems, SLAKH, out)
    with pytest.raises(DataError, match="cannot write here"):
        write_report(song, stems, SLAKH, song / "report.html")
    assert not out.exists()


def test_a_silent_reference_has_no_score(tmp_path):
    song, silence = write_audio(tmp_path / "song.wav", noise(0.5)), write_audio(tmp_path / "no.wav", tone(0.5) * 0)
    page = read_page(
        write_report(song, {"guitar": song}, SLAKH, tmp_path / "report.html", truth=Truth({"guitar": silence}))
    )
    assert "not scored: silent, or nothing to separate" in page.text
    assert "SI-SDR" not in page.text
