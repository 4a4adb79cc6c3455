"""Stored anchors: the same vector comes back, to the same network only, and no file can do harm."""

import json

import numpy as np
import pytest
import torch
from helpers import noise, tone

from hiersep.errors import CheckpointError, DataError
from hiersep.models import anchors, checkpoint
from hiersep.models.anchors import Anchor, network_fingerprint
from hiersep.models.query import QuerySeparator, average_anchors

SIZES = {"hidden_size": 4, "num_layers": 1}
QUERY = {**SIZES, "embedding_size": 6}


def make(seed=0, *, network=SIZES, query=QUERY, spectrum=(64, 32), sample_rate=8000):
    torch.manual_seed(seed)
    spectrum = dict(zip(("n_fft", "hop_length"), spectrum, strict=True))
    return QuerySeparator(
        "slakh34", sample_rate=sample_rate, spectrum=spectrum, network=network, query={**query}
    ).eval()


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def queries():
    """Three sounds of different lengths, one of them in stereo: (channel, time)."""
    sounds = [tone(0.5, hz=300, rate=8000), noise(0.2, rate=8000, channels=2), tone(0.03, hz=2000, rate=8000)]
    return [torch.from_numpy(sound).float() for sound in sounds]


@pytest.fixture
def stored(model, queries, tmp_path):
    path = tmp_path / "guitar.json"
    Anchor.of(model, queries[:2], names=["a.wav", "b\u00e9.wav"]).save(path)
    return path


def rewritten(path, **changes):
    """Change an anchor's file, leaving the rest of it valid."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def refused(path, model, *words):
    """Loading must fail, in one line of sensible length that names the file."""
    with pytest.raises(CheckpointError) as caught:
        Anchor.load(path, model)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
    for word in words:
        assert word in message


def test_the_anchor_of_one_query_is_what_embed_gives(model, queries):
    for query in queries:
        anchor = Anchor.of(model, [query])
        assert anchor.vector.shape == (1, 6)
        torch.testing.assert_close(anchor.vector, model.embed(query[None]), atol=1e-6, rtol=0)


def test_the_anchor_of_several_queries_is_their_mean_whatever_their_lengths(model, queries):
    """A long query counts as much as a short one, and their order does not matter."""
    anchor = Anchor.of(model, queries)
    each = torch.cat([model.embed(query[None]) for query in queries])
    torch.testing.assert_close(anchor.vector, average_anchors(each), atol=1e-6, rtol=0)
    torch.testing.assert_close(Anchor.of(model, queries[::-1]).vector, anchor.vector, atol=1e-6, rtol=0)
    assert anchor.vector.norm().item() == pytest.approx(1, abs=1e-6)
    assert (anchor.vector - each[0]).abs().max() > 1e-3  # the others were heard too


def test_a_query_may_be_an_array_in_double_precision(model, queries):
    found = Anchor.of(model, [queries[0].double().numpy()])
    torch.testing.assert_close(found.vector, Anchor.of(model, queries[:1]).vector, atol=1e-6, rtol=0)


def test_an_anchor_separates_as_its_query_does(model, queries):
    mixture = torch.from_numpy(np.stack([noise(0.25, rate=8000, seed=seed) for seed in (1, 2)])).float()
    anchor = Anchor.of(model, queries[:1])
    torch.testing.assert_close(model(mixture, anchor=anchor.vector), model(mixture, queries[0]), atol=1e-6, rtol=0)


def test_a_model_in_training_gives_the_anchor_of_evaluation_and_goes_on_training(queries):
    """Otherwise batch statistics and dropout would sway the anchor, and the query the network's running statistics."""
    model = make(query={**QUERY, "num_layers": 2, "dropout": 0.5})
    expected, before = Anchor.of(model, queries), network_fingerprint(model)
    model.train()
    anchor = Anchor.of(model, queries)
    torch.testing.assert_close(anchor.vector, expected.vector, atol=0, rtol=0)
    assert network_fingerprint(model) == before
    assert all(module.training for module in model.modules())
    assert not anchor.vector.requires_grad
    model.eval()
    Anchor.of(model, queries)
    assert not any(module.training for module in model.modules())


def test_a_stored_anchor_comes_back_bit_by_bit(model, stored, queries):
    anchor = Anchor.of(model, queries[:2])
    loaded = Anchor.load(stored, model)
    assert torch.equal(loaded.vector, anchor.vector)
    assert loaded.vector.dtype == torch.float32
    assert loaded.queries == ("a.wav", "b\u00e9.wav")
    assert loaded.network == anchor.network
    loaded.save(stored.with_name("again.json"))
    assert stored.with_name("again.json").read_bytes() == stored.read_bytes()


def test_random_unit_vectors_come_back_bit_by_bit(model, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        vector = torch.nn.functional.normalize(torch.randn((1, 6), generator=generator), dim=1)
        Anchor(vector, network_fingerprint(model), ()).save(tmp_path / "anchor.json")
        assert torch.equal(Anchor.load(tmp_path / "anchor.json", model).vector, vector)


def test_the_file_is_small_json_with_a_format_number(stored):
    about = json.loads(stored.read_text())
    assert about["format"] == anchors.FORMAT
    assert about["queries"] == ["a.wav", "b\u00e9.wav"]
    assert len(about["vector"]) == 6
    assert stored.stat().st_size < 1000


def test_names_are_numbers_where_none_are_given(model, queries):
    assert Anchor.of(model, queries).queries == ("query 1", "query 2", "query 3")


def test_a_network_from_its_checkpoint_takes_the_anchor(model, stored, tmp_path):
    checkpoint.save(model, tmp_path / "best.safetensors")
    again = checkpoint.from_pretrained(tmp_path / "best.safetensors")
    assert torch.equal(Anchor.load(stored, again).vector, Anchor.load(stored, model).vector)


def test_another_masking_network_behind_the_same_query_network_takes_the_anchor(model, stored):
    other = make(1, network={"hidden_size": 5, "num_layers": 1})
    other.query_network.load_state_dict(model.query_network.state_dict())
    Anchor.load(stored, other).check(other)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"query": {**QUERY, "hidden_size": 5}},
        {"query": {**QUERY, "embedding_size": 7}},
        {"query": {**QUERY, "presence_db": -40.0}},
        {"spectrum": (64, 16)},
        {"sample_rate": 16000},
    ],
    ids=str,
)
def test_another_query_network_refuses_the_anchor(model, stored, other):
    refused(stored, make(**other), "of another network", "make it again from its queries")
    with pytest.raises(CheckpointError, match=r"anchor: .* of another network"):
        Anchor.load(stored, model).check(make(**other))


def test_one_changed_weight_makes_another_network(model, stored):
    other = make()
    Anchor.load(stored, other)
    with torch.no_grad():
        other.query_network.norm.running_var[3] += 1e-3
    refused(stored, other, "of another network")


@pytest.mark.parametrize(
    "changes",
    [
        {"vector": None},
        {"vector": "1.0"},
        {"vector": []},
        {"vector": [1.0]},
        {"vector": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [1, 0, 0, 0, 0, 0]},
        {"vector": [10**400, 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [True, 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": ["1.0", 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [[1.0], 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [float("nan"), 0.0, 0.0, 0.0, 0.0, 1.0]},
        {"vector": [float("inf"), 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [0.0] * 6},
        {"vector": [0.99, 0.0, 0.0, 0.0, 0.0, 0.0]},
        {"vector": [1.0, 0.1, 0.0, 0.0, 0.0, 0.0]},
    ],
    ids=str,
)
def test_what_is_no_unit_vector_of_the_right_size_is_refused(model, stored, changes):
    refused(rewritten(stored, **changes), model, "expected 6 finite numbers of unit length")


@pytest.mark.parametrize("names", [None, "a.wav", [1], {"a": 1}], ids=str)
def test_names_that_are_none_are_refused(model, stored, names):
    refused(rewritten(stored, queries=names), model, "expected the queries' names")


@pytest.mark.parametrize("number", [2, 0, "1", None, [1], 1.5, 10**100])
def test_another_format_is_refused(model, stored, number):
    refused(rewritten(stored, format=number), model, "expected an anchor of format 1")


@pytest.mark.parametrize("network", [None, 7, "", "0" * 16, ["x"], "x" * 100000], ids=lambda value: str(value)[:20])
def test_a_fingerprint_of_any_other_kind_is_refused(model, stored, network):
    refused(rewritten(stored, network=network), model, "of another network")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"[1]", b"3", b"null", b"{}", b"\xff\xfe", b"\0" * 100, b"[" * 100000, b'{"format": NaN}'],
    ids=lambda content: str(content[:20]),
)
def test_what_is_no_anchor_is_refused(model, tmp_path, content):
    path = tmp_path / "anchor.json"
    path.write_bytes(content)
    refused(path, model, "expected an anchor")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_half_a_file_is_refused(model, stored, share):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(len(whole) * share)])
    refused(stored, model, "got something else")


def test_a_file_that_is_too_large_is_refused_without_being_parsed(model, stored, monkeypatch):
    rewritten(stored, padding="x" * anchors.MOST_BYTES)
    monkeypatch.setattr(anchors.json, "loads", None)
    refused(stored, model, f"at most {anchors.MOST_BYTES} bytes")


def test_a_missing_file_and_a_folder_are_named(model, tmp_path):
    refused(tmp_path / "nothing.json", model, "no such file")
    refused(tmp_path, model, "got a folder")


@pytest.mark.parametrize(
    "name", ["", "x" * 1000, "\x01" * 1000, "\u00e9" * 1000], ids=["none", "long", "escaped", "accents"]
)
def test_an_anchor_that_can_be_written_can_be_read_again(name, tmp_path):
    """Of the most dimensions, and with as many names as the file takes, short ones and such as JSON writes longest."""
    model = make(query={**SIZES, "embedding_size": 4096})
    vector, network = torch.full((1, 4096), -1 / 64) + 1e-9, network_fingerprint(model)
    most = (anchors.MOST_BYTES // 2 - 120_000) // (len(json.dumps(name)) + 2)
    Anchor(vector, network, (name,) * most).save(tmp_path / "large.json")
    assert Anchor.load(tmp_path / "large.json", model).queries == (name,) * most
    with pytest.raises(DataError, match=r"large\.json: expected names"):
        Anchor(vector, network, (name,) * 2 * most).save(tmp_path / "large.json")


def test_a_file_name_that_is_no_text_can_be_kept(model, queries, tmp_path):
    Anchor.of(model, queries[:1], names=["b\udce9.wav"]).save(tmp_path / "anchor.json")
    assert Anchor.load(tmp_path / "anchor.json", model).queries == ("b?.wav",)


def test_saving_replaces_an_anchor_and_leaves_nothing_behind(model, stored, queries):
    Anchor.of(model, queries, names="abc").save(stored)
    assert Anchor.load(stored, model).queries == ("a", "b", "c")
    assert [entry.name for entry in stored.parent.iterdir()] == ["guitar.json"]


def test_an_unwritable_place_is_an_error_of_ours(model, queries, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write here"):
        Anchor.of(model, queries).save(tmp_path / "file" / "anchor.json")


def test_a_silent_query_is_named(model, queries):
    with pytest.raises(DataError, match=r"^quiet\.wav: query: expected a sound, got silence"):
        Anchor.of(model, [queries[0], torch.zeros(1, 800)], names=["loud.wav", "quiet.wav"])
    with pytest.raises(DataError, match=r"^query 1: query: expected a sound, got no samples"):
        Anchor.of(model, [torch.zeros(1, 0)])


@pytest.mark.parametrize("shape", [(800,), (1, 1, 800)])
def test_a_query_of_another_shape_is_refused(model, shape):
    with pytest.raises(DataError, match=r"^query 1: expected a waveform \(channel, time\)"):
        Anchor.of(model, [torch.ones(shape)])


def test_no_queries_and_too_few_names_are_refused(model, queries):
    with pytest.raises(DataError, match="expected one or more"):
        Anchor.of(model, [])
    with pytest.raises(DataError, match="got 3, 1 names"):
        Anchor.of(model, queries, names=["one"])


def test_queries_whose_anchors_cancel_are_refused(model, queries, monkeypatch):
    opposite = iter([torch.eye(6)[:1], -torch.eye(6)[:1]])
    monkeypatch.setattr(model, "embed", lambda query: next(opposite))
    with pytest.raises(DataError, match=r"anchors cancel \(query 1, query 2\)"):
        Anchor.of(model, queries[:2])
