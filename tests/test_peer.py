"""A flat peer, trained on the same data and scored on the same clips as the networks that know a hierarchy."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import error_db, noise

from hiersep.compat import asteroid
from hiersep.config import load_experiment
from hiersep.errors import CheckpointError, ConfigError
from hiersep.evaluation import evaluate, read_results
from hiersep.evaluation.lines import read_lines
from hiersep.losses import negative_snr, negative_snr_of_waveforms
from hiersep.models import foreign
from hiersep.models.path import PathSeparator
from hiersep.separation import separate

CONF = """
data: {{folder: {folder}, duration: 1.0, num_train: 4, num_validation: 2}}
spectrum: {{n_fft: 256, hop_length: 128}}
training: {{batch_size: 2, max_epochs: 2, num_workers: 0, schedule: cosine, save_every: 1, device: cpu}}
evaluation: {{duration: 1.0, num_test: 4, num_static: 2}}
"""
PATH = ("strings_guitars_keyboards", "guitar", "clean_guitars")
STEMS = ("clean_guitars", "guitar", "strings_guitars_keyboards", None)
SPECTRUM = {"n_fft": 256, "hop_length": 128}
RATE = 16000


@pytest.fixture(scope="module")
def peer():
    return runpy.run_path(str(Path(__file__).parents[1] / "recipes" / "rendered" / "peer.py"))


def network(parts=4):
    torch.manual_seed(0)
    sizes = {"n_filters": 16, "n_blocks": 1, "n_repeats": 1, "bn_chan": 8, "hid_chan": 8, "skip_chan": 8}
    return asteroid.models.ConvTasNet(n_src=parts, sample_rate=RATE, **sizes).eval()


# Parts of a path, and their sums


def test_the_parts_of_a_path_sum_to_its_nodes_and_to_the_mixture(peer):
    nodes = torch.randn(2, 3, 1, 50)
    mixture = torch.randn(2, 1, 50)
    parts = peer["parts_of"](mixture, nodes)
    torch.testing.assert_close(parts[:, :1].sum(dim=1), nodes[:, 2])
    torch.testing.assert_close(parts[:, :2].sum(dim=1), nodes[:, 1])
    torch.testing.assert_close(parts[:, :3].sum(dim=1), nodes[:, 0])
    torch.testing.assert_close(parts.sum(dim=1), mixture)


def test_a_node_is_heard_as_the_plain_sum_of_the_parts_within_it():
    model, mixture = network(), noise(1.0, rate=RATE, channels=2).astype(np.float32)
    separator = foreign.of_asteroid(model, STEMS, "slakh_ismir2020", spectrum=SPECTRUM, shares=False)
    assert (separator.nodes, separator.kind, separator.complex_masks) == (PATH, "path", True)
    with torch.inference_mode():
        parts = model(torch.from_numpy(mixture)).transpose(0, 1).numpy()  # (part, channel, time)
    estimates = dict(zip(separator.nodes, separate(mixture, RATE, separator), strict=True))
    for count, node in enumerate(reversed(PATH), 1):
        assert error_db(estimates[node], parts[:count].sum(axis=0)) < -80


def test_what_a_silent_mixture_is_taken_apart_into_is_silent_and_finite():
    separator = foreign.of_asteroid(network(), STEMS, "slakh_ismir2020", shares=False)
    with torch.inference_mode():
        assert not separator(torch.zeros(1, 1, 9000)).any()


def test_shares_and_plain_sums_are_told_apart():
    keys = {foreign.of_asteroid(network(), STEMS, "slakh_ismir2020", shares=shares).key for shares in (True, False)}
    assert len(keys) == 2


def test_the_loss_of_waveforms_is_that_of_masks():
    separator = foreign.of_asteroid(network(), STEMS, "slakh_ismir2020", spectrum=SPECTRUM, shares=False)
    mixture, references = torch.randn(2, 1, 4000), torch.randn(2, 3, 1, 4000)
    separation = separator.separate_batch(mixture)
    plain = negative_snr_of_waveforms(separation.waveforms(), references, mixture)
    torch.testing.assert_close(negative_snr(separation, references), plain)


def test_what_is_not_known_of_a_node_is_not_learned_of_its_parts(peer):
    model = network(2)
    system = peer["PeerSystem"](model, torch.optim.Adam(model.parameters()), negative_snr_of_waveforms, [])
    batch = {
        "mix": torch.randn(2, 1, 800),
        "sources": torch.randn(2, 1, 1, 800),
        "known": torch.tensor([[True], [False]]),
    }
    loss = system.common_step(batch, 0)
    batch["sources"][1] = torch.nan
    torch.testing.assert_close(system.common_step(batch, 0), loss)
    batch["sources"][0] *= 2
    assert system.common_step(batch, 0) != loss


# The whole


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.recipe
def test_the_peer_is_trained_and_scored_on_the_clips_of_the_others_once(peer, rendered, tmp_path, capsys):
    conf, out = tmp_path / "conf.yml", tmp_path / "peer"
    conf.write_text(CONF.format(folder=rendered))
    peer["main"](str(conf), str(out), "--size", "tiny", "--training.max_epochs", "1")
    assert "improvement" in capsys.readouterr().out
    summary = json.loads((out / "training.json").read_text())
    assert summary["steps"] == 2
    config = load_experiment(conf)
    torch.manual_seed(0)
    other = PathSeparator("slakh_ismir2020", PATH, spectrum=SPECTRUM, network={"hidden_size": 3, "num_layers": 1})
    evaluate(other, rendered, config.evaluation, out=tmp_path / "other", device="cpu")
    theirs = read_lines(tmp_path / "other" / "scores.csv")
    for folder in (out, out / "shares"):
        assert list(read_results(folder)["nodes"]) == list(PATH)
        for mine, line in zip(read_lines(folder / "scores.csv"), theirs, strict=True):
            assert (mine.track, mine.start_s, mine.status) == (line.track, line.start_s, line.status)
            np.testing.assert_allclose(
                [mine.mixture, mine.static, mine.oracle], [line.mixture, line.static, line.oracle], atol=1e-3
            )
    assert (out / "scores.csv").read_bytes() != (out / "shares" / "scores.csv").read_bytes()
    before = written(out)
    peer["main"](str(conf), str(out), "--size", "tiny", "--training.max_epochs", "1")
    assert written(out) == before
    with pytest.raises(ConfigError, match="--size: expected tiny, of which"):
        peer["main"](str(conf), str(out), "--training.max_epochs", "1")


@pytest.mark.recipe
def test_a_training_that_was_stopped_goes_on_to_the_same_network(peer, rendered, tmp_path, monkeypatch):
    conf = tmp_path / "conf.yml"
    conf.write_text(CONF.format(folder=rendered))
    config = load_experiment(conf)
    train = peer["train"]
    fit = peer["functools"].partial(peer["fit"], size="tiny")
    whole = peer["load"](train(config, tmp_path / "whole", fit=fit))[0].state_dict()

    system, step = peer["PeerSystem"], peer["PeerSystem"].common_step
    steps = []

    def until_third(self, batch, number, train=True):
        steps.append(train)
        if steps.count(True) == 3 and train:
            raise KeyboardInterrupt
        return step(self, batch, number, train)

    monkeypatch.setattr(system, "common_step", until_third)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "halves", fit=fit)
    assert not (tmp_path / "halves" / "training.json").exists()
    monkeypatch.setattr(system, "common_step", step)
    halves = peer["load"](train(config, tmp_path / "halves", fit=fit))[0].state_dict()
    for name, weights in whole.items():
        torch.testing.assert_close(halves[name], weights, rtol=0, atol=0)


def test_what_is_no_path_and_what_is_no_peer_is_refused(peer, tmp_path):
    conf = tmp_path / "conf.yml"
    conf.write_text("data: {target: [guitar, superlevel_bass]}\nseparator: {kind: tree}\n")
    with pytest.raises(ConfigError, match="expected nodes of one path, got"):
        peer["main"](str(conf), str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="--size: expected one of tiny, small, full, got 'huge'"):
        peer["main"](str(conf), str(tmp_path / "out"), "--size", "huge")
    with pytest.raises(CheckpointError, match="expected a peer that this script trained"):
        peer["load"](Path(__file__).parent / "fixtures" / "path.safetensors")
    assert not (tmp_path / "out").exists()
