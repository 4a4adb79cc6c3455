"""Every kind of separator and every backbone can learn four clips by heart, nearly as far as any real mask goes.

A network that cannot is wired wrongly somewhere between the waveform and the loss, whatever its shapes say. What counts
is what a user would hear: evaluation mode, SI-SDR of the waveforms, per node the mean over the clips in which there is
something to separate.
"""

import math
from functools import cache

import pytest
import torch

from hiersep.config import BACKBONE_SIZES, NetworkConfig
from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.hierarchy import Hierarchy
from hiersep.losses import mean_over_known, negative_snr
from hiersep.metrics import score_batch
from hiersep.models.oracle import phase_sensitive_mask
from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

RATE = 8000
CLIPS = 4
WITHIN_DB, QUICKLY_WITHIN_DB = 2.0, 3.0  # of the phase-sensitive oracle
SPECTRUM = {"n_fft": 256, "hop_length": 128}
SKIP = {"hidden_size": 128, "num_layers": 1, "dropout": 0.0, "skip": True}
BACKBONES = {
    "blstm": {"hidden_size": 256, "num_layers": 2, "dropout": 0.0},
    "blstm with skip": SKIP,
    "complex blstm": {**SKIP, "mask": "complex", "constraint": "none"},
    "tdconvnet": {"backbone": "tdconvnet", "width": 64, "hidden_size": 128, "num_layers": 5, "num_repeats": 2},
    "dprnn": {"backbone": "dprnn", "width": 128, "hidden_size": 96, "num_repeats": 2, "chunk_size": 20},
    "bandsplit": {
        "backbone": "bandsplit", "width": 32, "hidden_size": 64, "num_layers": 2, "num_heads": 2, "num_bands": 16,
        "dropout": 0.0,
    },
}  # fmt: skip
TREE = Hierarchy.load("slakh_ismir2020")
PATH = TREE.path("clean_guitars")[1:]
FAMILIES = tuple(node.id for node in TREE.nodes if node.depth in (1, 2))
CLASSES = Hierarchy.load("slakh34")
QUERY = {"hidden_size": 32, "num_layers": 1, "dropout": 0.0}
MODELS = {
    "path, one level": (PathSeparator, TREE, PATH[1:2]),
    "path, all levels": (PathSeparator, TREE, PATH),
    "query, one level": (QuerySeparator, CLASSES, CLASSES.levels[3:]),
    "query, all levels": (QuerySeparator, CLASSES, CLASSES.levels[1:]),
    "tree": (TreeSeparator, TREE, FAMILIES),
}


@pytest.fixture(scope="module")
def clips(rendered):
    """Clips of a hierarchy's nodes, by hierarchy and length."""

    @cache
    def of(hierarchy, nodes, duration):
        dataset = HierarchicalMixtureDataset(
            rendered, hierarchy, split="train", target=nodes, salient=nodes[-1:] if nodes == PATH else None,
            num_mixtures=CLIPS, duration=duration, sample_rate=RATE, jobs=1,
        )  # fmt: skip
        return {key: torch.stack([dataset[index][key] for index in range(CLIPS)]) for key in dataset[0]}

    return of


def batch_for(clips, name, duration):
    """The four clips as the model learns them."""
    network, hierarchy, nodes = MODELS[name]
    if network is QuerySeparator:
        return questions(clips(hierarchy, hierarchy.ids[1:], duration), hierarchy, nodes)
    batch = clips(hierarchy, PATH if network is PathSeparator else nodes, duration)
    rows = [PATH.index(node) for node in nodes] if network is PathSeparator else slice(None)
    return {"mix": batch["mix"], "sources": batch["sources"][:, rows], "known": batch["known"][:, rows]}


def questions(batch, hierarchy, levels):
    """Two mixtures, each asked for its two loudest leaves: only the query tells which.

    The query is the leaf itself.
    """
    items = {key: [] for key in ("mix", "sources", "known", "query")}
    places = {node: place for place, node in enumerate(hierarchy.ids[1:])}
    leaves = torch.tensor([places[leaf] for leaf in hierarchy.leaves])
    for clip in range(CLIPS // 2):
        power = batch["sources"][clip, leaves].square().mean(dim=(1, 2))
        for leaf in power.argsort(descending=True)[:2].tolist():
            path = hierarchy.path(hierarchy.leaves[leaf])
            rows = [places[path[hierarchy.levels.index(level)]] for level in levels]
            items["mix"].append(batch["mix"][clip])
            items["sources"].append(batch["sources"][clip, rows])
            items["known"].append(batch["known"][clip, rows])
            items["query"].append(batch["sources"][clip, leaves[leaf]])
    return {key: torch.stack(values) for key, values in items.items()}


def make(name, backbone):
    torch.manual_seed(0)
    network, hierarchy, nodes = MODELS[name]
    options = {"query": QUERY} if network is QuerySeparator else {}
    return network(hierarchy, nodes, sample_rate=RATE, spectrum=SPECTRUM, network=BACKBONES[backbone], **options)


def overfit(model, batch, *, steps, learning_rate=3e-3):
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(steps):
        separation = model.separate_batch(batch["mix"], model.condition_of(batch))
        loss = mean_over_known(negative_snr(separation, batch["sources"]), batch["known"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def gaps(model, batch):
    """By how many dB each node lies below the oracle, where a clip has something to separate."""
    with torch.inference_mode():
        separation = model.eval().separate_batch(batch["mix"], model.condition_of(batch))
        masks = phase_sensitive_mask(separation.spectrum, separation.stft(batch["sources"]))
        network, oracle = (
            score_batch(waveforms, batch["sources"], batch["mix"], known=batch["known"])
            for waveforms in (separation.waveforms(), separation._replace(masks=masks).waveforms())
        )
    found = dict(zip(model.nodes, (oracle.means()["si_sdr"] - network.means()["si_sdr"]).tolist(), strict=True))
    scored = dict(zip(model.nodes, oracle.counts()["scored"].tolist(), strict=True))
    assert all(math.isnan(gap) == (scored[node] == 0) for node, gap in found.items())  # nothing else is left out
    return {node: gap for node, gap in found.items() if scored[node]}


def hold(model, batch, within_db=WITHIN_DB, **training):
    """Overfit a network, and compare it to the oracle before and after."""
    before = gaps(model, batch)
    overfit(model, batch, **training)
    after = gaps(model, batch)
    print({node: round(gap, 2) for node, gap in after.items()})
    assert len(after) >= 0.75 * len(model.nodes)  # of a tree some are silent in all four clips
    assert min(before.values()) > within_db  # it did not stand there from the start
    assert max(after.values()) < within_db, after


@pytest.mark.parametrize(("name", "steps"), [("path, all levels", 80), ("query, all levels", 90), ("tree", 150)])
def test_a_small_network_learns_four_seconds_by_heart(clips, name, steps):
    hold(make(name, "blstm with skip"), batch_for(clips, name, 1.0), QUICKLY_WITHIN_DB, steps=steps)


def test_every_backbone_is_among_the_learners():
    assert {NetworkConfig.of(network).backbone for network in BACKBONES.values()} == {*BACKBONE_SIZES}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_separator_learns_four_clips_by_heart(clips, name):
    hold(make(name, "blstm"), batch_for(clips, name, 3.0), steps=300)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [backbone for backbone in BACKBONES if backbone != "blstm"])
def test_every_backbone_learns_four_clips_by_heart(clips, backbone):
    name = "path, all levels"
    hold(make(name, backbone), batch_for(clips, name, 3.0), steps=500)
