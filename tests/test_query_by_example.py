"""Separating by example: nussl's separation object for a network that is asked by a query."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import error_db, noise, tone, write_audio

from hiersep import HierarchicalSeparator, PathSeparator, QueryByExampleSeparator, QuerySeparator
from hiersep.compat import nussl
from hiersep.errors import CheckpointError, ConfigError, DataError, HierarchyError
from hiersep.models import checkpoint
from hiersep.models.anchors import Anchor
from hiersep.models.query import average_anchors
from hiersep.separation import Passage, SeparationSettings, separate, write_estimates

FIXTURES = Path(__file__).parent / "fixtures"
RATE = 8000
SPECTRUM = {"n_fft": 256, "hop_length": 128}
SIZES = {"hidden_size": 4, "num_layers": 1}


def make(seed=0, **network):
    torch.manual_seed(seed)
    sizes = {**SIZES, **network}
    model = QuerySeparator("slakh34", sample_rate=RATE, spectrum=SPECTRUM, network=sizes, query=SIZES).eval()
    with torch.no_grad():  # fresh weights hardly listen to the anchor
        for parameter in model.backbone.parameters():
            parameter *= 4
    return model


model = make()


def signal(samples, rate=RATE):
    return nussl.AudioSignal(audio_data_array=samples, sample_rate=rate)


def arrays(estimates):
    return np.stack([estimate.audio_data for estimate in estimates])


@pytest.fixture
def mixture():
    return signal(tone(0.5, hz=300, rate=RATE, channels=2) + noise(0.5, rate=RATE, channels=2))


@pytest.fixture
def example():
    return signal(tone(0.8, hz=300, rate=RATE))


@pytest.mark.adapters
def test_it_is_a_nussl_separation_that_gives_what_the_network_gives_for_the_query(mixture, example):
    separator = QueryByExampleSeparator(mixture, example, model=model)
    assert isinstance(separator, nussl.separation.base.SeparationBase)
    estimates = separator()
    assert separator.nodes == model.nodes == model.hierarchy.levels[1:]
    with torch.no_grad():
        expected = model(
            torch.from_numpy(mixture.audio_data[None]).float(), torch.from_numpy(example.audio_data).float()
        )
    np.testing.assert_allclose(arrays(estimates), expected[0], atol=1e-6)
    assert list(separator.to_dict()) == list(model.nodes)
    assert separator.metadata["nodes"] == list(model.nodes)


def test_another_example_gives_another_estimate(mixture, example):
    other = signal(noise(0.8, rate=RATE))
    one, two = (arrays(QueryByExampleSeparator(mixture, query, model=model)()) for query in (example, other))
    assert error_db(one, two) > -40


def test_every_segment_of_a_long_mixture_and_every_channel_has_the_anchor(example, rng):
    samples = rng.uniform(-1, 1, (2, 3 * RATE)).astype(np.float32)
    anchor = QueryByExampleSeparator(signal(samples), example, model=model).anchor
    settings = SeparationSettings(segment_s=0.7, overlap_s=0.2, batch_size=4)
    parts = separate(samples, RATE, model, condition=anchor, settings=settings)
    one = separate(samples[1:], RATE, model, condition=anchor, nodes=["class"], settings=settings)
    np.testing.assert_allclose(parts[2:, 1:], one, atol=1e-6)
    other = separate(samples, RATE, model, condition=-anchor, settings=settings)
    for begin in range(0, 3 * RATE, RATE // 4):
        assert error_db(parts[..., begin : begin + RATE // 4], other[..., begin : begin + RATE // 4]) > -60


def test_a_query_may_be_a_file_several_or_an_anchor_made_before(tmp_path, mixture, example):
    other = signal(noise(0.3, rate=RATE, channels=2))
    file = write_audio(tmp_path / "example.wav", example.audio_data, RATE)
    by_signal = QueryByExampleSeparator(mixture, example, model=model).anchor
    by_other = QueryByExampleSeparator(mixture, other, model=model).anchor
    torch.testing.assert_close(QueryByExampleSeparator(mixture, file, model=model).anchor, by_signal)
    both = QueryByExampleSeparator(mixture, [file, other], model=model)
    torch.testing.assert_close(both.anchor, average_anchors(torch.cat([by_signal, by_other])))
    stored = Anchor.of(model, [example.audio_data, other.audio_data])
    for query in (stored, both.anchor):
        again = QueryByExampleSeparator(mixture, query, model=model)
        torch.testing.assert_close(again.anchor, both.anchor)
        np.testing.assert_allclose(arrays(again()), arrays(both()), atol=1e-6)


def test_an_anchor_in_another_precision_is_brought_to_that_of_the_weights(mixture, example):
    by_example = QueryByExampleSeparator(mixture, example, model=model)
    again = QueryByExampleSeparator(mixture, by_example.anchor.double(), model=model)
    assert again.anchor.dtype == torch.float32
    np.testing.assert_allclose(arrays(again()), arrays(by_example()), atol=1e-6)
    stored = Anchor.of(model, [example.audio_data])
    again = QueryByExampleSeparator(mixture, replace(stored, vector=stored.vector.double()), model=model)
    assert again.anchor.dtype == torch.float32


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_a_query_of_another_rate_leads_a_trained_network_to_nearly_the_same_anchor(mixture, rate):
    trained = checkpoint.from_pretrained(FIXTURES / "query.safetensors")

    def note(rate):
        return signal(sum(tone(0.8, hz=300 * k, db=-20 - 6 * k, rate=rate) for k in range(1, 6)), rate)

    one, two = (QueryByExampleSeparator(mixture, note(r), model=trained).anchor for r in (RATE, rate))
    assert float((one * two).sum()) > 0.99
    with torch.no_grad():
        as_it_is = trained.embed(torch.from_numpy(note(rate).audio_data[None]).float())
    assert float((one * as_it_is).sum()) < 0.9  # were it not resampled


def test_the_model_may_be_a_checkpoint_and_levels_chosen(tmp_path, mixture, example):
    checkpoint.save(model, tmp_path / "qbe.safetensors")
    separator = QueryByExampleSeparator(mixture, example, model=tmp_path / "qbe.safetensors", nodes=["class", "group"])
    assert separator.nodes == ("group", "class")
    expected = arrays(QueryByExampleSeparator(mixture, example, model=model)())[[0, 2]]
    np.testing.assert_allclose(arrays(separator()), expected, atol=1e-6)
    with pytest.raises(HierarchyError, match=r"unknown node 'clas'; this model estimates group, .*did you mean"):
        QueryByExampleSeparator(mixture, example, model=model, nodes=["clas"])


def test_result_masks_obey_the_query_and_the_constraint(mixture, example):
    separator = QueryByExampleSeparator(mixture, example, model=model)
    masks = np.stack([mask.mask for mask in separator.result_masks])
    assert (masks[:-1] >= masks[1:]).all()
    spectrum = model.stft(torch.from_numpy(mixture.audio_data).float())
    by_hand = model.stft.inverse(torch.from_numpy(masks.transpose(0, 3, 1, 2)) * spectrum, mixture.signal_length)
    np.testing.assert_allclose(by_hand, arrays(separator()), atol=1e-5)


def test_complex_masks_separate(mixture, example):
    network = make(mask="complex", constraint="none")
    separator = QueryByExampleSeparator(mixture, example, model=network)
    assert len(separator()) == len(network.nodes)
    with pytest.raises(ConfigError, match="real masks, got complex ones"):
        _ = separator.result_masks


@pytest.mark.adapters
def test_nussl_sets_another_mixture_compares_and_overlap_adds(mixture, example):
    separator = QueryByExampleSeparator(mixture, example, model=model)
    assert separator == separator
    other = signal(noise(2.0, rate=RATE))
    assert [estimate.signal_length for estimate in separator(audio_signal=other)] == [other.signal_length] * 3
    np.testing.assert_allclose(
        arrays(separator()), arrays(QueryByExampleSeparator(other, example, model=model)()), atol=1e-6
    )
    estimates = nussl.separation.composite.OverlapAdd(separator, window_duration=1.0)()
    assert [estimate.signal_length for estimate in estimates] == [other.signal_length] * 3


# What is refused, in one line


def refusal(error, call):
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_separator_names_the_other_where_the_network_is_of_its_kind(mixture, example):
    path = PathSeparator("slakh34", ["guitar"], sample_rate=RATE, spectrum=SPECTRUM, network=SIZES)
    wrong = refusal(ConfigError, lambda: HierarchicalSeparator(mixture, model))
    assert wrong.endswith("use QueryByExampleSeparator(mix, query, model=...)")
    wrong = refusal(ConfigError, lambda: QueryByExampleSeparator(mixture, example, model=path))
    assert wrong.startswith("model: expected a QuerySeparator, got a PathSeparator")
    assert wrong.endswith("use HierarchicalSeparator(mix, model=...)")


@pytest.mark.parametrize("nothing", [{"path": model}, None, 3, [3]], ids=["dict", "None", "int", "list"])
def test_a_model_that_is_no_network_is_refused(mixture, example, nothing):
    for call in (
        lambda: HierarchicalSeparator(mixture, nothing),
        lambda: QueryByExampleSeparator(mixture, example, model=nothing),
    ):
        wrong = refusal(ConfigError, call)
        got = type(nothing[0] if isinstance(nothing, list) else nothing).__name__
        assert wrong == f"model: expected a network, a checkpoint's path or name, or a list of these, got {got}"


def test_arrays_and_files_want_an_anchor_where_the_network_needs_one(tmp_path):
    path = PathSeparator("slakh34", ["guitar"], sample_rate=RATE, spectrum=SPECTRUM, network=SIZES)
    samples = noise(0.2, rate=RATE)
    assert "got none" in refusal(ConfigError, lambda: separate(samples, RATE, model))
    anchor = torch.ones(1, model.query_config.embedding_size)
    assert "expected none" in refusal(ConfigError, lambda: separate(samples, RATE, path, condition=anchor))
    file = write_audio(tmp_path / "song.wav", samples, RATE)
    assert "got none" in refusal(ConfigError, lambda: write_estimates(file, Passage(model), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_query_of_silence_is_named(tmp_path, mixture, example, number):
    silence = write_audio(tmp_path / "silence.wav", np.zeros((1, 900)), RATE)
    queries = [example, silence] if number else silence
    wrong = refusal(DataError, lambda: QueryByExampleSeparator(mixture, queries, model=model))
    assert "silence.wav" in wrong
    assert "got silence" in wrong


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("nothing.wav", DataError, "no such file"),
        (nussl.AudioSignal(), DataError, "query 1: expected a sound with samples"),
        ([], DataError, "expected one or more"),
        (None, ConfigError, "query 1: expected an AudioSignal or the path of an audio file, got NoneType"),
        (np.zeros((1, 900)), ConfigError, "got ndarray"),
        (torch.zeros(1, 900), ConfigError, r"expected an anchor, \(1, 20\), got a tensor \(1, 900\)"),
        (torch.zeros(1, 20), ConfigError, r"^query: expected an anchor, 20 finite numbers of unit length, got"),
        (torch.ones(1, 20), ConfigError, r"finite numbers of unit length, got .*length 4\.47"),
        (torch.full((1, 20), torch.nan), ConfigError, r"finite numbers of unit length, got .*length nan"),
        (torch.eye(20)[:1].long(), ConfigError, r"finite numbers of unit length, got torch\.int64"),
        (Anchor.of(make(seed=1), [torch.ones(1, 900)]), CheckpointError, "of another network"),
    ],
    ids=[
        "no file",
        "no samples",
        "no query",
        "None",
        "an array",
        "a waveform",
        "an anchor of zeros",
        "a long anchor",
        "an anchor of NaN",
        "an anchor of integers",
        "another network's",
    ],
)
def test_what_is_no_query_is_refused(mixture, query, error, words):
    with pytest.raises(error, match=words):
        QueryByExampleSeparator(mixture, query, model=model)
