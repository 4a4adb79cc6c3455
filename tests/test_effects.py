"""Effects: drawn per stem, of the same length and the same bytes, and audible as what they are called."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hiersep import audio
from hiersep.errors import HiersepError
from hiersep.render import RenderSettings, render
from hiersep.render.effects import DRIVE, apply_effects, draw_effects
from hiersep.render.orchestrate import KINDS
from hiersep.render.plan import make_plan

RATE = 16000
SETTINGS = RenderSettings(tracks=2, seed=1, sample_rate=8000, duration=4.0, effects=True)


def tone(frequency, seconds=1.0):
    return np.sin(2 * np.pi * frequency * np.arange(int(RATE * seconds)) / RATE).astype(np.float32)


def names(kind, seed):
    return [type(effect).__name__ for effect in draw_effects(kind, np.random.default_rng(seed))]


def test_only_what_is_driven_in_a_studio_is_driven():
    assert set(DRIVE) <= set(KINDS)
    for kind in KINDS:
        driven = [names(kind, seed)[0] == "Distortion" for seed in range(40)]
        assert any(driven) == (kind in DRIVE), kind
        assert not all(driven)


def test_every_stem_is_equalised_most_have_a_room_and_some_are_compressed():
    drawn = [names("acoustic_piano", seed) for seed in range(300)]
    assert all(chain[:3] == ["LowShelfFilter", "PeakFilter", "HighShelfFilter"] for chain in drawn)
    shares = [np.mean([name in chain for chain in drawn]) for name in ("Reverb", "Compressor")]
    assert shares == pytest.approx([0.8, 0.4], abs=0.08)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_length_stays_and_so_do_the_samples_of_equal_seeds(rate):
    noise = np.random.default_rng(0).uniform(-1, 1, 12345).astype(np.float32)
    played = [apply_effects(noise.copy(), rate, "clean_guitar", np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert [(out.shape, out.dtype) for out in played] == [((12345,), np.float32)] * 3
    assert np.isfinite(played).all()
    np.testing.assert_array_equal(played[0], played[1])
    assert np.abs(played[0] - played[2]).max() > 0.01


def test_a_stem_stays_recognisable():
    """Without drive and compression a tone stays a tone, and is turned up or down by less than 10 dB."""
    for seed in range(40):
        if {"Distortion", "Compressor"} & set(names("drums", seed)):
            continue
        for frequency in (60, 440, 3000):
            played = apply_effects(tone(frequency), RATE, "drums", np.random.default_rng(seed))
            gain_db = 20 * np.log10(np.std(played[RATE // 2 :]) / np.std(tone(frequency)[RATE // 2 :]))
            assert abs(gain_db) < 10
            spectrum = np.abs(np.fft.rfft(played[RATE // 2 :] * np.hanning(RATE // 2)))
            assert abs(int(spectrum.argmax()) * 2 - frequency) <= 2


def test_a_room_rings_on_for_less_than_a_second():
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 1.0
    tails = []
    for seed in range(30):
        played = apply_effects(click.copy(), RATE, "drums", np.random.default_rng(seed))
        assert not played[:100].any()
        if "Reverb" in names("drums", seed):
            tails.append(np.sum(played[300:] ** 2) / np.sum(played**2))
            assert np.sum(played[RATE:] ** 2) < 1e-4 * np.sum(played**2)
    assert 10 * np.log10(np.median(tails)) > -30
    assert 10 * np.log10(max(tails)) < -6


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.flac")
    }


def test_rendered_with_effects_the_bytes_are_the_same_in_any_process_and_not_those_without(tmp_path):
    render(tmp_path / "here", SETTINGS, jobs=1)
    code = (
        "import sys; from hiersep.render import RenderSettings, render\n"
        "render(sys.argv[1], RenderSettings(tracks=2, seed=1, sample_rate=8000, duration=4.0, effects=True), jobs=2)"
    )
    there = [sys.executable, "-c", code, str(tmp_path / "there")]
    subprocess.run(there, check=True, cwd=Path(__file__).parents[1], capture_output=True)
    assert digests(tmp_path / "here") == digests(tmp_path / "there")
    render(tmp_path / "dry", RenderSettings(tracks=2, seed=1, sample_rate=8000, duration=4.0), jobs=1)
    dry = digests(tmp_path / "dry")
    assert all(digest != dry[name] for name, digest in digests(tmp_path / "here").items())
    for track in (tmp_path / "here").glob("*/Track*"):
        mixture, _ = audio.read(track / "mix.flac")
        stems = [audio.read(path)[0].astype(float) for path in (track / "stems").iterdir()]
        np.testing.assert_array_equal(mixture, sum(stems))


def test_the_plan_names_the_library_when_it_is_used():
    content = make_plan(SETTINGS).to_dict()
    assert content["settings"]["effects"] is True
    assert "pedalboard" in content["versions"]
    assert "pedalboard" not in make_plan(RenderSettings(tracks=2)).to_dict()["versions"]


def test_without_pedalboard_the_extra_is_named_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(HiersepError, match=r"^effects need pedalboard .*; run `pip install hiersep\[effects\]`, "):
        render(tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()
    assert make_plan(RenderSettings(tracks=1)).tracks
