"""The catalog hears each stem once, and right."""

import json
import shutil
import signal
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
from helpers import BASS, PIANO, RATE, bursts, level_db, noise, read_audio, tone, write_audio, write_folder, write_slakh
from hypothesis import given, settings
from hypothesis import strategies as st

from hiersep import audio
from hiersep.data import indexing
from hiersep.data.catalog import index_dataset, open_dataset
from hiersep.data.measuring import TrackWork, measure_track
from hiersep.data.tracks import Stem
from hiersep.errors import DataError, HiersepWarning

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def data(tmp_path):
    tracks = {"train/Track00001": [(PIANO, tone(3.0)), (BASS, noise(2.0))], "test/Track00002": [(PIANO, tone(1.0))]}
    return write_slakh(tmp_path / "data", tracks)


@pytest.fixture
def deaf(monkeypatch):
    """Call it: from then on, nothing can be listened to."""

    def refuse(work):
        raise AssertionError(f"{work.stems} were decoded again")

    return lambda: monkeypatch.setattr(indexing, "measure_track", refuse)


def measure(path, rate=RATE):
    """What listening to a file at a working rate tells."""
    (measured,) = measure_track(TrackWork((Stem("S00", path, {}),), (None,), None, rate)).stems
    return measured


@pytest.fixture
def listened(monkeypatch):
    """The files that are decoded from now on, by name of track and file."""
    files = []
    read = audio.read

    def noted(path, **options):
        files.append(f"{path.parents[1].name}/{path.name}")
        return read(path, **options)

    monkeypatch.setattr(audio, "read", noted)
    return files


def save_array(path):
    np.save(path, np.zeros(3))
    return path


def same(one, other):
    assert (one.key, one.tracks, one.dataset, one.folder) == (other.key, other.tracks, other.dataset, other.folder)
    for a, b in zip(one.measurements, other.measurements, strict=True):
        for m, n in zip(a, b, strict=True):
            assert (m.frames, m.sample_rate, m.channels, m.loudness) == (
                n.frames,
                n.sample_rate,
                n.channels,
                n.loudness,
            )
            assert np.array_equal(m.power, n.power)
    return True


def test_a_catalog_knows_the_tracks_their_splits_and_lengths(data):
    catalog = open_dataset(data, jobs=1)
    assert catalog.dataset == "slakh"
    assert [(t.split, t.id, len(t.stems)) for t in catalog.tracks] == [
        ("train", "Track00001", 2),
        ("test", "Track00002", 1),
    ]
    assert catalog.splits == ("train", "test")
    assert (catalog.select("train"), catalog.select("test"), catalog.select(None)) == ((0,), (1,), (0, 1))
    assert (catalog.duration(0), catalog.duration(1)) == (3.0, 1.0)
    first = catalog.measurements[0]
    assert [(m.frames, m.sample_rate, m.channels, m.duration) for m in first] == [
        (48000, RATE, 1, 3.0),
        (32000, RATE, 1, 2.0),
    ]


def test_a_split_that_is_not_there_is_refused(data, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(data, jobs=1).select("validation")
    assert str(caught.value) == f"{data}: no tracks in split 'validation'; there are train, test"
    flat = write_folder(tmp_path / "flat", {"song": {"a": tone(1.0)}})
    with pytest.raises(DataError) as caught:
        open_dataset(flat, jobs=1).select("train")
    assert str(caught.value) == f"{flat}: no tracks in split 'train'; there are no splits at all"


@given(
    start=st.integers(0, 9).map(lambda n: n / 2),
    duration=st.integers(1, 8).map(lambda n: n / 2),
    rate=st.sampled_from([8000, RATE, 44100]),
    channels=st.sampled_from([1, 2]),
)
@settings(max_examples=40)
def test_the_power_of_a_window_is_that_of_the_decoded_audio(tmp_path_factory, start, duration, rate, channels):
    path = tmp_path_factory.getbasetemp() / f"power-{rate}-{channels}.wav"
    sound = bursts(5.0, [(0.3, 1.7), (2.6, 4.9)], rate=rate) + tone(5.0, hz=100, db=-50, rate=rate)
    samples = sound * np.arange(1, channels + 1)[:, None]
    if not path.exists():
        write_audio(path, samples, rate)
    heard = read_audio(path).mean(axis=0)[round(start * rate) : round((start + duration) * rate)]
    silence = np.zeros(round(duration * rate) - len(heard))
    (power,) = measure(path).window_power(np.array([start]), duration)
    assert 10 * np.log10(power) == pytest.approx(level_db(np.concatenate([heard, silence])), abs=0.1)


@pytest.mark.parametrize("duration", [2.0, 3.5, 5.0])
def test_the_power_of_a_node_is_that_of_its_submix_within_1_db_in_rendered_songs(rendered, duration):
    from hiersep.data.sampling import claims_of, node_power, window_starts
    from hiersep.hierarchy import Hierarchy

    hierarchy = Hierarchy.load("slakh_ismir2020")
    catalog = open_dataset(rendered, jobs=1)
    compared = 0
    for number, track in enumerate(catalog.tracks):
        audio = np.stack([read_audio(stem.path)[0] for stem in track.stems])
        claims = claims_of(catalog, number, hierarchy)
        starts = window_starts(catalog.duration(number), duration)
        power = node_power(catalog, number, hierarchy.membership(claims), starts, duration)
        for row, node in enumerate(hierarchy.ids):
            below = {node, *hierarchy.descendants(node)}
            held = [claim in below or row == 0 for claim in claims]
            for column, start in enumerate(starts):
                submix = audio[held].sum(axis=0)[round(start * RATE) : round((start + duration) * RATE)]
                if level_db(submix) > -45:
                    assert 10 * np.log10(power[row, column]) == pytest.approx(level_db(submix), abs=1.0)
                    compared += 1
    assert compared > 100


def test_past_the_end_is_silence(tmp_path):
    measurement = measure(write_audio(tmp_path / "a.wav", tone(1.0, db=-20)))
    power = measurement.window_power(np.array([0.0, 0.5, 1.0, 7.0]), 1.0)
    assert power == pytest.approx([0.01, 0.005, 0, 0], rel=1e-3)


def test_a_second_open_decodes_nothing_and_finds_the_same(data, deaf):
    first = open_dataset(data, jobs=1)
    deaf()
    assert same(open_dataset(data, jobs=1), first)
    assert same(open_dataset(data / ".." / "data", jobs=1), first)


def test_any_number_of_processes_finds_the_same(data, cache):
    alone = open_dataset(data, jobs=1)
    shutil.rmtree(cache)
    assert same(open_dataset(data, jobs=2), alone)


@pytest.mark.parametrize("change", ["content", "another stem", "another rate"])
def test_a_change_is_heard(data, deaf, change):
    before = open_dataset(data, jobs=1)
    rate = RATE
    if change == "content":
        write_audio(data / "test/Track00002/stems/S00.wav", tone(1.0, db=-40))
    elif change == "another stem":
        write_slakh(data, {"test/Track00003": [(PIANO, tone(1.0))]})
    else:
        rate = 8000
    after = open_dataset(data, sample_rate=rate, jobs=1)
    assert after.key != before.key
    if change == "content":
        assert 10 * np.log10(after.measurements[1][0].power[0]) == pytest.approx(-40, abs=0.1)
    deaf()
    assert same(open_dataset(data, sample_rate=rate, jobs=1), after)


def test_a_change_of_labels_alone_is_seen_without_listening_again(data, deaf):
    open_dataset(data, jobs=1)
    path = data / "test/Track00002/metadata.yaml"
    path.write_text(path.read_text().replace("program_num: 0", "program_num: 24"))
    deaf()
    assert open_dataset(data, jobs=1).tracks[1].stems[0].attributes["program_num"] == 24


def kept_with(path, change):
    """Change what a file of measurements says, and write it so that it is whole."""
    arrays = {name: array.copy() for name, array in np.load(path).items()}
    header = json.loads(arrays["header"].tobytes())
    change(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"nonsense"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"key", b"kex")),
        lambda path: np.savez(path, other=np.zeros(3)),
        lambda path: np.savez(path, header=np.frombuffer(b"[1]", np.uint8), power=np.zeros(0)),
        lambda path: np.savez(path, header=np.array([{}], dtype=object), power=np.zeros(0)),
        lambda path: np.savez_compressed(path, **dict(np.load(path))),
        lambda path: kept_with(path, lambda header, arrays: arrays["numbers"].__setitem__((0, 1), 0)),
        lambda path: kept_with(path, lambda header, arrays: arrays["numbers"].__setitem__((0, 4), 10**9)),
        lambda path: kept_with(path, lambda header, arrays: arrays["loudness"].__setitem__(0, np.nan)),
        lambda path: kept_with(
            path, lambda header, arrays: arrays.update(stamps=arrays["stamps"][:5], power=np.zeros(3))
        ),
        lambda path: kept_with(path, lambda header, arrays: header["tracks"][0].__setitem__(1, 0)),
        lambda path: kept_with(path, lambda header, arrays: header["tracks"].pop()),
        lambda path: shutil.copy(save_array(path.with_name("other.npy")), path),
    ],
    ids=range(15),
)
def test_a_damaged_cache_is_built_again(data, cache, deaf, damage):
    before = open_dataset(data, jobs=1)
    (path,) = cache.rglob("*.npz")
    damage(path)
    assert same(open_dataset(data, jobs=1), before)
    deaf()
    assert same(open_dataset(data, jobs=1), before)


def test_a_cache_that_cannot_be_written_costs_time_and_no_more(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "file"))
    with pytest.warns(HiersepWarning, match="set HIERSEP_CACHE to a folder that can be written to") as caught:
        catalog = open_dataset(data, jobs=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert len(catalog.tracks) == 2


@pytest.mark.parametrize("content", [b"", b"this is no sound", None], ids=["empty", "text", "no samples"])
def test_a_stem_that_cannot_be_read_is_left_out_with_one_warning_that_names_it(data, content):
    path = data / "train/Track00001/stems/S00.wav"
    if content is None:
        write_audio(path, np.zeros((1, 0)))
    else:
        path.write_bytes(content)
    for _ in ("measured", "from the cache"):
        with pytest.warns(HiersepWarning) as caught:
            catalog = open_dataset(data, jobs=1)
        (warning,) = caught
        assert str(warning.message).startswith(f"left out of the mixture: {path}: expected audio")
        assert warning.filename == __file__
        assert [stem.id for stem in catalog.tracks[0].stems] == ["S01"]
        assert catalog.duration(0) == 2.0


def test_a_stem_with_nan_is_left_out_too(data):
    write_audio(data / "train/Track00001/stems/S00.wav", np.full((1, 100), np.nan))
    with pytest.warns(HiersepWarning, match="expected finite samples"):
        assert len(open_dataset(data, jobs=1).tracks[0].stems) == 1


def test_a_track_of_which_nothing_can_be_read_is_no_track(data):
    (data / "test/Track00002/stems/S00.wav").write_bytes(b"")
    with pytest.warns(HiersepWarning):
        assert open_dataset(data, jobs=1).splits == ("train",)


def test_a_data_set_of_which_nothing_can_be_read_is_refused(data):
    for path in data.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_dataset(data, jobs=1)
    first = data / "train/Track00001/stems/S00.wav"
    said = f"{data}: none of the 3 stems can be read, first {first}: expected audio, got an empty file (0 bytes)"
    assert str(caught.value) == said


def test_the_length_of_a_file_cut_short_is_what_it_holds(tmp_path):
    path = write_audio(tmp_path / "a.mp3", noise(10.0), subtype="MPEG_LAYER_III")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    measurement = measure(path)
    assert measurement.duration == pytest.approx(5, abs=0.2)
    assert len(measurement.power) == pytest.approx(10, abs=1)


def songs(folder, count=6):
    """A data set of as many tracks of two stems each."""
    tracks = {
        f"train/Track{number:05d}": [(PIANO, tone(1.0, db=-20 - number)), (BASS, noise(1.0, seed=number))]
        for number in range(count)
    }
    return write_slakh(folder, tracks)


def test_changed_files_alone_are_listened_to_again(tmp_path, listened):
    data = songs(tmp_path / "data")
    before = open_dataset(data, jobs=1)
    assert sorted(listened) == sorted(f"Track{number:05d}/S0{stem}.wav" for number in range(6) for stem in range(2))
    listened.clear()
    write_audio(data / "train/Track00004/stems/S01.wav", tone(1.0, db=-50))
    after = open_dataset(data, jobs=1)
    assert listened == ["Track00004/S01.wav"]
    assert np.array_equal(after.measurements[4][0].power, before.measurements[4][0].power)
    assert after.measurements[4][1].loudness < before.measurements[4][1].loudness - 20


def test_one_rate_does_not_know_what_another_heard(data, listened):
    open_dataset(data, jobs=1)
    listened.clear()
    open_dataset(data, jobs=1, sample_rate=8000)
    assert len(listened) == 3


STALL = """
import signal, sys, time
from hiersep.data import catalog, indexing

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored

real, done = indexing.measure_track, []

def stall(work):
    if len(done) == 3:
        print("ready", flush=True)
        time.sleep(60)
    done.append(work)
    return real(work)

indexing.measure_track = stall
catalog.index_dataset(sys.argv[1], jobs=1, store_channels=int(sys.argv[2]) or None)
"""


@pytest.mark.parametrize("channels", [None, 1], ids=["index", "store"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_what_was_measured_before_a_kill_is_not_measured_again(tmp_path, cache, listened, blow, channels):
    data = songs(tmp_path / "data")
    command = [sys.executable, "-c", STALL, str(data), str(channels or 0)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(blow)
    (journal,) = cache.rglob("journal-*")
    with journal.open("a") as file:
        file.write('["cut sho')  # as a kill in the middle of a line would leave it
    resumed, _ = index_dataset(data, jobs=1, store_channels=channels)
    assert sorted(listened) == sorted(f"Track{number:05d}/S0{stem}.wav" for number in (3, 4, 5) for stem in range(2))
    assert not list(cache.rglob("journal-*"))
    kept = {path.relative_to(cache): path.stat().st_size for path in cache.rglob("*") if path.is_file()}
    shutil.rmtree(cache)
    undisturbed, _ = index_dataset(data, jobs=1, store_channels=channels)
    assert same(resumed, undisturbed)
    assert resumed.store == undisturbed.store
    assert {path.relative_to(cache): path.stat().st_size for path in cache.rglob("*") if path.is_file()} == kept


def test_the_leftovers_of_a_killed_writer_are_swept(data, cache):
    index_dataset(data, jobs=1, store_channels=1)
    (place,) = (cache / "datasets").iterdir()
    for leftover in (place / ".hiersep-part-x", place / "blocks" / ".hiersep-part-y"):
        leftover.mkdir()
        (leftover / "half.i16").write_bytes(b"half")
    index_dataset(data, jobs=1, store_channels=1)
    assert not list(cache.rglob(".hiersep-part-*"))


def test_what_was_left_by_a_kill_after_the_catalog_was_whole_goes_when_it_is_next_read(data, cache, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("hiersep.data.journal.Journal.remove", kill)
        with pytest.raises(Killed):
            open_dataset(data, jobs=1)
    (place,) = (cache / "datasets").iterdir()
    (place / ".hiersep-part-x").mkdir()
    assert list(place.glob("journal-*"))
    open_dataset(data, jobs=1)
    assert {path.name for path in place.iterdir()} == {"catalog.npz", "metadata.json"}


def test_what_is_known_of_a_store_that_is_not_whole_stays_when_the_catalog_is_read(tmp_path, cache, listened):
    data = songs(tmp_path / "data")
    open_dataset(data, jobs=1)
    command = [sys.executable, "-c", STALL, str(data), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
    listened.clear()
    open_dataset(data, jobs=1)
    assert list(cache.rglob("journal-*"))
    index_dataset(data, jobs=1, store_channels=1)
    assert sorted(listened) == sorted(f"Track{number:05d}/S0{stem}.wav" for number in (3, 4, 5) for stem in range(2))
    assert not list(cache.rglob("journal-*"))


def test_two_processes_may_build_at_once(tmp_path, deaf):
    data = songs(tmp_path / "data", 12)
    code = (
        "import sys; from hiersep.data.catalog import index_dataset; "
        "index_dataset(sys.argv[1], store_channels=1, jobs=1)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(data)], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.communicate()[1].count("Traceback") for process in both] == [0, 0]
    assert [process.returncode for process in both] == [0, 0]
    deaf()
    assert open_dataset(data, jobs=1).store is not None


def test_joblib_spreads_the_work_over_a_dask_cluster(tmp_path, cache, monkeypatch):
    distributed = pytest.importorskip("dask.distributed", reason="dask is of the extra dev, which is not installed")
    data = songs(tmp_path / "data")
    alone = open_dataset(data, jobs=1)
    shutil.rmtree(cache)
    workers = []

    def noted(work):
        workers.append(distributed.get_worker().name)  # an error outside of a worker
        return measure_track(work)

    monkeypatch.setattr(indexing, "measure_track", noted)
    cluster = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**cluster, local_directory=str(tmp_path)), joblib.parallel_config(backend="dask"):
        assert same(open_dataset(data), alone)
    assert len(workers) == 6


def test_a_worker_that_dies_is_said_in_a_line(data, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    def die(work):
        raise BrokenProcessPool

    monkeypatch.setattr(indexing, "measure_track", die)
    with pytest.raises(DataError, match="a process that measures was ended from outside"):
        open_dataset(data, jobs=1)


def test_many_damages_are_counted_after_the_first_five(tmp_path):
    data = songs(tmp_path / "data", 9)
    for path in data.rglob("S00.wav"):
        path.write_bytes(b"")
    with pytest.warns(HiersepWarning) as caught:
        assert len(open_dataset(data, jobs=1).tracks) == 9
    assert len(caught) == 6
    assert str(caught[5].message) == f"{data}: 4 more are left out; `hiersep index` names them"


def test_strict_makes_any_finding_an_error(data):
    with pytest.raises(
        DataError, match=r"strict, and not all is as it should be \(1 shorter\), first .*S01.wav: 2.000 s"
    ):
        open_dataset(data, jobs=1, strict=True)
    write_audio(data / "train/Track00001/stems/S01.wav", noise(3.0))
    assert len(open_dataset(data, jobs=1, strict=True).tracks) == 2


def test_loudness_is_pyloudnorms_of_the_mean_of_the_channels(tmp_path):
    import pyloudnorm

    samples = noise(2.0, channels=2)
    measured = measure(write_audio(tmp_path / "a.wav", samples))
    assert measured.loudness == pytest.approx(
        pyloudnorm.Meter(RATE).integrated_loudness(samples.mean(axis=0)), abs=0.01
    )
    assert measure(write_audio(tmp_path / "b.wav", np.zeros((1, RATE)))).loudness == -np.inf


def test_twenty_five_thousand_stems_load_in_a_moment(tmp_path):
    from hiersep.data import cache
    from hiersep.data.measuring import Measurement, TrackMeasurement

    power = np.full(480, 0.01, np.float32)
    tracks = [
        (f"track {n}", TrackMeasurement(tuple(Measurement(n + 1, RATE, 1, power, -20.0) for _ in range(12))))
        for n in range(2100)
    ]
    stamps = [(f"{n}.wav", -1, n, n) for n in range(2100 * 12)]
    cache.save(tmp_path / "catalog.npz", "key", tracks, stamps)
    started = time.perf_counter()
    kept = cache.load(tmp_path / "catalog.npz")
    assert time.perf_counter() - started < 2
    assert [(key, [m.frames for m in track.stems]) for key, track in kept.tracks] == [
        (f"track {n}", [n + 1] * 12) for n in range(2100)
    ]
    assert [stamp for stamp, _ in kept.by_stamp()] == stamps


@pytest.mark.parametrize(
    "line",
    [
        '[[], {"stems": [], "difference_db": null, "block": null}]',
        "[" * 100_000,
        "{}",
        "\0",
        f'["a", {{"stems": [], "difference_db": {"9" * 400}, "block": null}}]',
        f'["a", {{"stems": [[[9, 8, 1, -{"9" * 400}, 0], ""]], "difference_db": null, "block": null}}]',
    ],
)
def test_a_damaged_journal_is_passed_over(data, cache, line):
    before = open_dataset(data, jobs=1)
    (path,) = cache.rglob("*.npz")
    path.with_name("journal-0.jsonl").write_text(line)
    path.unlink()
    assert same(open_dataset(data, jobs=1), before)
