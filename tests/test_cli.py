"""The commands train, separate, query and evaluate: results, exit codes, and one line where something is wrong."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers import ACOUSTIC_GUITAR, BASS, DISTORTED_GUITAR, PIANO, noise, tone, write_audio, write_slakh
from typer.testing import CliRunner

from hiersep import audio
from hiersep.cli import app
from hiersep.models import checkpoint
from hiersep.models.path import PathSeparator
from hiersep.separation import QueryByExampleSeparator, SeparationSettings
from hiersep.separation import separate as take_apart

FIXTURES = Path(__file__).parent / "fixtures"
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
CONF = """
data: {{folder: {folder}, duration: 0.5, num_train: 2, num_validation: 2}}
spectrum: {{n_fft: 256, hop_length: 128}}
network: {{hidden_size: 2, num_layers: 1}}
training: {{batch_size: 2, max_epochs: 1, num_workers: 0, device: cpu}}
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result, exit_code, *words):
    """Check the exit code, and that standard error is one line that holds the words."""
    assert result.exit_code == exit_code, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("hiersep: error: ")
    assert "Traceback" not in result.output
    for word in words:
        assert str(word) in line
    return line


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    programs = {ACOUSTIC_GUITAR: 400, DISTORTED_GUITAR: 1000, PIANO: 2000, BASS: 150}
    song = [(program, tone(1.0, hz=hz)) for program, hz in programs.items()]
    splits = ("train/Track00001", "validation/Track00002", "test/Track00003")
    return write_slakh(tmp_path_factory.mktemp("data"), dict.fromkeys(splits, song))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    checkpoint.save(PathSeparator("slakh_ismir2020", PATH, network={"hidden_size": 2, "num_layers": 1}), path)
    return path


@pytest.fixture
def song(tmp_path):
    return write_audio(tmp_path / "song.wav", noise(0.3, rate=22050, channels=2), 22050)


@pytest.fixture
def conf(tmp_path, data):
    path = tmp_path / "conf.yml"
    path.write_text(CONF.format(folder=data))
    return path


@pytest.fixture
def in_the_way(tmp_path):
    """A file where a folder is wanted: unwritable, to root as well."""
    path = tmp_path / "file"
    path.write_text("in the way")
    return path / "out"


# separate


def test_separate_writes_one_wav_per_node_like_the_mixture(model, song, tmp_path):
    result = run("separate", song, "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    files = [tmp_path / "out" / "song" / f"{node}.wav" for node in PATH]
    assert result.stdout.splitlines() == [str(file) for file in files]
    assert sorted([*files, files[0].with_name("separation.json")]) == sorted((tmp_path / "out" / "song").iterdir())
    wanted = soundfile.info(song)
    for file in files:
        info = soundfile.info(file)
        assert (info.frames, info.samplerate, info.channels) == (wanted.frames, 22050, 2)


def test_separate_writes_the_nodes_that_are_asked_for(model, song, tmp_path):
    result = run("separate", song, "--model", model, "--out", tmp_path / "out", "--nodes", "guitar, clean_guitars")
    assert result.exit_code == 0, result.output
    assert {path.stem for path in (tmp_path / "out" / "song").glob("*.wav")} == {"guitar", "clean_guitars"}


@pytest.mark.parametrize(
    ("words", "suffix", "subtype"),
    [
        ("--format flac", "flac", "PCM_24"), ("--format flac --bits 16", "flac", "PCM_16"),
        ("--bits 24", "wav", "PCM_24"), ("--bits 32f", "wav", "FLOAT"), ("--format mp3", "mp3", "MPEG_LAYER_III"),
    ],
)  # fmt: skip
def test_separate_writes_the_format_that_is_asked_for(words, suffix, subtype, model, song, tmp_path):
    for name, options in (("song", words), ("float", "")):
        result = run(
            "separate", song, "--model", model, "--out", tmp_path / name, "--nodes", "guitar", *options.split()
        )
        assert result.exit_code == 0, result.output
    out = tmp_path / "song" / "song" / f"guitar.{suffix}"
    info = soundfile.info(out)
    assert (info.subtype, info.frames, info.samplerate, info.channels) == (subtype, 6615, 22050, 2)
    written, _ = soundfile.read(out)
    exact, _ = soundfile.read(tmp_path / "float" / "song" / "guitar.wav")
    if subtype == "MPEG_LAYER_III":
        assert np.sum((written - exact) ** 2) < 0.3 * np.sum(exact**2)  # of noise, which a codec likes least
    else:
        np.testing.assert_allclose(written, exact, atol={"PCM_16": 2**-16, "PCM_24": 2**-24, "FLOAT": 0}[subtype])


def test_a_format_that_is_none_is_named(model, song, tmp_path):
    words = ("separate", song, "--model", model, "--out", tmp_path / "out")
    fails(run(*words, "--format", "ogg"), 2, "'ogg'", "wav, flac, mp3")
    fails(run(*words, "--format", "flac", "--bits", "32f"), 2, "'32f'", "24 or 16")
    fails(run(*words, "--format", "mp3", "--bits", "16"), 2, "'16'", "none for mp3")
    assert not (tmp_path / "out").exists()


def test_a_mixture_that_is_none_is_named(model, tmp_path):
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nothing.wav", np.zeros((0, 1)), 16000)
    reasons = {
        "missing": "no such file", "text": "expected audio", "empty": "empty file",
        "nothing": "0 samples",
        "folder": "expected audio files in this folder",
    }  # fmt: skip
    for name, reason in reasons.items():
        path = tmp_path / f"{name}.wav"
        fails(run("separate", path, "--model", model, "--out", tmp_path / "out"), 2, path, reason)
    assert not (tmp_path / "out").exists()


def test_one_bad_mixture_of_two_is_named_and_the_other_separated(model, song, tmp_path):
    result = run("separate", tmp_path / "missing.wav", song, "--model", model, "--out", tmp_path / "out")
    fails(result, 1, "missing.wav", "no such file")
    assert len(list((tmp_path / "out" / "song").glob("*.wav"))) == 3


def test_where_no_mixture_can_be_separated_each_is_named_and_nothing_was_done(model, tmp_path):
    result = run("separate", tmp_path / "a.wav", tmp_path / "b.wav", "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert [line.split(": ")[2].rpartition("/")[2] for line in result.stderr.splitlines()] == ["a.wav", "b.wav"]
    assert not (tmp_path / "out").exists()


def test_two_mixtures_of_one_name_do_not_overwrite_each_other(model, song, tmp_path):
    other = write_audio(tmp_path / "other" / "song.wav", noise(0.3))
    fails(run("separate", song, other, "--model", model, "--out", tmp_path / "out"), 2, "'song'", "rename one")


def test_an_unknown_node_is_named_with_its_near_miss(model, song, tmp_path):
    result = run("separate", song, "--model", model, "--out", tmp_path / "out", "--nodes", "guitars")
    fails(result, 2, "'guitars'", "did you mean 'guitar'?")


def test_a_device_that_is_not_there_is_named(model, song, tmp_path):
    fails(run("separate", song, "--model", model, "--out", tmp_path, "--device", "abacus"), 2, "abacus", "cpu")


def test_results_that_cannot_be_written_are_one_line(model, song, in_the_way):
    fails(
        run("separate", song, "--model", model, "--out", in_the_way),
        2,
        in_the_way,
        "choose a folder that can be written to",
    )


def test_separate_sends_whoever_has_an_example_to_query(song, tmp_path):
    result = run("separate", song, "--model", FIXTURES / "query.safetensors", "--out", tmp_path / "out")
    fails(result, 2, "query.safetensors", "hiersep query MIX --like EXAMPLE")


# query


def test_query_writes_what_the_separator_gives_for_the_mean_of_the_examples(song, tmp_path):
    examples = [write_audio(tmp_path / f"{n}.wav", noise(0.5, seed=n)) for n in range(2)]
    like = [word for example in examples for word in ("--like", example)]
    model = FIXTURES / "query.safetensors"
    result = run("query", song, *like, "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    wanted = QueryByExampleSeparator(song, examples, model=model, device="cpu").to_dict()
    files = [tmp_path / "out" / "song" / f"{level}.wav" for level in wanted]
    assert result.stdout.splitlines() == [str(file) for file in files]
    for file, estimate in zip(files, wanted.values(), strict=True):
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        assert rate == 22050
        np.testing.assert_array_equal(samples.T, estimate.audio_data)

    level = list(wanted)[-1]
    assert run("query", song, *like, "--model", model, "--level", level, "--out", tmp_path / "one").exit_code == 0
    assert [path.stem for path in (tmp_path / "one" / "song").glob("*.wav")] == [level]


def test_what_cannot_be_asked_for_is_one_line(model, song, tmp_path):
    silence = write_audio(tmp_path / "silence.wav", np.zeros((1, 8000)))
    asks = FIXTURES / "query.safetensors"
    out = ("--out", tmp_path / "out")
    fails(run("query", song, "--like", silence, "--model", asks, *out), 2, silence, "silen")
    fails(run("query", song, "--like", tmp_path / "none.wav", "--model", asks, *out), 2, "none.wav", "no such file")
    fails(run("query", song, "--like", song, "--model", asks, "--level", "clas", *out), 2, "'clas'")
    fails(run("query", song, "--like", song, "--model", model, *out), 2, model, "hiersep separate MIX")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["separate", "evaluate"])
@pytest.mark.parametrize("kind", ["missing", "folder", "text", "half", "empty"])
def test_a_checkpoint_that_is_none_is_named(command, kind, model, song, data, tmp_path):
    path = tmp_path / f"{kind}.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        whole = model.read_bytes()
        path.write_bytes({"text": b"no weights here", "half": whole[: len(whole) // 2], "empty": b""}[kind])
    arguments = {"separate": ["separate", song, "--model"], "evaluate": ["evaluate", "--data", data]}[command]
    fails(run(*arguments, path, "--out", tmp_path / "out"), 2, path)


# train


def test_train_writes_a_checkpoint_and_says_what_to_do_next(conf, tmp_path):
    result = run("train", conf, "--exp-dir", tmp_path / "exp", "--network.hidden_size", "3")
    assert result.exit_code == 0, result.output
    best = tmp_path / "exp" / "best.safetensors"
    assert checkpoint.from_pretrained(best).network_config.hidden_size == 3
    assert f"Trained: {best}" in result.stdout
    assert "hiersep separate" in result.stdout
    fails(run("train", conf, "--exp-dir", tmp_path / "exp"), 2, "another configuration", "--overwrite")
    assert run("train", conf, "--exp-dir", tmp_path / "exp", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--data.hierarchy", "slakh_ismir202"], ["slakh_ismir202", "did you mean 'slakh_ismir2020'?"]),
        (["--data.target", "clean_guitar"], ["'clean_guitar'", "did you mean 'clean_guitars'?"]),
        (["--data.target", "mixture"], ["mixture", "no target"]),
        (["--data.target", "vowels"], ["vowels"]),
        (["--data.folder", "no/such/folder"], ["no/such/folder", "no such folder"]),
        (["--data.folder", "."], ["layout"]),
        (["--training.epochs", "3"], ["'epochs'", "max_epochs"]),
        (["--training.max_epochs", "many"], ["training.max_epochs", "whole number", "'many'"]),
        (["--training.loss", "l2"], ["phase_sensitive_l1 or negative_snr"]),
        (["--network.constraint=most"], ["none or max"]),
        (["--spectrum.hop_length", "200"], ["hop_length", "200"]),
        (["--overwite"], ["--overwite"]),
        (["--training.seed"], ["expected a value"]),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_a_setting_that_cannot_be_is_named(change, words, conf, tmp_path, monkeypatch):
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / "notes.txt").touch()
    monkeypatch.chdir(tmp_path / "somewhere")
    fails(run("train", conf, "--exp-dir", tmp_path / "exp", *change), 2, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {folder: x, lenght: 3}", ["conf.yml:1", "unknown key 'lenght'"]),
        ("\ntrainning: {seed: 1}", ["conf.yml:2", "'trainning'", "did you mean 'training'?"]),
        ("data: [1, 2]", ["conf.yml:1", "settings under 'data'"]),
        ("data: {folder: x", ["conf.yml"]),
        ("data:\n  folder: a\n  folder: b", ["conf.yml:3", "folder"]),
        ("- 1", ["conf.yml", "expected sections"]),
        ("base: other.yml", ["other.yml"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else value.split(":")[0].strip(),
)
def test_a_configuration_that_is_none_is_named_with_its_line(text, words, tmp_path):
    (tmp_path / "conf.yml").write_text(text)
    fails(run("train", tmp_path / "conf.yml", "--exp-dir", tmp_path / "exp"), 2, *words)


def test_a_missing_configuration_an_empty_data_set_and_an_unwritable_folder_are_named(conf, tmp_path, in_the_way):
    fails(run("train", tmp_path / "no.yml"), 2, "no.yml")
    (tmp_path / "empty").mkdir()
    empty = ["--data.folder", tmp_path / "empty"]
    fails(run("train", conf, "--exp-dir", tmp_path / "exp", *empty), 2, tmp_path / "empty", "the folder is empty")
    fails(run("train", conf, "--exp-dir", in_the_way), 2, in_the_way, "cannot be made a folder")


def test_ctrl_c_is_one_line_and_exit_code_130(conf, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hiersep.training.loop.fit", interrupt)
    fails(run("train", conf, "--exp-dir", tmp_path / "exp"), 130, "interrupted", "same command again")


# evaluate


def test_evaluate_prints_a_table_and_writes_what_it_names(model, data, tmp_path):
    out, example = tmp_path / "out", tmp_path / "example"
    options = [model, "--data", data, "--out", out, "--duration", 0.5, "--num", 2, "--static-clips", 2]
    result = run("evaluate", *options, "--example", example)
    assert result.exit_code == 0, result.output
    for node in PATH:
        assert f"| {node} " in result.stdout
    for path in (out / "results.json", out / "scores.csv", out / "clips.json", example / "report.html"):
        assert str(path) in result.stdout
        assert path.is_file()
    with (out / "scores.csv").open(newline="") as file:
        assert {row["track"] for row in csv.DictReader(file)} == {"Track00003"}
    as_json = run("evaluate", *options, "--example", example, "--json")
    assert json.loads(as_json.stdout) == json.loads((out / "results.json").read_text())


def test_data_that_cannot_be_evaluated_is_named(model, data, tmp_path, in_the_way):
    (tmp_path / "empty").mkdir()
    options = [model, "--out", tmp_path / "out", "--duration", 0.5]
    fails(run("evaluate", "--data", tmp_path / "nothing", *options), 2, tmp_path / "nothing", "no such folder")
    fails(run("evaluate", "--data", tmp_path / "empty", *options), 2, tmp_path / "empty", "the folder is empty")
    fails(run("evaluate", "--data", data, *options, "--split", "tset"), 2, "'tset'", "train, validation, test")
    bad = [model, "--out", in_the_way, "--duration", 0.5]
    fails(run("evaluate", "--data", data, *bad), 2, in_the_way, "choose a folder that can be written to")


# all of it


@pytest.mark.parametrize("command", [[], ["train"], ["separate"], ["evaluate"]])
def test_help_names_the_command_and_an_example(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    if command:
        assert f"hiersep {command[0]} " in result.output


def test_errors_leave_no_traceback_in_a_real_process(tmp_path):
    script = "from hiersep.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "train", "missing.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("hiersep: error: missing.yml: ")


def test_a_reader_that_has_had_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does after its lines
    script = "from hiersep.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "tree", "general_midi", "--json"],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == ""


def loaded_after(statement):
    script = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    ["import hiersep", "from hiersep import Hierarchy", "import hiersep.cli"],
)
def test_a_light_import_stays_light(statement):
    assert not loaded_after(statement) & {"torch", "nussl", "numpy", "asteroid", "librosa", "scipy", "soundfile"}


def test_every_public_name_loads_and_the_list_is_whole():
    import hiersep

    for name in hiersep.__all__:
        assert getattr(hiersep, name) is not None
    assert {"HierarchicalSeparator", "HierarchicalMixtureDataset", "Hierarchy", "train"} <= set(dir(hiersep))
    with pytest.raises(AttributeError, match="no attribute 'Hierachy'"):
        hiersep.Hierachy  # noqa: B018


# what the commands that take mixtures apart share


def separated(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def test_folders_and_patterns_are_taken_apart_file_by_file(model, tmp_path):
    album = tmp_path / "album"
    for name in ("one.wav", "disc2/two.flac", "disc2/one.wav"):
        write_audio(album / name, noise(0.1))
    (album / "cover.txt").write_text("no sound")
    nodes = ("--model", model, "--nodes", "guitar")
    separated("separate", album, *nodes, "--out", tmp_path / "a")
    found = sorted(path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*.wav"))
    assert found == ["disc2/one/guitar.wav", "disc2/two/guitar.wav", "one/guitar.wav"]
    separated("separate", album / "**" / "t*.flac", *nodes, "--out", tmp_path / "b")
    assert [path.parent.name for path in (tmp_path / "b").rglob("*.wav")] == ["two"]
    fails(run("separate", album / "*.mp3", *nodes, "--out", tmp_path / "c"), 2, "*.mp3", "fits none")


def test_a_dry_run_writes_nothing_and_json_says_all(model, song, tmp_path):
    words = ("separate", song, tmp_path / "no.wav", "--model", model, "--residual", "--json", "--out", tmp_path / "out")
    result = run(*words, "--dry-run", "--from", "0:0.1")
    assert result.exit_code == 1
    about = json.loads(result.stdout)
    assert about["dry_run"] is True
    assert not (tmp_path / "out").exists()
    one, other = about["mixtures"]
    assert list(one["files"]) == [*PATH, "residual"]
    assert (one["mixture"], one["sample_rate"], one["channels"], one["frames"]) == (str(song), 22050, 2, 6615 - 2205)
    assert "no such file" in other["error"]
    one = json.loads(run(*words).stdout)["mixtures"][0]
    assert all(soundfile.info(file).frames == one["frames"] == 6615 for file in one["files"].values())


def test_a_span_is_separated_and_settings_are_heeded(model, song, tmp_path):
    samples, rate = soundfile.read(song, always_2d=True)
    words = ("separate", song, "--model", model, "--nodes", "guitar", "--shifts", 2, "--downmix", "--overlap", 2)
    separated(*words, "--from", "0.1", "--to", "0:00.2", "--out", tmp_path)
    network = checkpoint.from_pretrained(model)
    settings = SeparationSettings(overlap_s=2, shifts=2, downmix=True)
    cut = samples.T[:, round(0.1 * rate) : round(0.2 * rate)]
    wanted = take_apart(cut.astype(np.float32), rate, network, nodes=["guitar"], settings=settings)[0]
    written, _ = soundfile.read(tmp_path / "song" / "guitar.wav", dtype="float32")
    np.testing.assert_array_equal(written.T, wanted)
    fails(run(*words, "--from", "2", "--to", "1", "--out", tmp_path), 2, "ends after it begins")
    fails(run(*words, "--from", "soon", "--out", tmp_path), 2, "expected a time like")
    fails(run(*words, "--from", "5", "--out", tmp_path), 2, "song.wav", "a file of 0.30 s")


def test_several_checkpoints_work_as_one(tmp_path, song):
    files = []
    for node in PATH[:2]:
        files += ["--model", tmp_path / f"{node}.safetensors"]
        single = PathSeparator("slakh_ismir2020", [node], network={"hidden_size": 2, "num_layers": 1})
        checkpoint.save(single, files[-1])
    separated("separate", song, *files, "--out", tmp_path / "out")
    assert {path.stem for path in (tmp_path / "out" / "song").glob("*.wav")} == set(PATH[:2])
    fails(run("separate", song, *files, *files, "--out", tmp_path / "out"), 2, "from several")


def test_an_example_may_be_a_span_of_the_mixture_itself(tmp_path):
    model = FIXTURES / "query.safetensors"
    songs = [write_audio(tmp_path / f"{n}.wav", noise(1.0, seed=n)) for n in range(2)]
    example = write_audio(tmp_path / "other.wav", noise(0.4, seed=5))
    words = ("--like", "0:00.2-0:00.5", "--like", example, "--model", model, "--level", "class")
    separated("query", *songs, *words, "--out", tmp_path / "out")
    for song in songs:
        samples, rate = soundfile.read(song, dtype="float32")
        cut = write_audio(tmp_path / "cut.wav", samples[None, 3200:8000], rate)
        wanted = QueryByExampleSeparator(song, [example, cut], model=model, nodes=["class"], device="cpu")()[0]
        written, _ = soundfile.read(tmp_path / "out" / song.stem / "class.wav", dtype="float32")
        np.testing.assert_allclose(written[None], wanted.audio_data, atol=1e-5)
    words = ("query", songs[0], "--model", model, "--out", tmp_path / "out")
    fails(run(*words, "--like", "0:05-0:06"), 2, "0.wav", "a file of 1.00 s")
    fails(run(*words, "--like", "5-x"), 2, "5-x: no such file")


def test_a_second_run_makes_nothing_again(model, song, tmp_path):
    words = ("separate", song, "--model", model, "--out", tmp_path / "out")
    files = separated(*words).stdout.splitlines()
    before = [Path(file).stat().st_mtime_ns for file in files]
    assert separated(*words).stdout.splitlines() == files
    assert [Path(file).stat().st_mtime_ns for file in files] == before


@pytest.mark.parametrize("wrong", ["nan", "truncated.mp3", "truncated.flac"])
def test_a_damaged_mixture_is_one_line_and_leaves_no_half_file(wrong, model, tmp_path):
    song = tmp_path / (wrong if "." in wrong else "nan.wav")
    samples = noise(30.0, seed=1).T
    if wrong == "nan":
        samples[-1] = np.nan
        soundfile.write(song, samples, 16000, subtype="FLOAT")
    else:
        soundfile.write(song, samples, 16000)
        song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    result = run("separate", song, "--model", model, "--out", tmp_path / "out")
    fails(result, 2, song)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


# report


def test_a_page_comes_with_the_results_or_afterwards(model, song, tmp_path):
    words = ("separate", song, "--model", model, "--residual", "--from", "0.1", "--out", tmp_path / "out")
    page = tmp_path / "out" / "song" / "report.html"
    assert separated(*words, "--report").stdout.splitlines()[-1] == str(page)
    first = page.read_text()
    assert all(f"<title>{name}" in first or name in first for name in (*PATH, "residual", "song.wav"))
    page.unlink()
    assert separated("report", song, page.parent).stdout == f"{page}\n"
    assert page.read_text() == first

    true = tmp_path / "true" / "guitar.wav"
    true.parent.mkdir()
    true.write_bytes((page.parent / "guitar.wav").read_bytes())
    separated("report", song, page.parent, "--references", true.parent, "--out", tmp_path / "scored.html")
    assert len((tmp_path / "scored.html").read_text()) > len(first)

    fails(run("report", song, tmp_path), 2, "separation.json", "name their folder")
    fails(run("report", song, page.parent, "--references", tmp_path), 2, "expected true submixes")
    (page.parent / "separation.json").write_text('{"format": 1, "files": {"guitar": "../../secret.wav"}}')
    fails(run("report", song, page.parent), 2, "separation.json")


def test_the_page_of_a_query_lets_its_example_be_heard(tmp_path, song):
    example = write_audio(tmp_path / "other.wav", noise(0.4, seed=5))
    words = ("query", song, "--like", example, "--model", FIXTURES / "query.safetensors", "--out", tmp_path / "out")
    separated(*words, "--report")
    assert "audio" in (tmp_path / "out" / "song" / "report.html").read_text()


@pytest.mark.parametrize("content", ["text", "half"])
def test_of_an_mp3_that_is_none_or_cut_short_one_line_is_printed_by_whomever(content, model, tmp_path):
    song = tmp_path / "song.mp3"
    soundfile.write(song, noise(5.0).T, 16000)
    song.write_bytes(b"hello " * 99 if content == "text" else song.read_bytes()[: song.stat().st_size // 2])
    words = ["-m", "hiersep", "separate", str(song), "--model", str(model), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"hiersep: error: {song}")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_what_ffmpeg_decodes_it_decodes_once(model, song, tmp_path, monkeypatch):
    calls, decode = [], audio.reading.decode
    monkeypatch.setattr(audio.reading, "decode", lambda *words: calls.append(words) or decode(*words))
    film = tmp_path / "film.mka"
    subprocess.run(["ffmpeg", "-v", "error", "-i", song, film], check=True)
    separated("separate", film, "--model", model, "--out", tmp_path / "out")
    assert len(calls) == 1
