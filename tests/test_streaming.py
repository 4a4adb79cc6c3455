"""From file to files, block by block: the same as at once, whatever the length, and nothing half-written."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from helpers import error_db, noise, read_audio, write_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import HierarchicalSeparator, audio, from_pretrained
from hiersep.errors import ConfigError, DataError
from hiersep.models.path import PathSeparator
from hiersep.models.tree import TreeSeparator
from hiersep.separation import Passage, SeparationSettings, Span, separate, write_estimates

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
SPECTRUM = {"n_fft": 256, "hop_length": 128}
SIZES = {"hidden_size": 4, "num_layers": 1}
RATE = 8000


class Identity(PathSeparator):
    """Lets everything through: its masks are ones."""

    def estimate_masks(self, spectrum, condition=None):
        return torch.ones((len(spectrum), len(self.nodes), *spectrum.shape[1:]))


def make(kind=PathSeparator, rate=RATE, nodes=PATH):
    torch.manual_seed(0)
    return kind("slakh_ismir2020", nodes, sample_rate=rate, spectrum=SPECTRUM, network=SIZES).eval()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


network, identity = make(), make(Identity)
short = SeparationSettings(segment_s=0.7, overlap_s=0.2)


# Blocks


@given(st.integers(0, 5000), st.lists(st.integers(0, 900), max_size=9), st.integers(1, 2), st.data())
def test_slices_of_blocks_are_slices_of_the_whole(length, sizes, channels, data):
    whole = np.random.default_rng(length).standard_normal((channels, sum(sizes))).astype(np.float32)
    edges = np.cumsum([0, *sizes])
    slices = audio.Slices((whole[:, a:b] for a, b in itertools.pairwise(edges)), channels, length)
    expected, start = audio.fit_length(whole, length), 0
    for _ in range(4):
        start = data.draw(st.integers(start, length))
        stop = data.draw(st.integers(start, length))
        np.testing.assert_array_equal(slices[:, start:stop], expected[:, start:stop])


@settings(deadline=None)
@given(st.sampled_from([(44100, 16000), (16000, 44100), (8000, 48000), (16000, 16000)]), st.integers(1, 9000))
def test_resampling_blocks_is_resampling_the_whole(rates, block):
    samples = noise(0.7, channels=2).astype(np.float32)
    blocks = (samples[:, start : start + block] for start in range(0, samples.shape[1], block))
    parts = np.concatenate(list(audio.resample_blocks(blocks, *rates)), axis=1)
    np.testing.assert_array_equal(parts, audio.resample(samples, *rates))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 120))
def test_blocks_are_cut_and_padded_to_a_length(sizes, length):
    blocks = [np.full((2, size), 1.0 + number, np.float32) for number, size in enumerate(sizes)]
    fitted = np.concatenate([np.zeros((2, 0)), *audio.fit_blocks(iter(blocks), length)], axis=1)
    np.testing.assert_array_equal(fitted, audio.fit_length(np.concatenate(blocks, axis=1), length))


def test_an_excerpt_of_a_file_comes_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.blocks, "BLOCK_FRAMES", 1000)
    samples = noise(1.0, channels=2)
    file = write_audio(tmp_path / "a.wav", samples)
    blocks = list(audio.file_blocks(file, start=1234, frames=5000))
    assert [block.shape for block in blocks] == [(2, 1000)] * 5
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), samples[:, 1234:6234], atol=2**-15)


def test_a_file_that_ends_before_its_header_says_is_an_error(tmp_path):
    file = write_audio(tmp_path / "a.wav", noise(1.0))
    with pytest.raises(DataError, match="expected 99999 samples, as its header says, got 16000; the file is cut short"):
        list(audio.file_blocks(file, frames=99999))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named_when_it_is_reached(tmp_path, bad):
    samples = np.zeros((1000, 1), np.float32)
    samples[700] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: expected finite samples"):
        list(audio.file_blocks(tmp_path / "a.wav", frames=1000))


# Writing


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    samples = noise(0.3, channels=2)
    with audio.Writer(tmp_path / "a.wav", RATE, 2, subtype="FLOAT") as file:
        for block in np.array_split(samples, 7, axis=1):
            file.write(block)
            assert not (tmp_path / "a.wav").exists()
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), samples.astype(np.float32))
    assert names(tmp_path) == ["a.wav"]


def test_a_file_that_is_never_finished_is_none(tmp_path):
    def interrupted():
        with audio.Writer(tmp_path / "a.wav", RATE, 1) as file:
            file.write(np.zeros((1, 100)))
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert names(tmp_path) == []


@pytest.mark.parametrize("frames", [10**8, 2**31])
def test_a_wav_of_more_than_four_gigabytes_has_a_header_that_says_so(tmp_path, frames):
    with audio.Writer(tmp_path / "a.wav", RATE, 2, frames=frames, subtype="FLOAT") as file:
        file.write(np.ones((2, 10)) / 2)
    assert (tmp_path / "a.wav").read_bytes()[:4] == (b"RF64" if frames == 2**31 else b"RIFF")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), np.full((2, 10), 0.5))


@pytest.fixture
def tiny_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: " + mounted.stderr.decode().strip())
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, tiny_disk, kind):
    song = write_audio(tmp_path / "song.wav", noise(90, rate=RATE), RATE)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); make room") as caught:
        write_estimates(song, Passage(identity), tiny_disk / "out", file_format=audio.FileFormat.of(kind))
    assert "\n" not in str(caught.value)
    assert [path for path in (tiny_disk / "out").rglob("*") if path.is_file()] == []


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="writes and reads what only ffmpeg decodes")
def test_a_full_disk_is_not_taken_for_a_broken_file(tmp_path, tiny_disk, monkeypatch):
    write_audio(tmp_path / "song.wav", noise(20, rate=RATE), RATE)
    command = ["ffmpeg", "-loglevel", "error", "-i", tmp_path / "song.wav", "-c:a", "aac", tmp_path / "song.m4a"]
    subprocess.run(command, check=True)
    monkeypatch.setattr("tempfile.tempdir", str(tiny_disk))
    with pytest.raises(DataError) as caught, audio.decoded(tmp_path / "song.m4a"):
        pass
    assert str(caught.value) == (
        f"{tmp_path}/song.m4a: expected room in {tiny_disk} for what ffmpeg makes of it, got none; make room there, or "
        "name another folder in TMPDIR"
    )
    assert not list(tiny_disk.iterdir())


# Separation


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 100_000),
    st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    st.integers(1, 2),
    st.booleans(),
)
def test_what_an_identity_writes_is_what_it_read(tmp_path_factory, length, rate, channels, downmix):
    folder = tmp_path_factory.mktemp("identity")
    samples = np.random.default_rng(length).uniform(-1, 1, (channels, length)).astype(np.float32)
    file = write_audio(folder / "song.wav", samples, rate)
    model = make(Identity, rate=rate)
    passage = Passage(model, nodes=["guitar"], settings=SeparationSettings(1.3, 0.3, downmix=downmix))
    guitar, rest = write_estimates(file, passage, folder / "out", residual=True)
    read = read_audio(file)
    assert read_audio(guitar).shape == read.shape
    np.testing.assert_allclose(read_audio(guitar), read, atol=1e-5)
    np.testing.assert_allclose(read_audio(rest), 0, atol=1e-5)
    shutil.rmtree(folder)


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_separated_as_an_array_is(tmp_path, rate, channels, monkeypatch):
    monkeypatch.setattr(audio.blocks, "BLOCK_FRAMES", 3001)
    song = write_audio(tmp_path / "song.wav", noise(3.3, rate=rate, channels=channels), rate)
    files = write_estimates(song, Passage(network, settings=short), tmp_path / "out")
    assert [file.name for file in files] == [f"{node}.wav" for node in PATH]
    wanted = separate(audio.read(song)[0], rate, network, settings=short)
    np.testing.assert_array_equal(np.stack([read_audio(file) for file in files]), wanted)


@pytest.mark.parametrize(
    ("nodes", "outermost"),
    [
        (None, ["strings_guitars_keyboards", "superlevel_bass"]),
        (["clean_guitars", "guitar", "superlevel_bass"], ["guitar", "superlevel_bass"]),
        (["clean_guitars"], ["clean_guitars"]),
    ],
)
def test_the_outermost_nodes_and_the_residual_sum_to_the_mixture(tmp_path, nodes, outermost):
    tree = make(TreeSeparator, nodes=("strings_guitars_keyboards", "superlevel_bass", "guitar", "clean_guitars"))
    song = write_audio(tmp_path / "song.wav", noise(1.7, rate=22050, channels=2), 22050)
    files = write_estimates(song, Passage(tree, nodes=nodes, settings=short), tmp_path / "out", residual=True)
    assert files[-1].name == "residual.wav"
    parts = {file.stem: read_audio(file) for file in files}
    assert error_db(sum(parts[name] for name in [*outermost, "residual"]), audio.read(song)[0]) < -110
    object_ = HierarchicalSeparator(song, tree, nodes=nodes, residual=True, settings=short, device="cpu").to_dict()
    assert list(object_) == list(parts)
    np.testing.assert_allclose(object_["residual"].audio_data, parts["residual"], atol=1e-6)


def test_a_span_of_a_file_is_separated_as_if_it_were_all(tmp_path):
    samples = noise(2.0, rate=RATE)
    song = write_audio(tmp_path / "song.wav", samples, RATE)
    (guitar,) = write_estimates(song, Passage(network, nodes=["guitar"]), tmp_path / "out", span=Span(0.5, 1.25))
    np.testing.assert_array_equal(
        read_audio(guitar), separate(audio.read(song)[0][:, 4000:10000], RATE, network, nodes=["guitar"])[0]
    )
    with pytest.raises(DataError, match=r"song\.wav: expected something from 9 s on, got a file of 2\.00 s"):
        write_estimates(song, Passage(network), tmp_path / "out", span=Span(9.0))


def test_shifts_change_nothing_for_an_identity_and_average_the_estimates_of_shifted_mixtures():
    mixture = noise(1.0, rate=RATE).astype(np.float32)
    many = SeparationSettings(shifts=4)
    np.testing.assert_allclose(separate(mixture, RATE, identity, settings=many)[0], mixture, atol=1e-5)
    shifted = [separate(np.pad(mixture, ((0, 0), (shift, 0))), RATE, network)[..., shift:] for shift in (0, 32, 64, 96)]
    np.testing.assert_allclose(separate(mixture, RATE, network, settings=many), np.mean(shifted, axis=0), atol=1e-6)
    assert np.abs(shifted[1] - shifted[0]).max() > 1e-4


def test_a_downmix_gives_every_channel_the_masks_of_the_mean():
    mixture = noise(1.0, rate=RATE, channels=2).astype(np.float32)
    estimates = separate(mixture, RATE, network, settings=SeparationSettings(downmix=True))
    mono = separate(mixture.mean(axis=0, keepdims=True), RATE, network)
    np.testing.assert_allclose(estimates.mean(axis=1, keepdims=True), mono, atol=1e-5)
    swapped = separate(mixture[::-1].copy(), RATE, network, settings=SeparationSettings(downmix=True))
    np.testing.assert_allclose(swapped[:, ::-1], estimates, atol=1e-6)


class Forgetful(PathSeparator):
    """Runs out of memory beyond two segments, as a GPU does."""

    most = 2
    sizes: ClassVar = []

    def separate_batch(self, mixture, condition=None):
        self.sizes.append(len(mixture))
        if len(mixture) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().separate_batch(mixture, condition)


def test_where_memory_ends_smaller_batches_go_on():
    mixture = noise(6.0, rate=RATE)
    forgetful = make(Forgetful)
    many = SeparationSettings(segment_s=0.7, overlap_s=0.2, batch_size=16)
    np.testing.assert_allclose(
        separate(mixture, RATE, forgetful, settings=many), separate(mixture, RATE, network, settings=many), atol=1e-6
    )
    assert [size for size in Forgetful.sizes if size > 2] == [12, 6, 3][: len([s for s in Forgetful.sizes if s > 2])]
    forgetful.most = 0
    with pytest.raises(ConfigError, match=r"device: expected memory for a segment of 0\.7 s on cpu"):
        separate(mixture, RATE, forgetful, settings=many)


# Going on


def test_what_lies_there_already_is_not_made_again(tmp_path):
    song = write_audio(tmp_path / "song.wav", noise(0.5, rate=RATE), RATE)
    out = tmp_path / "out"

    def written(**options):
        passage = Passage(network, settings=options.pop("settings", None), nodes=options.pop("nodes", None))
        before = {file: file.stat().st_mtime_ns for file in out.glob("*.wav")}
        files = write_estimates(song, passage, out, **options)
        return [file for file in files if before.get(file) != file.stat().st_mtime_ns]

    assert len(written()) == 3
    assert written() == []
    assert len(written(settings=short)) == 3
    assert len(written(span=Span(0.1))) == 3
    assert len(written(file_format=audio.FileFormat.of("wav", "16"))) == 3
    assert len(written()) == 3
    (out / "guitar.wav").unlink()
    assert len(written()) == 3
    (out / "separation.json").write_text("nonsense")
    assert len(written()) == 3
    about = json.loads((out / "separation.json").read_text())
    assert (about["format"], about["mixture"], list(about["files"])) == (1, "song.wav", list(PATH))
    write_audio(song, noise(0.5, rate=RATE, seed=2), RATE)
    assert len(written()) == 3


def test_a_node_that_is_called_as_the_residual_is(tmp_path):
    model = PathSeparator(
        {"name": "odd", "levels": ["mixture", "part"], "tree": {"mixture": ["residual", "other"]}, "match": "filename",
         "labels": {"residual": "a", "other": "b"}},
        ["residual"], sample_rate=RATE, spectrum=SPECTRUM, network=SIZES,
    )  # fmt: skip
    song = write_audio(tmp_path / "song.wav", noise(0.1, rate=RATE), RATE)
    with pytest.raises(ConfigError, match="residual: expected no node of this name"):
        write_estimates(song, Passage(model), tmp_path / "out", residual=True)
    assert len(write_estimates(song, Passage(model), tmp_path / "out")) == 1


KILLED = """
import sys, time
from hiersep.models.checkpoint import from_pretrained
from hiersep.separation import Passage, SeparationSettings, write_estimates
from pathlib import Path
class Slow(Passage):
    def estimates(self, *words):
        for stretch in super().estimates(*words):
            yield stretch
            print("step", flush=True)
            time.sleep(0.05)
passage = Slow(from_pretrained(sys.argv[1]), settings=SeparationSettings(2.0, 0.5, 1))
write_estimates(Path(sys.argv[2]), passage, Path(sys.argv[3]))
"""


def test_a_separation_that_is_killed_leaves_no_half_file_and_the_next_sweeps_up(tmp_path):
    model = Path(__file__).parent / "fixtures" / "path.safetensors"
    song = write_audio(tmp_path / "song.wav", noise(20, rate=16000))
    words = [sys.executable, "-c", KILLED, str(model), str(song), str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for _ in range(3):
            assert process.stdout.readline() == b"step\n"
        process.send_signal(signal.SIGKILL)
    time.sleep(0.1)
    assert list((tmp_path / "out").glob("*.wav")) == []
    assert names(tmp_path / "out")  # what it had begun
    passage = Passage(from_pretrained(model), settings=SeparationSettings(2.0, 0.5, 1))
    files = write_estimates(song, passage, tmp_path / "out")
    assert names(tmp_path / "out") == sorted([*(file.name for file in files), "separation.json"])


# What only ffmpeg reads

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "mka", "wv"])
def test_what_libsndfile_does_not_read_goes_through_ffmpeg(tmp_path, suffix):
    samples = 0.3 * np.sin(np.arange(2 * RATE) / 9)[None]
    wav = write_audio(tmp_path / "song.wav", samples, RATE)
    song = tmp_path / f"song.{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, song], check=True)
    with audio.decoded(song) as readable:
        read, rate = audio.read(readable)
        temporary = readable
    assert rate == RATE
    assert error_db(read[:, 2000:14000], samples[:, 2000:14000]) < -20
    assert not temporary.exists()
    (guitar,) = write_estimates(song, Passage(identity, nodes=["guitar"]), tmp_path / "out")
    np.testing.assert_allclose(read_audio(guitar), read, atol=1e-5)


@needs_ffmpeg
def test_a_playlist_does_not_open_other_files(tmp_path):
    write_audio(tmp_path / "secret.wav", noise(0.1), RATE)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile secret.wav\n")
    for name in ("list.m3u8", "list.ffconcat"):
        with pytest.raises(DataError, match="expected audio"), audio.decoded(tmp_path / name):
            pass


def test_without_ffmpeg_the_line_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = pytest.raises(DataError, match="ffmpeg, which reads more formats, is not installed")
    with refused, audio.decoded(tmp_path / "song.m4a"):
        pass
