"""The door for audio: what is read, written, resampled and measured, and what is refused."""

import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import error_db, level_db, noise, read_audio, tone, write_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import audio
from hiersep.errors import DataError, HiersepWarning

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000]


@pytest.fixture
def wav(tmp_path):
    return write_audio(tmp_path / "a.wav", noise(1.0, channels=2, rate=8000), 8000)


def test_a_header_tells_length_rate_and_channels(wav):
    assert audio.info(wav) == audio.AudioInfo(frames=8000, sample_rate=8000, channels=2)
    assert audio.info(wav).duration == 1.0


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_what_is_written_is_read_back_to_half_a_step(tmp_path, suffix):
    samples = noise(0.3, db=-20, channels=2).clip(-1, 1)
    for subtype, step in (("PCM_16", 2**-15), ("PCM_24", 2**-23)):
        audio.write(tmp_path / f"a.{suffix}", samples, 16000, subtype=subtype)
        found, rate = audio.read(tmp_path / f"a.{suffix}")
        assert (found.dtype, found.shape, rate) == (np.float32, samples.shape, 16000)
        assert found.flags.c_contiguous
        assert np.abs(found - samples).max() <= 0.51 * step + 2**-25


def test_floats_keep_what_lies_beyond_full_scale(tmp_path, recwarn):
    audio.write(tmp_path / "a.wav", np.array([[3.5, -2.0, 0.25]]), 8000, subtype="FLOAT")
    assert audio.read(tmp_path / "a.wav")[0].tolist() == [[3.5, -2.0, 0.25]]
    assert not recwarn.list


def test_floats_are_the_same_bytes_whenever_they_are_written(tmp_path):
    # libsndfile would stamp the time into a PEAK chunk: without one there are the header, the samples, and no time.
    path, samples = tmp_path / "a.wav", np.array([[0.5, -0.25, 2.0]], dtype=np.float32)
    audio.write(path, samples, 16000, subtype="FLOAT")
    content = path.read_bytes()
    assert b"PEAK" not in content
    assert content.endswith(b"data" + (12).to_bytes(4, "little") + samples.tobytes())


def test_integers_clip_beyond_full_scale_and_say_so(tmp_path):
    with pytest.warns(HiersepWarning) as caught:
        audio.write(tmp_path / "a.wav", np.array([3.5, -2.0, 0.25]), 8000)
    (warning,) = caught
    assert str(warning.message) == (
        f"{tmp_path}/a.wav: peak 3.50 is above full scale and is clipped; write 32-bit float to keep it"
    )
    assert warning.filename == __file__
    assert read_audio(tmp_path / "a.wav")[0] == pytest.approx([1.0, -1.0, 0.25], abs=2**-15)


def test_one_dimension_is_one_channel(tmp_path):
    audio.write(tmp_path / "a.wav", np.zeros(10), 8000)
    assert audio.info(tmp_path / "a.wav") == audio.AudioInfo(10, 8000, 1)


@given(start=st.integers(0, 9000), frames=st.integers(0, 9000))
@settings(max_examples=30)
def test_an_excerpt_is_a_slice_of_the_whole(tmp_path_factory, start, frames):
    path = tmp_path_factory.getbasetemp() / "excerpt.wav"
    whole = noise(1.0, rate=8000).astype(np.float32)
    if not path.exists():
        write_audio(path, whole, 8000)
    excerpt, _ = audio.read(path, start=start, frames=frames)
    assert np.array_equal(excerpt, whole[:, start : start + frames])


def message_of(function, *arguments, **options):
    with pytest.raises(DataError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("look", [audio.info, audio.read])
def test_what_is_no_audio_is_refused_in_one_line(tmp_path, look):
    assert message_of(look, tmp_path) == f"{tmp_path}: expected an audio file, got a folder; name the file in it"
    missing = tmp_path / "missing.wav"
    assert message_of(look, missing) == f"{missing}: no such file; check the path"
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert message_of(look, empty) == f"{empty}: expected audio, got an empty file (0 bytes)"
    text = tmp_path / "text.wav"
    text.write_text("this is no sound")
    assert message_of(look, text) == (
        f"{text}: expected audio that libsndfile reads (wav, flac, ogg, mp3), got something else or a damaged file "
        "(Format not recognised); convert it, for example with `ffmpeg -i FILE out.wav`"
    )
    headerless = tmp_path / "a.raw"
    headerless.write_bytes(bytes(100))
    assert message_of(look, headerless).startswith(f"{headerless}: expected audio that libsndfile reads")


def test_a_flac_file_cut_short_is_refused(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(2.0))
    path.write_bytes(path.read_bytes()[:30000])
    assert "a damaged file" in message_of(audio.read, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused_both_ways(tmp_path, value):
    path = tmp_path / "a.wav"
    samples = np.array([[0.0, value, 0.0]], np.float32)
    soundfile.write(path, samples.T, 8000, "FLOAT")
    assert message_of(audio.read, path) == (
        f"{path}: expected finite samples, got NaN or infinity; repair or leave out the file"
    )
    out = tmp_path / "out.wav"
    for subtype in ("PCM_16", "FLOAT"):
        assert message_of(audio.write, out, samples, 8000, subtype=subtype) == (
            f"{out}: expected finite samples to write, got NaN or infinity"
        )
    assert not out.exists()


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, wav):
    samples = np.zeros((1, 10))
    assert "cannot write here" in message_of(audio.write, wav / "b.wav", samples, 8000)
    (tmp_path / "d.wav").mkdir()
    assert "a folder of this name stands here" in message_of(audio.write, tmp_path / "d.wav", samples, 8000)
    for name, subtype in (("a.xyz", "PCM_16"), ("nosuffix", "PCM_16"), ("a.flac", "FLOAT")):
        message = message_of(audio.write, tmp_path / name, samples, 8000, subtype=subtype)
        assert message.startswith(f"{tmp_path / name}: cannot be written (")
        assert ".hiersep-part" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "d.wav"]


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", [8000, 16000, 44100])
def test_resampling_keeps_a_sine_in_pitch_phase_and_level(source, target):
    out = audio.resample(tone(1.0, hz=1000, rate=source), source, target)
    truth = tone(1.0, hz=1000, rate=target)
    assert out.dtype == np.float32
    assert abs(out.shape[1] - target) <= 1
    middle = slice(target // 10, -target // 10)
    assert error_db(out[:, :target][:, middle], truth[:, : out.shape[1]][:, middle]) < -80


def test_resampling_removes_what_the_new_rate_cannot_hold():
    out = audio.resample(tone(1.0, hz=6000, db=-20, rate=44100), 44100, 8000)
    assert level_db(out[:, 800:-800]) < -100


@given(
    length=st.integers(0, 5000),
    source=st.sampled_from(RATES),
    target=st.sampled_from(RATES),
    frames=st.integers(1, 3000),
)
@settings(max_examples=40)
def test_resampled_audio_has_the_length_that_is_asked_for(length, source, target, frames):
    assert audio.resample(np.ones((2, frames)), source, target, length=length).shape == (2, length)


def test_the_same_rate_changes_nothing():
    samples = noise(0.1, channels=2).astype(np.float32)
    assert np.array_equal(audio.resample(samples, 8000, 8000), samples)
    assert audio.resample(np.zeros((2, 0)), 44100, 16000).shape == (2, 0)


@given(length=st.integers(0, 40), frames=st.integers(0, 40))
def test_fitting_keeps_the_begin_and_adds_only_silence(length, frames):
    samples = np.arange(1.0, 2 * frames + 1).reshape(2, frames)
    fitted = audio.fit_length(samples, length)
    common = min(length, frames)
    assert fitted.shape == (2, length)
    assert np.array_equal(fitted[:, :common], samples[:, :common])
    assert not fitted[:, common:].any()


def test_loudness_is_the_standards():
    # ITU-R BS.1770: a 997 Hz sine of full scale in one channel reads -3.01 LKFS.
    assert audio.loudness(tone(3.0, hz=997, db=-3.01, rate=48000), 48000) == pytest.approx(-3.01, abs=0.1)
    quiet = audio.loudness(noise(3.0, db=-30), 16000)
    assert audio.loudness(noise(3.0, db=-20), 16000) == pytest.approx(quiet + 10, abs=0.01)


@pytest.mark.parametrize(
    "samples", [np.zeros((1, 16000)), noise(0.3), noise(1.0, db=-110)], ids=["silent", "short", "faint"]
)
def test_what_has_no_loudness_is_minus_infinity(samples):
    assert audio.loudness(samples, 16000) == -np.inf


# --- streams of a container: stempeg's own song of five stereo streams


@pytest.fixture(scope="module")
def stem_file():
    import stempeg

    return Path(stempeg.example_stem_path())


@pytest.fixture(scope="module")
def drums(stem_file):
    """The whole stream, decoded by ffmpeg without stempeg."""
    command = ["ffmpeg", "-v", "error", "-i", str(stem_file), "-map", "0:a:1", "-f", "f32le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, "<f4").reshape(-1, 2).T


def test_a_stream_has_a_length_a_rate_and_channels(stem_file, drums):
    for stream in range(5):
        assert audio.info(stem_file, stream=stream) == audio.AudioInfo(drums.shape[1], 44100, 2)


def test_a_stream_is_read_whole_as_ffmpeg_decodes_it(stem_file, drums):
    found, rate = audio.read(stem_file, stream=1)
    assert (found.dtype, found.flags.c_contiguous, rate) == (np.float32, True, 44100)
    assert np.array_equal(found, drums)


EXCERPTS = [(0, 1), (1, 0), (1023, 1025), (44101, 13), (100003, -1), (268280, 100), (268288, 5), (300000, -1)]


@pytest.mark.parametrize(("start", "frames"), EXCERPTS)
def test_an_excerpt_of_a_stream_is_a_slice_of_the_whole(stem_file, drums, start, frames):
    found, _ = audio.read(stem_file, start=start, frames=frames, stream=1)
    assert np.array_equal(found, drums[:, start:][:, : frames if frames >= 0 else None])


def test_streams_are_not_mixed_up(stem_file):
    # Stems sum to the mixture but for the codec; any other order of streams leaves as much as there was.
    mixture, *stems = (audio.read(stem_file, start=50000, frames=150000, stream=n)[0] for n in range(5))
    assert error_db(sum(stems), mixture) < -15
    assert min(error_db(sum(stems) - stem + mixture, stem) for stem in stems) > -3


def test_what_is_no_stream_is_refused_in_one_line(tmp_path, stem_file):
    for look in (audio.info, audio.read):
        for stream in (5, -1):
            assert message_of(look, stem_file, stream=stream) == (
                f"{stem_file}: expected an audio stream {stream}, got 5 streams, from 0"
            )
        text = tmp_path / "text.stem.mp4"
        text.write_text("this is no sound")
        assert message_of(look, text, stream=0) == (
            f"{text}: expected audio in stream 0 that ffmpeg reads, got none or damaged "
            "(Invalid data found when processing input)"
        )
        missing = tmp_path / "missing.stem.mp4"
        assert message_of(look, missing, stream=0) == f"{missing}: no such file; check the path"


def test_a_name_that_ffmpeg_would_take_for_more_than_a_file_is_a_file(tmp_path, stem_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.stem.mp4", "-version"):
        Path(name).symlink_to(stem_file)
        assert audio.read(name, stream=0, frames=10)[0].shape == (2, 10)


def test_a_stream_cut_short_is_refused(tmp_path, stem_file):
    path = tmp_path / "cut.stem.mp4"
    path.write_bytes(stem_file.read_bytes()[:400_000])
    assert "where its header says 268288" in message_of(audio.read, path, stream=1)


def test_a_stream_without_ffmpeg_says_what_to_install(stem_file, monkeypatch):
    monkeypatch.setenv("PATH", "")
    for look in (audio.info, audio.read):
        assert message_of(look, stem_file, stream=0) == (
            f"{stem_file}: expected ffmpeg and ffprobe to read its streams, found none; install ffmpeg, for example "
            "with `apt-get install ffmpeg`"
        )


def test_a_header_that_promises_more_than_there_is_costs_no_memory(tmp_path):
    path = write_audio(tmp_path / "x.flac", tone(1.0))
    content = bytearray(path.read_bytes())
    content[18:26] = (int.from_bytes(content[18:26], "big") >> 36 << 36 | 10**9).to_bytes(8, "big")
    path.write_bytes(content)
    assert audio.info(path).frames == 10**9
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in kB
    assert "a damaged file" in message_of(audio.read, path)
    assert audio.read(path, frames=10)[0].shape == (1, 10)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("rate", [1, 99, 768_001, 2**31 - 1])
def test_a_rate_at_which_no_audio_is_kept_is_refused(tmp_path, rate):
    path = write_audio(tmp_path / "x.wav", tone(0.1))
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    for function in (audio.info, audio.read):
        assert "expected a sample rate of 100 to 768000 Hz" in message_of(function, path)
