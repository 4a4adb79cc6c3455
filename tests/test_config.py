"""Experiments from strict YAML: what loads, what overrides what, and the message of every mistake."""

import dataclasses
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiersep.config import (
    SECTIONS,
    DataConfig,
    ExperimentConfig,
    NetworkConfig,
    SpectrumConfig,
    TrainingConfig,
    as_yaml,
    load_experiment,
)
from hiersep.errors import ConfigError

CONFS = sorted((Path(__file__).parents[1] / "recipes").glob("*/conf/*.yml"))


@pytest.fixture
def conf(tmp_path):
    def write(text, name="x.yml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message_of(path, overrides=()):
    """The error's one line, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_a_file_that_names_one_section_leaves_the_others_at_the_papers_settings(conf):
    config = load_experiment(conf("data: {folder: here}\n"))
    assert config == ExperimentConfig(data=DataConfig(folder="here"))
    assert (config.network.num_layers, config.network.hidden_size, config.network.dropout) == (4, 600, 0.3)
    assert (config.spectrum.n_fft, config.spectrum.hop_length) == (1024, 512)
    assert (config.training.learning_rate, config.training.batch_size, config.training.max_epochs) == (1e-4, 25, 100)
    assert (config.training.patience, config.training.clip_percentile, config.training.seed) == (5, 10.0, 588)
    assert (config.training.loss, config.data.duration) == ("phase_sensitive_l1", 10.0)
    assert (config.data.num_train, config.data.num_validation, config.evaluation.num_test) == (10000, 5000, 3000)


def test_values_keep_their_types(conf):
    text = "data: {target: [guitar, clean_guitars], salient: null, duration: 4}\ntraining: {max_minutes: 2}\n"
    config = load_experiment(conf(text))
    assert config.data.target == ["guitar", "clean_guitars"]
    assert config.data.salient is None
    for value in (config.data.duration, config.training.max_minutes):
        assert isinstance(value, float)


def test_a_base_is_read_relative_to_the_file_and_overridden_key_by_key(conf, tmp_path):
    (tmp_path / "below").mkdir()
    conf("training: {batch_size: 1, seed: 1}\nnetwork: {num_layers: 1}\n", "a.yml")
    conf("training: {seed: 2}\nbase: ../a.yml\n", "below/b.yml")
    config = load_experiment(conf("base: below/b.yml\ntraining: {patience: 3}\n"))
    assert config == ExperimentConfig(
        training=TrainingConfig(batch_size=1, seed=2, patience=3), network=NetworkConfig(num_layers=1)
    )


def test_a_profile_holds_over_the_first_base_and_under_all_that_the_experiment_says(conf):
    conf("training: {batch_size: 1, seed: 1, patience: 1, max_epochs: 1}\n", "base.yml")
    conf("base: base.yml\ntraining: {seed: 2}\n", "query.yml")
    experiment = conf("base: query.yml\ntraining: {patience: 2}\n")
    small = str(conf("training: {batch_size: 3, seed: 3, patience: 3, max_epochs: 3}\n", "small.yml"))
    smaller = str(conf("base: small.yml\ntraining: {max_epochs: 4}\n", "smaller.yml"))
    found = load_experiment(experiment, ["--profile", small]).training
    assert found == TrainingConfig(batch_size=3, seed=2, patience=2, max_epochs=3)
    assert load_experiment(experiment, [f"--profile={smaller}"]).training == replace(found, max_epochs=4)
    words = ["--training.max_epochs", "5", "--profile", smaller, "--profile", small]
    assert load_experiment(experiment, words).training == replace(found, max_epochs=5)
    assert load_experiment(experiment, words[2:]).training == found  # the later of two holds


def test_a_profile_lies_under_an_experiment_without_a_base(conf):
    profile = str(conf("training: {seed: 3, patience: 3}\n", "small.yml"))
    found = load_experiment(conf("training: {seed: 1}\n"), ["--profile", profile]).training
    assert found == TrainingConfig(seed=1, patience=3)


def test_the_command_line_overrides_the_file_and_the_last_word_holds(conf):
    words = ["--training.seed", "2", "--data.target=[guitar]", "--training.max_minutes", "null", "--training.seed=3"]
    config = load_experiment(conf("training: {seed: 1, max_minutes: 5.0}\n"), words)
    assert config == ExperimentConfig(training=TrainingConfig(seed=3), data=DataConfig(target=["guitar"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", f"x.yml: expected sections ({', '.join(SECTIONS)}), got a list"),
        ("text", f"x.yml: expected sections ({', '.join(SECTIONS)}), got 'text'"),
        ("", "x.yml:1: expected a document, got an empty one"),
        ("data: {}\ntrainin: {}", "x.yml:2: unknown section 'trainin'; did you mean 'training'?"),
        ("zzz: {}", "x.yml:1: unknown section 'zzz'"),
        ("data: 3", "x.yml:1: expected settings under 'data', got 3"),
        ("data:", "x.yml:1: expected settings under 'data', got None"),
        ("base: 3", "x.yml:1: expected the name of a file as 'base', got 3"),
        ("base: gone.yml", "gone.yml: cannot be read (No such file or directory); check the path"),
        ("data:\n  foldr: x", "x.yml:2: unknown key 'foldr' in 'data'; did you mean 'folder'?"),
        ("training: {zzz: 1}", "x.yml:1: unknown key 'zzz' in 'training'"),
        ("data: {folder: 3}", "x.yml:1: folder: expected text or a list, each text, got 3"),
        ("data: {target: 3}", "x.yml:1: target: expected text or a list, each text or null, got 3"),
        ("data: {target: []}", "x.yml:1: target: expected text or a list, each text or null, got []"),
        ("data: {salient: guitar}", "x.yml:1: salient: expected a list, each text or null, got 'guitar'"),
        ("render: {splits: [a]}", "x.yml:1: splits: expected a list, each a number, got ['a']"),
        ("render: {format: ogg}", "x.yml:1: format: expected flac or wav, got 'ogg'"),
        ("data: {num_train: 1.5}", "x.yml:1: num_train: expected a whole number, got 1.5"),
        ("data: {num_train: true}", "x.yml:1: num_train: expected a whole number, got True"),
        ("data: {duration: true}", "x.yml:1: duration: expected a number, got True"),
        ("data: {duration: null}", "x.yml:1: duration: expected a number, got None"),
        ("training: {max_minutes: soon}", "x.yml:1: max_minutes: expected a number or null, got 'soon'"),
        ("network: {constraint: mx}", "x.yml:1: constraint: expected none or max, got 'mx'; did you mean 'max'?"),
        (
            "training: {loss: negative_sn}",
            "x.yml:1: loss: expected phase_sensitive_l1 or negative_snr or negative_si_sdr or l1_multi_resolution, "
            "got 'negative_sn'; "
            "did you mean 'negative_snr'?",
        ),
        (
            "training: {device: tpu}",
            "x.yml:1: device: expected auto or cpu or gpu or mps, got 'tpu'; did you mean 'gpu'?",
        ),
        ("data: {duration: 0}", "data.duration: expected more than 0, at most 600 seconds, got 0.0"),
        ("data: {duration: 601}", "data.duration: expected more than 0, at most 600 seconds, got 601.0"),
        ("data: {sample_rate: 100}", "data.sample_rate: expected 4000 to 192000 Hz, got 100"),
        ("data: {num_train: 0}", "data.num_train: expected a positive number of mixtures, got 0"),
        ("data: {num_validation: -1}", "data.num_validation: expected a positive number of mixtures, got -1"),
        ("data: {gain_db: -1}", "data.gain_db: expected 0 to 60 dB, got -1.0"),
        ("spectrum: {n_fft: 8}", "spectrum.n_fft: expected 16 to 65536 samples, got 8"),
        ("spectrum: {hop_length: 0}", "spectrum.hop_length: expected 1 to half of n_fft samples, got 0"),
        (
            "spectrum: {n_fft: 512, hop_length: 257}",
            "spectrum.hop_length: expected 1 to half of n_fft samples, got 257",
        ),
        ("network: {hidden_size: 0}", "network.hidden_size: expected 1 to 16384 units, got 0"),
        ("network: {num_layers: 65}", "network.num_layers: expected 1 to 64 layers, got 65"),
        ("network: {dropout: 1}", "network.dropout: expected a probability in [0, 1), got 1.0"),
        ("training: {batch_size: 0}", "training.batch_size: expected a positive number, got 0"),
        ("training: {max_epochs: -5}", "training.max_epochs: expected a positive number, got -5"),
        ("training: {max_minutes: 0}", "training.max_minutes: expected more than 0, got 0.0"),
        ("training: {learning_rate: 0}", "training.learning_rate: expected between 0 and 1, got 0.0"),
        ("training: {patience: -1}", "training.patience: expected 0 or more epochs, got -1"),
        ("training: {clip_percentile: 0}", "training.clip_percentile: expected a percentile in (0, 100], got 0.0"),
        ("training: {num_workers: 257}", "training.num_workers: expected 0 to 256 processes, got 257"),
        ("training: {seed: -1}", "training.seed: expected a whole number in [0, 2^32), got -1"),
        ("evaluation: {num_test: 0}", "evaluation.num_test: expected a positive number of clips, got 0"),
        ("evaluation: {num_static: 0}", "evaluation.num_static: expected a positive number of clips, got 0"),
        ("evaluation: {duration: -1}", "evaluation.duration: expected more than 0, at most 600 seconds, got -1.0"),
        ("evaluation: {seed: -1}", "evaluation.seed: expected 0 or more, got -1"),
    ],
)
def test_a_mistake_in_a_file_gives_this_line(conf, text, message):
    assert message_of(conf(text)) == message


@pytest.mark.parametrize("text", ["data: {duration: 1e-3}", "training: {seed: 1, seed: 2}", "network: {dropout: no}"])
def test_what_yaml_would_guess_is_refused_with_its_line(conf, text):
    assert message_of(conf(text)).startswith("x.yml:1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.seed", "3"], "unexpected argument 'training.seed'; a setting is changed by --section.key VALUE"),
        (["--training.seed"], "--training.seed: expected a value after it, got none"),
        (["--sed", "3"], "unknown option '--sed'"),
        (["--profil", "x"], "unknown option '--profil'; did you mean 'profile'?"),
        (["--profile", "gone.yml"], "gone.yml: cannot be read (No such file or directory); check the path"),
        (["--trainig.seed", "3"], "unknown option '--trainig.seed'; did you mean 'training.seed'?"),
        (["--training.sed", "3"], "--training.sed: unknown key 'sed' in 'training'; did you mean 'seed'?"),
        (["--training.seed", "many"], "--training.seed: seed: expected a whole number, got 'many'"),
        (["--training.seed", "-3"], "training.seed: expected a whole number in [0, 2^32), got -3"),
    ],
)
def test_a_mistake_on_the_command_line_gives_this_line(conf, words, message):
    assert message_of(conf("data: {}"), words) == message


def test_a_circle_of_bases_ends(conf):
    conf("base: b.yml\n", "a.yml")
    path = conf("base: a.yml\n", "b.yml")
    assert message_of(path) == "b.yml: 'base' leads in a circle, or through more than 10 files"
    assert message_of(conf("base: x.yml\n")) == "x.yml: 'base' leads in a circle, or through more than 10 files"


def test_a_file_that_is_missing_is_named(tmp_path):
    assert message_of(tmp_path / "gone.yml") == "gone.yml: cannot be read (No such file or directory); check the path"


def test_a_section_is_made_of_a_mapping_of_itself_or_of_nothing():
    assert NetworkConfig.of(None) == NetworkConfig()
    assert NetworkConfig.of({"num_layers": 2}).num_layers == 2
    section = SpectrumConfig(n_fft=512, hop_length=256)
    assert SpectrumConfig.of(section) is section
    assert SpectrumConfig.of(section.to_dict()) == section
    for content, message in (
        ({"layers": 2}, "layers: unknown key 'layers'; did you mean 'num_layers'?"),
        ({"num_layers": "2"}, "num_layers: expected a whole number or null, got '2'"),
        ({"num_layers": 0}, "network.num_layers: expected 1 to 64 layers, got 0"),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            NetworkConfig.of(content)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)


@given(
    folder=texts,
    target=texts | st.lists(texts, min_size=1, max_size=3),
    salient=st.none() | st.lists(texts, min_size=1, max_size=3),
    duration=st.floats(1e-6, 600),
    rate=st.floats(1e-12, 0.9),
    minutes=st.none() | st.floats(1e-3, 1e9),
)
def test_what_is_written_as_yaml_reads_back_as_it_was(
    tmp_path_factory, folder, target, salient, duration, rate, minutes
):
    data = DataConfig(folder=folder, target=target, salient=salient, duration=duration)
    config = ExperimentConfig(data=data, training=TrainingConfig(learning_rate=rate, max_minutes=minutes))
    path = tmp_path_factory.getbasetemp() / "round.yml"
    path.write_text(as_yaml(config), encoding="utf-8")
    assert load_experiment(path) == config


def test_everything_is_spelled_out_when_written():
    text = as_yaml(ExperimentConfig())
    for section in SECTIONS.values():
        for field in dataclasses.fields(section):
            assert re.search(rf"^\s+{field.name}:", text, re.MULTILINE), field.name


def test_sections_are_those_of_the_experiment():
    assert list(SECTIONS) == [field.name for field in dataclasses.fields(ExperimentConfig)]


def test_there_are_recipes():
    assert CONFS


@pytest.mark.parametrize("path", CONFS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_the_recipes_configurations_load(path):
    assert isinstance(load_experiment(path), ExperimentConfig)


def test_the_papers_loss_and_complex_masks_are_refused_before_any_data_is_opened(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text("network: {mask: complex, constraint: none}\n")
    with pytest.raises(ConfigError, match="a loss on waveforms, as network"):
        load_experiment(path)
    assert load_experiment(path, ["--training.loss", "negative_snr"]).network.mask == "complex"


@pytest.mark.parametrize(
    ("base", "words"), [("\\0", "cannot be read"), ("\\ud800", "half a character"), ("x" * 5000, "cannot be read")]
)
def test_a_base_that_no_file_can_be_called_is_named(conf, tmp_path, base, words):
    path = tmp_path / "x.json"
    path.write_text(f'{{"base": "{base.replace(chr(92) + "0", chr(92) + "u0000")}"}}')
    assert words in message_of(path)


def test_a_number_that_no_float_holds_is_refused():
    with pytest.raises(ConfigError, match="duration: expected a number, got one of more than 300 digits"):
        DataConfig.of({"duration": 10**400})
