"""Rendered folders: Slakh's layout, exact sums, the same bytes for any number of jobs, resuming."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pretty_midi
import pytest
import yaml

from hiersep import audio
from hiersep.errors import DataError, HiersepError
from hiersep.files import TEMPORARY_PREFIX, lock_folder
from hiersep.render import RenderSettings, render, run, synth
from hiersep.render.multitrack import _overall_gain
from hiersep.render.orchestrate import LAYERED, Voice, inst_class, kind_of, orchestrate
from hiersep.render.plan import make_plan
from hiersep.render.song import Note, Part, Song
from hiersep.render.soundfonts import open_soundfont, resolve

SMALL = RenderSettings(tracks=3, seed=1, sample_rate=8000, duration=5.0)
TRACK_KEYS = {
    "UUID", "audio_dir", "lmd_midi_dir", "midi_dir", "normalization_factor", "normalized", "overall_gain", "stems",
    "target_peak",
}  # fmt: skip
STEM_KEYS = {
    "audio_rendered", "inst_class", "integrated_loudness", "is_drum", "midi_program_name", "midi_saved",
    "plugin_name", "program_num",
}  # fmt: skip


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_metadata(track):
    return yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "data"
    return out, render(out, SMALL, jobs=1)


@pytest.fixture(scope="module")
def tracks(rendered):
    return sorted(rendered[0].glob("*/Track*"))


@pytest.fixture(scope="module")
def soundfont():
    return open_soundfont(resolve(())[0])


def test_the_layout_is_slakhs(rendered, tracks):
    out, summary = rendered
    assert [track.relative_to(out).as_posix() for track in tracks] == [
        "test/Track00003", "train/Track00001", "validation/Track00002",
    ]  # fmt: skip
    for track in tracks:
        metadata = read_metadata(track)
        names = list(metadata["stems"])
        assert names == [f"S{index:02d}" for index in range(len(names))]
        sounding = [name for name in names if metadata["stems"][name]["audio_rendered"]]
        assert sorted(path.name for path in track.iterdir()) == [
            "MIDI",
            "all_src.mid",
            "metadata.yaml",
            "mix.flac",
            "stems",
        ]
        assert sorted(path.name for path in (track / "MIDI").iterdir()) == [f"{name}.mid" for name in names]
        assert sorted(path.name for path in (track / "stems").iterdir()) == [f"{name}.flac" for name in sounding]
        for path in [track / "mix.flac", *(track / "stems").iterdir()]:
            assert audio.info(path) == audio.AudioInfo(frames=40000, sample_rate=8000, channels=1)
    assert (summary.path, summary.skipped) == (out, 0)
    assert summary.tracks == {"train": 1, "validation": 1, "test": 1}
    assert summary.stems == len(list(out.rglob("stems/*.flac")))
    assert summary.minutes == pytest.approx(0.25)


def test_metadata_have_slakhs_keys_and_values(tracks):
    for track in tracks:
        metadata = read_metadata(track)
        assert set(metadata) == TRACK_KEYS
        assert (metadata["audio_dir"], metadata["midi_dir"], metadata["normalized"]) == ("stems", "MIDI", True)
        assert (metadata["normalization_factor"], metadata["target_peak"]) == (-13.0, -1.0)
        for stem in metadata["stems"].values():
            assert set(stem) == STEM_KEYS
            assert stem["inst_class"] == inst_class(stem["program_num"])
            assert stem["is_drum"] == (stem["program_num"] == 128) == (stem["midi_program_name"] == "Drums")
            assert stem["plugin_name"].startswith("TimGM6mb.sf2:")
            assert "/" not in stem["plugin_name"]
            assert stem["midi_saved"] is True
            if not stem["is_drum"]:
                assert stem["midi_program_name"] == pretty_midi.program_to_instrument_name(stem["program_num"])
    assert len({read_metadata(track)["UUID"] for track in tracks}) == len(tracks)


def test_the_midi_files_hold_the_programs_of_the_metadata(tracks):
    for track in tracks:
        stems = read_metadata(track)["stems"]
        whole = pretty_midi.PrettyMIDI(str(track / "all_src.mid")).instruments
        assert len(whole) == len(stems)
        for (name, stem), together in zip(stems.items(), whole, strict=True):
            (alone,) = pretty_midi.PrettyMIDI(str(track / "MIDI" / f"{name}.mid")).instruments
            assert alone.is_drum == together.is_drum == stem["is_drum"]
            assert alone.program == together.program
            assert stem["is_drum"] or alone.program == stem["program_num"]
            assert [vars(note) for note in alone.notes] == [vars(note) for note in together.notes]


def test_the_mixture_is_the_sum_of_the_stems_to_the_bit(tracks):
    for track in tracks:
        mixture, _ = audio.read(track / "mix.flac")
        total = sum(audio.read(path)[0].astype(np.float64) for path in (track / "stems").iterdir())
        np.testing.assert_array_equal(mixture, total)


def test_the_mixture_peaks_at_minus_one_dbfs_and_the_stems_have_the_loudness_they_claim(tracks):
    claimed = set()
    for track in tracks:
        metadata = read_metadata(track)
        mixture, _ = audio.read(track / "mix.flac")
        assert 20 * np.log10(np.abs(mixture).max()) == pytest.approx(-1.0, abs=0.01)
        gain_db = 20 * np.log10(metadata["overall_gain"])
        for name, stem in metadata["stems"].items():
            samples, sample_rate = audio.read(track / "stems" / f"{name}.flac")
            written = stem["integrated_loudness"] + gain_db
            assert audio.loudness(samples, sample_rate) == pytest.approx(written, abs=0.2)
            claimed.add(stem["integrated_loudness"])
    assert -21 <= min(claimed) < -13 < max(claimed) <= -7


def test_an_arrangement_is_what_is_rendered(tracks):
    plan = make_plan(SMALL)
    for track in plan.tracks:
        folder = next(path for path in tracks if path.name == track.name)
        arrangement, stems = plan.arrange(track), read_metadata(folder)["stems"]
        assert [voice.plugin_name for voice in arrangement.voices] == [stem["plugin_name"] for stem in stems.values()]
        for part, voice, (name, stem) in zip(arrangement.song.parts, arrangement.voices, stems.items(), strict=True):
            assert stem["integrated_loudness"] == pytest.approx(-13 + voice.level_db)
            (played,) = pretty_midi.PrettyMIDI(str(folder / "MIDI" / f"{name}.mid")).instruments
            written = sorted((note.pitch, note.start, note.velocity) for note in played.notes)
            planned = sorted((note.pitch, note.start, note.velocity) for note in part.notes)
            np.testing.assert_allclose(written, planned, atol=2e-3)


def test_a_stem_that_alone_would_clip_lowers_the_gain():
    stem = np.array([2.0, 0.0], np.float32)
    assert _overall_gain([stem, -0.9 * stem]) == pytest.approx((1 - 2**-15) / 2)
    assert _overall_gain([stem]) == pytest.approx(10 ** (-1 / 20) / 2)
    assert _overall_gain([]) == 1.0


def test_any_number_of_jobs_gives_the_same_bytes(rendered, tmp_path):
    out, _ = rendered
    render(tmp_path / "processes", SMALL, jobs=2)
    assert hashes(tmp_path / "processes") == hashes(out)


def test_threads_within_a_track_give_the_same_bytes(tmp_path):
    one = RenderSettings(tracks=1, seed=2, sample_rate=8000, duration=2.0, format="wav")
    render(tmp_path / "one", one, jobs=1)
    render(tmp_path / "four", one, jobs=4)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "four")
    assert len(list((tmp_path / "one").glob("train/Track00001/stems/S*.wav"))) >= 6


def test_another_seed_gives_other_songs_and_the_plan_says_all(rendered, tmp_path):
    out, _ = rendered
    render(tmp_path / "other", RenderSettings(tracks=3, seed=2, sample_rate=8000, duration=1.0))
    plans = [json.loads((folder / "render.json").read_text()) for folder in (out, tmp_path / "other")]
    assert plans[0]["fingerprint"] != plans[1]["fingerprint"]
    assert plans[0]["settings"]["seed"] == 1
    assert set(plans[0]["versions"]) >= {"fluidsynth", "libsndfile", "numpy", "pyloudnorm"}
    text = (out / "render.json").read_text()
    assert str(out.parent) not in text
    assert "/usr" not in text


def test_a_run_goes_on_where_it_was_stopped(rendered, tmp_path):
    whole, _ = rendered
    out = tmp_path / "data"
    shutil.copytree(whole, out)
    kept = (out / "train/Track00001/mix.flac").stat().st_mtime_ns
    shutil.rmtree(out / "test/Track00003")  # never begun
    (out / "validation/Track00002/stems/S00.flac").unlink()  # damaged
    leftover = out / "train" / f"{TEMPORARY_PREFIX}abc" / "Track00001"
    leftover.mkdir(parents=True)
    (leftover / "mix.flac").write_bytes(b"half")
    summary = render(out, SMALL, jobs=1)
    assert summary.skipped == 1
    assert (out / "train/Track00001/mix.flac").stat().st_mtime_ns == kept
    assert hashes(out) == hashes(whole)


def test_a_killed_run_leaves_nothing_half_and_is_taken_up(rendered, tmp_path):
    whole, _ = rendered
    out = tmp_path / "data"
    code = (
        "import os, sys, hiersep.render.multitrack as m\n"
        "from hiersep.render import RenderSettings, render\n"
        "write = m._write_pcm16\n"
        "def die(path, *rest):\n"
        "    write(path, *rest)\n"
        "    if 'Track00002' in str(path): os.kill(os.getpid(), 9)\n"
        "m._write_pcm16 = die\n"
        "render(sys.argv[1], RenderSettings(tracks=3, seed=1, sample_rate=8000, duration=5.0), jobs=1)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code, str(out)], cwd=root, check=False)
    assert done.returncode == -9
    assert [path.name for path in (out / "train").iterdir()] == ["Track00001"]
    assert not list(out.glob("validation/Track*"))
    assert render(out, SMALL, jobs=1).skipped == 1
    assert hashes(out) == hashes(whole)


def test_a_command_that_is_killed_and_given_again_gives_the_same_bytes(tmp_path):
    settings = RenderSettings(tracks=6, sample_rate=8000, duration=4.0)
    words = ["--tracks", "6", "--sample-rate", "8000", "--duration", "4", "--jobs", "2"]
    command = [sys.executable, "-c", "from hiersep.cli import main; main()", "render", str(tmp_path / "out"), *words]
    begun = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while not any((tmp_path / "out").glob("*/Track*")):
        assert begun.poll() is None
        time.sleep(0.002)
    os.killpg(begun.pid, signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    again = render(tmp_path / "out", settings, jobs=1)
    render(tmp_path / "whole", settings, jobs=1)
    assert 1 <= again.skipped < 6
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_fluidsynth_is_found_without_a_word_where_ci_is_set():
    code = "from hiersep.render.synth import library; library()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "CI": "true"}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_synthesizer_plays_the_pitch_and_nothing_before_it(soundfont):
    part = Part("synth_lead", "melody", (Note(0.5, 1.5, 69, 100),))
    voice = Voice(80, soundfont, ((0, 80),), soundfont.presets[0, 80])
    samples = synth.synthesize(part, voice, 32000, 16000)
    assert samples.shape == (32000,)
    assert not samples[:7900].any()
    spectrum = np.abs(np.fft.rfft(samples[9000:25000]))
    peaks = np.flatnonzero(spectrum > 0.3 * spectrum.max())
    assert np.abs(peaks[0] - 440) <= 6
    np.testing.assert_array_equal(samples, synth.synthesize(part, voice, 32000, 16000))


def test_parts_of_one_kind_get_different_programs(soundfont):
    part = Part("acoustic_guitar", "strum", (Note(0, 1, 60, 90),))
    rng = np.random.default_rng(0)
    for _ in range(10):
        voices = orchestrate(Song((part, part), 1.0, ((0.0, 120.0),)), [soundfont], rng)
        assert {voice.program for voice in voices} == {24, 25}
    unknown = Part("program_200", "written", part.notes)
    assert orchestrate(Song((unknown,), 1.0, ((0.0, 120.0),)), [soundfont], rng) == (None,)
    assert kind_of(104) == "program_104"


def test_a_woodwind_ensemble_is_flute_oboe_clarinet_and_bassoon_at_once(soundfont):
    part = Part("woodwind_section", "pad", (Note(0.1, 0.9, 67, 100),))
    (ensemble,) = orchestrate(Song((part,), 1.0, ((0.0, 120.0),)), [soundfont], np.random.default_rng(0))
    assert (ensemble.program, ensemble.plugin_name) == (71, "TimGM6mb.sf2:Woodwind Ensemble")
    assert set(ensemble.layers) == {(0, 68), (0, 70), (0, 71), (0, 73)}
    alone = [Voice(program, soundfont, ((0, program),), "") for program in LAYERED["woodwind_section"][0]]
    total = sum(synth.synthesize(part, voice, 8000, 8000).astype(float) for voice in alone)
    together = synth.synthesize(part, ensemble, 8000, 8000)
    assert 20 * np.log10(np.abs(together - total).max() / np.abs(total).max()) < -100
    less = replace(soundfont, presets={key: name for key, name in soundfont.presets.items() if key != (0, 70)})
    assert orchestrate(Song((part,), 1.0, ((0.0, 120.0),)), [less], np.random.default_rng(0)) == (None,)


def test_levels_vary_around_the_common_loudness_and_doubles_stay_below(soundfont):
    part = Part("acoustic_guitar", "strum", (Note(0, 1, 60, 90),))
    song = Song((part,) * 2000, 1.0, ((0.0, 120.0),))
    voices = orchestrate(song, [soundfont], np.random.default_rng(0), doubles=range(0, 2000, 2))
    levels = np.array([voice.level_db for voice in voices])
    doubles, normal = levels[::2], levels[1::2]
    assert np.abs(normal).max() == 6.0
    assert (normal.mean(), normal.std()) == pytest.approx((0.0, 2.45), abs=0.2)
    assert (doubles.min(), doubles.max(), doubles.mean()) == pytest.approx((-8.0, 0.0, -4.0), abs=0.2)


def test_the_room_on_disk_is_estimated_and_said(tmp_path, capsys):
    settings = RenderSettings(tracks=4, seed=4, sample_rate=8000, duration=6.0, format="wav")
    render(tmp_path / "out", settings, jobs=1)
    bytes_written = sum(path.stat().st_size for path in tmp_path.rglob("*.wav"))
    said = re.search(r"out: about ([0-9.]+) MB in 4 tracks; [0-9.]+ [GM]B free\n", capsys.readouterr().err)
    assert float(said[1]) == pytest.approx(bytes_written / 1e6, abs=0.06)
    shutil.rmtree(tmp_path / "out/test")
    render(tmp_path / "out", settings, jobs=1)
    assert " in 1 tracks; " in capsys.readouterr().err
    render(tmp_path / "out", settings, jobs=1)
    assert "about" not in capsys.readouterr().err


def test_a_full_disk_is_found_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(DataError) as caught:
        render(tmp_path / "out", replace(SMALL, format="wav", duration=60.0))
    assert re.fullmatch(
        re.escape(f"{tmp_path}/out: expected room for about ") + r"\d+\.\d MB in 3 tracks, got 0\.1 MB; "
        "make room, choose another folder, or render less",
        str(caught.value),
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["render.json"]


def test_a_folder_is_locked_while_it_is_rendered_into(tmp_path):
    with lock_folder(tmp_path), pytest.raises(DataError, match="another run is writing into it"):
        render(tmp_path, SMALL)


def test_without_fluidsynth_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    synth.library.cache_clear()
    try:
        with pytest.raises(HiersepError, match=r"apt install libfluidsynth3"):
            synth.library()
    finally:
        synth.library.cache_clear()


def test_more_tracks_may_be_asked_for_where_those_that_are_there_are_the_first_of_them(tmp_path):
    def settings(tracks, splits=(0.0, 0.0, 1.0)):
        return RenderSettings(tracks=tracks, seed=3, splits=splits, duration=1.0, sample_rate=8000, format="wav")

    def content(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    render(tmp_path / "grown", settings(2), jobs=1)
    assert render(tmp_path / "grown", settings(3), jobs=1).skipped == 2
    render(tmp_path / "whole", settings(3), jobs=1)
    assert content(tmp_path / "grown") == content(tmp_path / "whole")
    with pytest.raises(DataError, match="holds another rendering"):
        render(tmp_path / "grown", settings(2), jobs=1)  # nothing is taken away
    render(tmp_path / "dealt", settings(3, (0.4, 0.3, 0.3)), jobs=1)
    with pytest.raises(DataError, match="holds another rendering"):
        render(tmp_path / "dealt", settings(5, (0.4, 0.3, 0.3)), jobs=1)  # Track00002 would be another song's
