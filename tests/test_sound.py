"""What separation sounds like, on three small trained networks: little of this would hold of random weights.

`fixtures/` holds the networks; `make_fixtures.py` made them, of other songs than those that are heard here. Figures are
means over the clips, in dB; what was seen stands beside each bound.
"""

from pathlib import Path

import pytest
import torch

from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.metrics import relative_level_db, rms_db, score_batch, sum_error_db
from hiersep.models import checkpoint
from hiersep.models.oracle import fit_static_masks
from hiersep.models.query import QuerySeparator
from hiersep.render import RenderSettings, render
from hiersep.separation import SeparationSettings, separate

FIXTURES = Path(__file__).parent / "fixtures"
RATE = 8000
ASKED = ["distorted_electric_guitar", "acoustic_piano", "organ", "string_ensemble", "electric_bass", "drums"]
NAMES = ("path", "query", "tree")
# Of SI-SDR; the least over the nodes.
IMPROVEMENT = {"path": 2.0, "query": 2.0, "tree": 1.5}  # 3.4, 3.3, 2.7
OVER_A_FILTER = {"path": 0.8, "query": 2.0, "tree": 0.8}  # 1.3, 3.6, 1.2
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def models():
    return {name: checkpoint.from_pretrained(FIXTURES / f"{name}.safetensors") for name in NAMES}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Sixteen songs of 12 s that no network learned from; a filter may be fitted on eight of them."""
    out = tmp_path_factory.mktemp("unheard") / "data"
    settings = RenderSettings(tracks=16, seed=7, duration=12.0, splits=(0.5, 0.0, 0.5), sample_rate=RATE, format="wav")
    render(out, settings, jobs=1)
    return out


def open_clips(model, songs, split, *, duration=4.0):
    """Up to 32 clips as one batch."""
    if isinstance(model, QuerySeparator):
        options = {"query": True, "target": ASKED, "balanced": True, "query_duration": 2.0}
    else:
        options = {"target": list(model.nodes)}
    dataset = HierarchicalMixtureDataset(
        songs, model.hierarchy, split=split, num_mixtures=32, duration=duration, sample_rate=RATE, jobs=1, **options
    )
    items = [dataset[index] for index in range(len(dataset))]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    if isinstance(model, QuerySeparator):
        batch["asked"] = torch.tensor([ASKED.index(dataset.spec(index).target) for index in range(len(dataset))])
    return batch


@pytest.fixture(scope="module")
def clips(models, songs):
    return {name: open_clips(model, songs, "test") for name, model in models.items()}


def separated(model, mixture, batch):
    with torch.inference_mode():
        return model.separate_batch(mixture, model.condition_of(batch))


@pytest.fixture(scope="module")
def separations(models, clips):
    """What each network makes of its clips."""
    return {name: separated(model, clips[name]["mix"], clips[name]) for name, model in models.items()}


def scores(waveforms, batch):
    return score_batch(waveforms, batch["sources"], batch["mix"], known=batch["known"])


# --- every network


@each
def test_a_fixture_is_small_and_says_how_it_was_made(name):
    file = FIXTURES / f"{name}.safetensors"
    assert file.stat().st_size < 600_000
    made = checkpoint.describe(file)["provenance"]
    assert (made["experiment"], made["recipe"], made["licence"]) == (name, "tests/make_fixtures.py", "MIT")


@each
def test_what_comes_out_is_nearer_to_the_truth_than_the_mixture(separations, clips, name):
    found = scores(separations[name].waveforms(), clips[name])
    assert (found.counts()["scored"] >= 15).all()
    assert (found.means()["si_sdri"] > IMPROVEMENT[name]).all()


@each
def test_a_network_beats_a_filter(models, songs, separations, clips, name):
    """The best gain per frequency, fitted on eight of the songs; both are compared on the others."""
    model, fitted = models[name], open_clips(models[name], songs, "train")
    gains = fit_static_masks([(fitted["mix"], fitted["sources"], fitted["known"])], model.stft)
    filtered = separations[name]._replace(masks=gains[None].expand_as(separations[name].masks))
    network, static = (scores(one.waveforms(), clips[name]).means()["si_sdr"] for one in (separations[name], filtered))
    assert (network - static > OVER_A_FILTER[name]).all()


@each
@pytest.mark.parametrize("gain_db", [-12, 6])
def test_a_softer_or_louder_mixture_is_separated_about_as_well(models, clips, separations, name, gain_db):
    batch, separation = clips[name], separations[name]
    turned = separated(models[name], 10 ** (gain_db / 20) * batch["mix"], batch)
    before, after = (scores(one.waveforms(), batch).means()["si_sdr"] for one in (separation, turned))
    magnitude = separation.spectrum.abs()[:, None]
    moved = ((turned.masks - separation.masks).abs() * magnitude).mean() / magnitude.mean()
    assert (after - before > -2.5).all()  # -1.7 at worst
    assert moved < 0.25  # 0.16


@each
def test_silence_gives_silence(models, clips, name):
    mixture = torch.zeros_like(clips[name]["mix"])
    assert separated(models[name], mixture, clips[name]).waveforms().abs().max() == 0


@each
def test_less_comes_out_for_a_node_that_does_not_sound(models, clips, separations, name):
    """Of every clip the node's own sound is taken away, and the rest separated again."""
    model, batch = models[name], clips[name]
    for place in range(len(model.nodes)):
        source = batch["sources"][:, place]
        rest = batch["mix"] - source
        heard = (rms_db(rest) > -40) & (rms_db(source) > -40)
        assert heard.sum() >= 15
        without = separated(model, rest, batch).waveforms()[:, place]
        fall = rms_db(separations[name].waveforms()[:, place]) - rms_db(without)
        assert fall[heard].mean() > 2.0  # 3.1 at least
        below_the_mixture = relative_level_db(without[:, None], rest)[heard].mean()
    assert below_the_mixture < -12.0  # the finest: -16.0 at most


@each
def test_two_channels_with_the_same_sound_give_the_same_twice(models, clips, separations, name):
    both = separated(models[name], clips[name]["mix"].expand(-1, 2, -1), clips[name]).waveforms()
    alone = separations[name].waveforms().expand(-1, -1, 2, -1)
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=0)


@each
def test_segments_lose_little(models, songs, name):
    """Whole songs of 12 s in one go, and in three pieces."""
    model, batch = models[name], open_clips(models[name], songs, "test", duration=12.0)
    condition = model.condition_of(batch)
    whole, pieces = (
        torch.stack(
            [
                torch.from_numpy(
                    separate(
                        mixture.numpy(), RATE, model, settings=segmenting,
                        condition=None if condition is None else condition[number : number + 1],
                    )
                )
                for number, mixture in enumerate(batch["mix"])
            ]
        )
        for segmenting in (SeparationSettings(60.0, 2.0), SeparationSettings(5.0, 2.0))
    )  # fmt: skip
    change = scores(pieces, batch).means()["si_sdr"] - scores(whole, batch).means()["si_sdr"]
    assert (change > -0.3).all()  # -0.1 at worst


# --- query by example


def test_the_right_query_finds_more_than_a_wrong_one(models, clips, separations):
    model, batch = models["query"], clips["query"]
    right = scores(separations["query"].waveforms(), batch).si_sdr
    for shift in range(1, 6):
        wrong = separated(model, batch["mix"], {"query": batch["query"].roll(shift, dims=0)})
        other = batch["asked"] != batch["asked"].roll(shift)
        better = (right - scores(wrong.waveforms(), batch).si_sdr)[other]
        assert len(better) >= 15
        assert (better.mean(dim=0) > 4.0).all()  # 6.6 at least


# --- trees


def test_the_finest_nodes_and_all_remainders_sum_to_the_mixture(models, separations):
    model, separation = models["tree"], separations["tree"]
    signals = dict(zip(model.nodes, separation.waveforms().unbind(dim=1), strict=True))
    remainders = model.remainders(separation)
    finest = [signals[node] for node in model.nodes if node not in remainders]
    parts = torch.stack([*finest, *remainders.values()], dim=1)
    assert parts.shape[1] == 6
    assert sum_error_db(separation.mixture, parts).max() < -100


def test_a_remainder_is_what_sounds_in_a_parent_and_in_no_child(models, clips, separations):
    """Of the guitars all but the clean ones are left, and of their group what is no guitar."""
    model, batch = models["tree"], clips["tree"]
    sources = dict(zip(model.nodes, batch["sources"].unbind(dim=1), strict=True))
    remainders = model.remainders(separations["tree"])
    for parent, child in (("strings_guitars_keyboards", "guitar"), ("guitar", "clean_guitars")):
        rest = sources[parent] - sources[child]
        found = score_batch(remainders[parent][:, None], rest[:, None], batch["mix"])
        assert found.counts()["scored"] >= 15
        assert found.means()["si_sdri"] > 1.5  # 3.1, 5.0
