"""The store gives back what the files hold, and knows when it does not."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    BASS,
    PIANO,
    RATE,
    error_db,
    level_db,
    noise,
    read_audio,
    tone,
    write_audio,
    write_folder,
    write_slakh,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep.data.catalog import index_dataset, open_dataset
from hiersep.data.reading import read_block, read_excerpt
from hiersep.data.store import quantise
from hiersep.errors import DataError, HiersepWarning

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def data(tmp_path):
    tracks = {"train/Track00001": [(PIANO, tone(3.0)), (BASS, noise(2.0))], "test/Track00002": [(PIANO, tone(1.0))]}
    return write_slakh(tmp_path / "data", tracks)


def stored(folder, channels=1, **options):
    catalog, _ = index_dataset(folder, jobs=1, store_channels=channels, **options)
    assert catalog.store is not None
    return catalog


def blocks(cache):
    return {path.name: path.stat().st_mtime_ns for path in cache.rglob("*.i16")}


@given(
    peak=st.floats(1e-6, 30.0),
    samples=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50),
)
@settings(max_examples=100)
def test_a_step_is_a_power_of_two_and_the_error_half_a_step(peak, samples):
    audio = np.array(samples, np.float32) * np.float32(peak)
    steps, scale = quantise(audio)
    assert np.log2(scale) == round(np.log2(scale))
    # A half step, or a whole one where the last step below full scale is missing.
    assert np.abs(steps * scale - audio).max() <= scale / 2 * (1 + 1e-6)
    if np.abs(audio).max() > 1e-12:
        assert scale <= 4 * np.abs(audio).max() / 2**15


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=50))
@settings(max_examples=100)
def test_sixteen_bits_are_kept_bit_for_bit(integers):
    audio = np.array(integers, np.float32) / 2**15
    steps, scale = quantise(audio)
    assert np.array_equal(steps * np.float32(scale), audio)


def test_a_block_is_what_the_files_hold(data):
    from_files = open_dataset(data, jobs=1)
    catalog = stored(data)
    assert catalog.measurements[0][1].loudness == from_files.measurements[0][1].loudness
    for start_s, length in [(0.0, 16000), (0.73, 8001), (1.5, 16000), (2.9, 4000), (5.0, 100)]:
        for number, track in enumerate(catalog.tracks):
            block = read_block(catalog, number, start_s, length)
            assert block.shape == (len(track.stems), 1, length)
            assert block.dtype == np.float32
            assert np.abs(block - read_block(from_files, number, start_s, length)).max() < 2**-15
            for stem, row in enumerate(block):
                assert np.array_equal(read_excerpt(catalog, number, stem, start_s, length), row)


def test_sixteen_bit_files_at_the_working_rate_come_back_bit_for_bit(tmp_path):
    write_audio(tmp_path / "data/song/a.flac", noise(1.0), subtype="PCM_16")
    block = read_block(stored(tmp_path / "data"), 0, 0.0, RATE)
    assert np.array_equal(block[0], read_audio(tmp_path / "data/song/a.flac").astype(np.float32))


def test_loud_and_soft_stems_survive(tmp_path):
    loud, soft = tone(1.0, db=12), tone(1.0, db=-90)
    catalog = stored(write_folder(tmp_path / "data", {"song": {"a": loud, "b": soft}}))
    block = read_block(catalog, 0, 0.0, RATE)
    assert error_db(block[0], loud) < -85
    assert error_db(block[1], soft) < -85


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_another_rate_is_resampled_once(tmp_path, suffix):
    samples = noise(2.0, rate=44100, db=-30)
    write_folder(tmp_path / "data", {"song": {"a": samples}}, rate=44100, suffix=suffix)
    files = read_block(open_dataset(tmp_path / "data", jobs=1), 0, 0.5, RATE)
    block = read_block(stored(tmp_path / "data"), 0, 0.5, RATE)
    assert error_db(block, files) < -60
    assert level_db(files) > -40


def test_one_channel_serves_stereo_only_where_all_stems_are_mono(tmp_path):
    mono, stereo = tone(1.0), noise(1.0, channels=2)
    write_folder(tmp_path / "data", {"mono": {"a": mono}, "stereo": {"a": stereo, "b": mono}})
    one = stored(tmp_path / "data")
    assert np.array_equal(read_block(one, 0, 0, RATE, 2), np.repeat(read_block(one, 0, 0, RATE), 2, axis=1))
    assert error_db(read_block(one, 1, 0, RATE, 2)[0], stereo) < -120  # from the files
    two = stored(tmp_path / "data", channels=2)
    assert two.store.channels == 2
    block = read_block(two, 1, 0, RATE, 2)
    assert error_db(block[0], stereo) < -80
    assert np.array_equal(block[1, 0], block[1, 1])
    assert error_db(read_block(two, 1, 0, RATE, 1)[0], stereo.mean(axis=0, keepdims=True)) < -80
    for one_track, other in zip(one.measurements, two.measurements, strict=True):
        for a, b in zip(one_track, other, strict=True):
            assert np.array_equal(a.power, b.power)


def test_open_dataset_finds_it_and_a_second_build_writes_nothing(data, cache):
    before = stored(data)
    written = blocks(cache)
    assert len(written) == 2
    assert open_dataset(data, jobs=1).store == before.store == stored(data).store
    assert blocks(cache) == written
    assert before.store.size == sum(path.stat().st_size for path in cache.rglob("*.i16")) == (2 * 3 + 1) * RATE * 2
    assert open_dataset(data, jobs=1, sample_rate=8000).store is None


def test_a_changed_track_is_stale_and_it_alone_is_written_again(data, cache):
    stored(data)
    written = blocks(cache)
    write_audio(data / "test/Track00002/stems/S00.wav", tone(1.0, db=-40))
    with pytest.warns(HiersepWarning, match=r"the store is of other files.*`hiersep index --store` mends it"):
        catalog = open_dataset(data, jobs=1)
    assert catalog.store is None
    assert level_db(read_block(catalog, 1, 0.0, RATE)) == pytest.approx(-40, abs=0.1)
    assert level_db(read_block(stored(data), 1, 0.0, RATE)) == pytest.approx(-40, abs=0.1)
    now = blocks(cache)
    assert len(now) == 2
    assert len(now.items() & written.items()) == 1


@pytest.mark.parametrize("damage", ["cut short", "removed", "bits changed", "list"])
def test_a_damaged_store_is_mended(data, cache, damage):
    good = read_block(stored(data), 0, 0.5, RATE)
    path = max(cache.rglob("*.i16"), key=lambda path: path.stat().st_size)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-2])
    elif damage == "removed":
        path.unlink()
    elif damage == "bits changed":
        path.write_bytes(b"\1\2" + path.read_bytes()[2:])
    else:
        (listed,) = cache.rglob("store.npz")
        listed.write_bytes(listed.read_bytes()[:99])
    if damage in ("cut short", "removed"):
        with pytest.warns(HiersepWarning, match="or damaged; it is not used"):
            assert open_dataset(data, jobs=1).store is None
    assert np.array_equal(read_block(stored(data), 0, 0.5, RATE), good)


def test_a_store_damaged_under_a_running_training_is_named_once_and_the_files_are_read(data, cache):
    catalog = stored(data)
    good = read_block(catalog, 0, 0.5, RATE)
    for path in cache.rglob("*.i16"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(HiersepWarning, match="the files are read in its place") as caught:
        errors = [np.abs(read_block(catalog, 0, 0.5, RATE) - good).max() for _ in range(3)]
    assert max(errors) < 2**-15
    assert len(caught) == 1


def test_a_disk_without_room_is_refused_before_anything_is_written(data, cache, monkeypatch):
    monkeypatch.setattr("hiersep.data.indexing.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"expected room for about 0.2 MB in 2 tracks, got 0.0 MB; make room"):
        stored(data)
    assert not blocks(cache)


def test_its_size_is_said_before_it_starts(data, capsys):
    stored(data)
    assert "about 0.2 MB in 2 tracks; " in capsys.readouterr().err
    stored(data)
    assert capsys.readouterr().err == ""


def test_a_copy_reads_the_same(data):
    catalog = stored(data)
    copy = pickle.loads(pickle.dumps(catalog))
    assert np.array_equal(read_block(copy, 0, 0.5, 999), read_block(catalog, 0, 0.5, 999))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(data, method):
    catalog = stored(data)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert np.array_equal(pool.apply(read_block, (catalog, 0, 0.5, 999)), read_block(catalog, 0, 0.5, 999))


def test_no_file_stays_open(data):
    catalog = stored(data)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for track in range(2):
        read_block(catalog, track, 0.0, 100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def anonymous_memory():
    """RssAnon of this process in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_anonymous_memory_does_not_grow_by_the_mapping(tmp_path):
    catalog = stored(write_folder(tmp_path / "data", {"song": {name: noise(60.0) for name in "abcdefgh"}}))
    read_block(catalog, 0, 0.0, RATE)
    before = anonymous_memory()
    for start in np.linspace(0, 59, 200):
        read_block(catalog, 0, float(start), RATE)
    assert anonymous_memory() - before < 4e6 < catalog.store.size
