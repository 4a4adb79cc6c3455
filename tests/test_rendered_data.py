"""An audited rendering of 60 songs: what must hold for the audio that a network learns from."""

import pytest

from hiersep.config import EvaluationConfig, NetworkConfig, SpectrumConfig
from hiersep.evaluation import evaluate
from hiersep.hierarchy import Hierarchy
from hiersep.models.path import PathSeparator
from hiersep.render import RenderSettings, render
from hiersep.render.audit import audit

pytestmark = pytest.mark.slow
TREE = "slakh_ismir2020"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("audited") / "data"
    render(out, RenderSettings(tracks=60, seed=0, splits=(0.7, 0.05, 0.25)))
    return out


@pytest.fixture(scope="module")
def audited(folder):
    return audit(folder, TREE)


def test_songs_have_six_to_nine_parts_and_nothing_twice(audited):
    assert 6 <= audited.parts.median <= 9
    assert audited.songs == 60
    assert audited.melodies.pairs == 0
    assert audited.drums.pairs == 0
    assert audited.identical == ()
    assert audited.crossing == ()
    assert audited.coverage.unclaimed == ()


def test_every_class_is_salient_in_three_percent_of_the_windows(audited):
    shares = {node.id: node.share for node in audited.coverage.nodes if node.level == "class"}
    assert len(shares) == 18
    assert {node: share for node, share in shares.items() if share < 0.03} == {}


@pytest.mark.parametrize("target", ["clean_guitars", "electric_piano", "organs"])
def test_the_levels_of_a_path_differ(audited, target):
    """Another of the family is salient in 40 % of the target's windows, and in 80 % the group beyond the family."""
    group = Hierarchy.load(TREE).path(target)[1]
    node = next(node for node in audited.coverage.nodes if node.id == target)
    assert node.any_sibling >= 0.4
    assert node.rest[group] >= 0.8


def test_a_filter_without_a_network_gains_less_than_three_db(folder):
    nodes = Hierarchy.load(TREE).path("clean_guitars")[1:]
    network = NetworkConfig(hidden_size=4, num_layers=1, dropout=0.0)
    model = PathSeparator(TREE, nodes, sample_rate=16000, spectrum=SpectrumConfig(), network=network)
    levels = evaluate(model, folder, EvaluationConfig(num_test=120, num_static=100)).summary()["levels"]
    gains = {node: level["static"] - level["mixture"] for node, level in levels.items()}
    assert all(level["clips"] >= 20 for level in levels.values())
    assert max(gains.values()) < 3.0
    assert min(gains.values()) > 0.0  # it is a filter that was fitted, after all
