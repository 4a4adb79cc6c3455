"""Our separators inside nussl: built from JSON, trained in its own ignite loop, taken out again."""

import json

import numpy as np
import pytest
import torch
from helpers import error_db, noise, tone
from torch.utils.data import DataLoader

from hiersep.compat import nussl
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.errors import ConfigError, DataError
from hiersep.losses import phase_sensitive_l1
from hiersep.models import checkpoint
from hiersep.models.constraints import running_maximum
from hiersep.models.nussl_modules import (
    NodeOrder,
    PathConstraint,
    QueryMagnitude,
    SeparatorMasks,
    nussl_config,
    stft_params,
)
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

pytestmark = pytest.mark.adapters

transforms, train = nussl.datasets.transforms, nussl.ml.train

PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")  # alphabetically the other way round
SETTINGS = {"spectrum": {"n_fft": 256, "hop_length": 128}, "network": {"hidden_size": 8, "num_layers": 1}}
LOSS = {"L1Loss": {}}


def make(kind, **changes):
    torch.manual_seed(0)
    settings = {**SETTINGS, **changes}
    if kind == "path":
        return PathSeparator("slakh_ismir2020", PATH, **settings)
    if kind == "tree":
        return TreeSeparator("musdb18", **settings)
    return QuerySeparator("slakh34", query={"hidden_size": 6, "num_layers": 1}, **settings)


def in_nussl(separator):
    """A nussl model built from JSON, with the separator's weights."""
    model = nussl.ml.SeparationModel(json.dumps(nussl_config(separator)))
    model.layers["mask"].separator.load_state_dict(separator.state_dict())
    return model


def dataset_for(folder, separator, *, transform=(), **options):
    """Fixed clips of the training songs, as nussl's loop wants them."""
    query = isinstance(separator, QuerySeparator)
    dataset = HierarchicalMixtureDataset(
        folder,
        separator.hierarchy,
        **{"split": None, "query": query, "num_mixtures": 4, "duration": 1.0, "seed": 1, **options},
        transform=transforms.Compose(
            [
                NodeOrder(),
                QueryMagnitude(),
                transforms.PhaseSensitiveSpectrumApproximation(),
                transforms.ToSeparationModel(),
                *transform,
            ]
        ),
    )
    dataset.stft_params = stft_params(separator)
    return dataset


def fit(model, loader, epochs, *, learning_rate=1e-2):
    """Train in nussl's own loop, with its own loss; the losses of the first and the last epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    trainer, validator = train.create_train_and_validation_engines(
        train.closures.TrainClosure(LOSS, optimizer, model), train.closures.ValidationClosure(LOSS, model)
    )
    means = []

    def validate(_):
        validator.run(loader)
        means.append(np.mean(validator.state.iter_history["loss"]))

    from ignite.engine import Events

    trainer.add_event_handler(Events.STARTED, validate)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    trainer.run(loader, max_epochs=epochs)
    return means


@pytest.fixture(params=["path", "query", "tree"])
def kind(request):
    return request.param


def inputs_of(separator, mixture, query=None):
    """What nussl's transforms make of AudioSignals, as a batch of one."""
    data = {"mix": signal_of(mixture, separator)}
    if query is not None:
        data["query"] = signal_of(query, separator)
    compose = transforms.Compose(
        [QueryMagnitude(), transforms.MagnitudeSpectrumApproximation(), transforms.ToSeparationModel()]
    )
    return {name: tensor[None].float() for name, tensor in compose(data).items()}


def signal_of(samples, separator):
    signal = nussl.AudioSignal(audio_data_array=samples, sample_rate=16000)
    signal.stft_params = stft_params(separator)
    return signal


@pytest.fixture(scope="module")
def sound():
    """A second of two channels that differ, of whole hops, where both STFTs have equal frames: (channel, time)."""
    return np.concatenate([tone(1.0, hz=440) + noise(1.0), noise(1.0, seed=1)])[:, : 128 * 125]


@pytest.fixture(scope="module")
def query():
    return (tone(0.3, hz=700) + noise(0.3, db=-40))[:, : 128 * 37]


# One network, two dialects


def test_the_masks_are_those_of_the_separator(kind, sound, query):
    """Same weights, same sound: nussl's window, scale, axes and framing are accounted for."""
    separator = make(kind).eval()
    model = in_nussl(separator).eval()
    asked = query if kind == "query" else None
    with torch.no_grad():
        found = model(inputs_of(separator, sound, asked))["mask"][0].permute(3, 2, 1, 0)  # (node, channel, freq, frame)
        mixture = torch.from_numpy(sound).float()[None]
        condition = None if asked is None else separator.embed(torch.from_numpy(query).float()[None])
        expected = separator.separate_batch(mixture, condition).masks[0]
    assert found.shape == expected.shape == (len(separator.nodes), 2, 129, 126)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (expected[:, 0] - expected[:, 1]).abs().max() > 1e-2  # the channels are told apart
    assert (expected[0] - expected[-1]).abs().max() > 1e-2  # and the nodes


def test_the_masks_follow_the_query(sound, query):
    separator = make("query").eval()
    model = in_nussl(separator).eval()
    with torch.no_grad():
        one, other = (model(inputs_of(separator, sound, asked))["mask"] for asked in (query, noise(0.5, seed=2)))
    assert (one - other).abs().max() > 1e-4


def test_one_query_serves_a_batch_of_mixtures(sound, query):
    separator = make("query").eval()
    model = in_nussl(separator).eval()
    data = inputs_of(separator, sound, query)
    with torch.no_grad():
        expected = model(dict(data))["mask"]
        both = model({**data, "mix_magnitude": data["mix_magnitude"].repeat(2, 1, 1, 1)})["mask"]
    torch.testing.assert_close(both, expected.repeat(2, 1, 1, 1, 1), atol=1e-6, rtol=0)


def test_the_estimates_are_masked_magnitudes(kind, sound, query):
    separator = make(kind)
    data = inputs_of(separator, sound, query if kind == "query" else None)
    output = in_nussl(separator)(dict(data))
    assert set(output) == {"estimates", "mask"}
    torch.testing.assert_close(output["estimates"], output["mask"] * data["mix_magnitude"][..., None])


def test_nussls_loss_is_ours_in_nussls_scale(rendered):
    """Same masks, same targets, same mean: phase-sensitive L1 up to SciPy's division by the window's sum."""
    separator = make("path")
    dataset = dataset_for(rendered, separator, target="clean_guitars", duration=128 * 125 / 16000)
    data = next(iter(DataLoader(dataset, batch_size=2)))
    model = in_nussl(separator).eval()
    with torch.no_grad():
        output = model({name: tensor.float() for name, tensor in data.items() if name != "index"})
        theirs = train.loss.L1Loss()(output["estimates"], data["source_magnitudes"].float())
        plain = HierarchicalMixtureDataset(
            rendered, separator.hierarchy, split=None, target="clean_guitars", num_mixtures=4, duration=1.0, seed=1
        )
        items = [plain[number] for number in range(2)]
        mixture, sources = (torch.stack([item[name] for item in items]) for name in ("mix", "sources"))
        ours = phase_sensitive_l1(separator.eval().separate_batch(mixture), sources).mean()
    assert (theirs * separator.stft.window.sum()).item() == pytest.approx(ours.item(), rel=1e-3)


# Node order


def test_the_nodes_keep_the_hierarchys_order_through_nussls_sorting(rendered):
    separator = make("path")
    assert list(PATH) != sorted(PATH)
    dataset = dataset_for(rendered, separator, target="clean_guitars")
    found = dataset[0]["source_magnitudes"].numpy()  # (frame, freq, channel, node)
    item = dataset.process_item(dataset.items[0])
    for place, node in enumerate(PATH):
        alone = transforms.Compose([transforms.PhaseSensitiveSpectrumApproximation()])(
            {"mix": item["mix"], "sources": {node: item["sources"][node]}}
        )
        np.testing.assert_allclose(found[..., place], alone["source_magnitudes"][..., 0].transpose(1, 0, 2), atol=1e-9)
    levels = found.mean(axis=(0, 1, 2))
    assert levels[0] > levels[-1]  # and not the other way round, as nussl alone would have them


def test_without_the_transform_nussl_sorts_the_nodes(rendered):
    dataset = HierarchicalMixtureDataset(
        rendered, "slakh_ismir2020", split=None, target="clean_guitars", num_mixtures=1, duration=1.0
    )
    item = transforms.PhaseSensitiveSpectrumApproximation()(dataset.process_item(0))
    assert list(item["sources"]) == sorted(PATH) != list(PATH)


def test_a_node_that_a_path_repeats_is_repeated():
    """A shallow leaf stands at two levels of a query's path; a dict holds it once."""
    drums = object()
    nodes = ["rhythm", "drums", "drums"]
    data = {"sources": {"rhythm": 1, "drums": drums}, "metadata": {"nodes": nodes, "known": [True] * 3}}
    sources = NodeOrder()(data)["sources"]
    assert sorted(sources) == list(sources)
    assert list(sources.values()) == [1, drums, drums]


def test_two_hundred_nodes_stay_in_order():
    nodes = [f"node_{200 - number}" for number in range(200)]
    metadata = {"nodes": nodes, "known": [True] * 200}
    sources = NodeOrder()({"sources": {node: node for node in nodes}, "metadata": metadata})["sources"]
    assert [sources[name] for name in sorted(sources)] == nodes


def test_a_node_without_ground_truth_is_refused():
    data = {"sources": {"a": 1, "b": 2}, "metadata": {"nodes": ["a", "b"], "known": [True, False]}}
    with pytest.raises(DataError, match=r"nodes b: expected ground truth"):
        NodeOrder()(data)


def test_items_without_sources_or_query_pass():
    assert QueryMagnitude()(NodeOrder()({"mix": 1})) == {"mix": 1}


# Training


def test_nussls_loop_trains_a_separator(kind, rendered, tmp_path):
    """JSON config, nussl's transforms, closures and engines; then out again, and through our checkpoint."""
    separator = make(kind)
    options = {"path": {"target": "clean_guitars"}, "query": {}, "tree": {}}[kind]
    if kind == "tree":
        separator = TreeSeparator("slakh_ismir2020", ["strings_guitars_keyboards", "guitar"], **SETTINGS)
        options = {"target": list(separator.nodes)}
    dataset = dataset_for(rendered, separator, **options)
    (tmp_path / "config.json").write_text(json.dumps(nussl_config(separator)))
    torch.manual_seed(0)
    model = nussl.ml.SeparationModel(str(tmp_path / "config.json"))
    losses = fit(model, DataLoader(dataset, batch_size=2), epochs=12)
    assert losses[-1] < 0.75 * losses[0]

    trained = model.layers["mask"].separator
    checkpoint.save(trained, tmp_path / "best.safetensors", {"trained": "in nussl"})
    again = checkpoint.from_pretrained(tmp_path / "best.safetensors")
    assert type(again) is type(separator)
    assert again.nodes == separator.nodes
    data = {name: tensor.float() for name, tensor in next(iter(DataLoader(dataset, batch_size=2))).items()}
    with torch.no_grad():
        expected, found = model.eval()(dict(data))["mask"], in_nussl(again).eval()(dict(data))["mask"]
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_training_in_nussl_reaches_every_parameter(kind, rendered):
    separator = make(kind)
    model = in_nussl(separator).train()
    generator = torch.Generator().manual_seed(0)
    data = {name: torch.rand((2, 9, 129, 1), generator=generator) for name in model.input}
    model(data)["estimates"].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_excerpts_of_a_query_item_leave_the_query_whole(rendered):
    separator = make("query")
    item = dataset_for(rendered, separator, transform=[transforms.GetExcerpt(20)], query_duration=0.5)[0]
    assert item["mix_magnitude"].shape == (20, 129, 1)
    assert item["source_magnitudes"].shape == (20, 129, 1, 3)
    assert item["query_magnitude"].shape == (64, 129, 1)


# Separation by nussl


def test_nussls_deep_mask_estimation_separates_as_we_do(kind, sound, query):
    """nussl's own loader unpickles, so the model is handed over by the attributes that it would set."""
    separator = make(kind).eval()
    mixture = sound[:1]
    estimation = nussl.separation.deep.DeepMaskEstimation(signal_of(mixture, separator), mask_type="soft")
    estimation.model, estimation.device = in_nussl(separator).eval(), "cpu"
    estimation.transform = transforms.Compose(
        [transforms.MagnitudeSpectrumApproximation(), transforms.ToSeparationModel()]
    )
    estimation.metadata.update(sample_rate=16000, num_channels=1, stft_params=stft_params(separator))
    asked = {}
    if kind == "query":
        asked = {"query_magnitude": inputs_of(separator, query, query)["query_magnitude"]}
    estimation.run(estimation.forward(**asked))
    estimates = estimation.make_audio_signals()
    tensors = [torch.from_numpy(samples).float()[None] for samples in (mixture, query)]
    with torch.no_grad():
        expected = separator(*tensors[: 1 + bool(asked)])[0].numpy()
    assert len(estimates) == len(separator.nodes)
    for estimate, ours in zip(estimates, expected, strict=True):
        assert error_db(estimate.audio_data[:, : ours.shape[1]], ours) < -80


# The constraint as a layer of nussl's own network


def test_the_constraint_stands_behind_nussls_own_layers():
    def config(last):
        args = {"num_features": 129, "hidden_size": 12, "embedding_size": 3, "activation": "sigmoid"}
        stack = {"num_features": 129, "hidden_size": 6, "num_layers": 1, "bidirectional": True, "dropout": 0.0}
        modules = {
            "mix_magnitude": {},
            "stack": {"class": "RecurrentStack", "args": stack},
            "free": {"class": "Embedding", "args": args},
            "mask": {"class": "PathConstraint", "args": {"kind": "max"}},
        }
        connections = [["stack", ["mix_magnitude"]], ["free", ["stack"]], ["mask", ["free"]]]
        return {"name": "own", "modules": modules, "connections": connections, "output": ["free", last]}

    torch.manual_seed(0)
    output = nussl.ml.SeparationModel(json.dumps(config("mask")))({"mix_magnitude": torch.rand(2, 7, 129, 1)})
    assert output["free"].shape == output["mask"].shape == (2, 7, 129, 1, 3)
    free, mask = (output[name].detach().numpy() for name in ("free", "mask"))
    np.testing.assert_array_equal(mask, np.maximum.accumulate(free[..., ::-1], axis=-1)[..., ::-1])
    assert (mask[..., 0] > free[..., 0]).any()


def test_the_constraint_is_the_same_on_either_axis():
    masks = torch.rand((2, 3, 4, 5, 6), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PathConstraint("max")(masks.movedim(1, -1)).movedim(-1, 1), running_maximum(masks))
    assert PathConstraint("none")(masks) is not None
    torch.testing.assert_close(PathConstraint("none")(masks), masks)


# What is refused


def test_the_config_is_plain_json(kind):
    config = nussl_config(make(kind))
    assert json.loads(json.dumps(config)) == config


def test_an_unknown_network_is_named_with_its_near_miss():
    with pytest.raises(ConfigError, match=r"got 'PathSeperator'; did you mean 'PathSeparator'"):
        SeparatorMasks("PathSeperator", {})


def test_complex_masks_are_refused():
    separator = make("path", network={**SETTINGS["network"], "mask": "complex", "constraint": "none"})
    with pytest.raises(ConfigError, match="expected real masks"):
        nussl.ml.SeparationModel(nussl_config(separator))


def test_magnitudes_of_another_stft_and_a_missing_query_are_refused():
    layer = SeparatorMasks("QuerySeparator", make("query").get_model_args())
    with pytest.raises(ConfigError, match=r"129 frequencies, got \(1, 9, 257, 1\); set dataset.stft_params"):
        layer(torch.rand(1, 9, 257, 1), torch.rand(1, 9, 129, 1))
    with pytest.raises(ConfigError, match="expected a query_magnitude"):
        layer(torch.rand(1, 9, 129, 1))


def test_a_silent_query_is_refused_in_nussls_scale_too(query):
    layer = SeparatorMasks("QuerySeparator", make("query").get_model_args())
    with pytest.raises(DataError, match="got silence"):
        layer(torch.rand(1, 9, 129, 1), torch.zeros(1, 9, 129, 1))
    separator = layer.separator.eval()
    quiet = query * 1e-3  # heard by `embed`, so by the layer
    with torch.no_grad():
        anchor = separator.embed(torch.from_numpy(quiet).float()[None])
        found = separator.embed_spectrum(layer._spectrum(inputs_of(separator, quiet, quiet)["query_magnitude"]))
    torch.testing.assert_close(found, anchor, atol=1e-5, rtol=0)
