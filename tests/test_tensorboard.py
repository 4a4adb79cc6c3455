"""What TensorBoard shows: curves, pictures and sound, of the right sizes; nothing is lost or doubled by a resume."""

import csv
import dataclasses
import io
import shutil
import wave
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib import colormaps, image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hiersep import PathSeparator, QuerySeparator, TreeSeparator, train
from hiersep.config import DataConfig, ExperimentConfig, NetworkConfig, SpectrumConfig, TrainingConfig
from hiersep.models.oracle import phase_sensitive_mask
from hiersep.plots import mask_picture
from hiersep.training import tensorboard
from hiersep.training.callbacks import ShowProgress
from hiersep.training.data import make_dataset
from hiersep.training.system import SeparationSystem
from hiersep.training.tensorboard import Logger, ShowInTensorBoard

NODES = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
EPOCHS, STEPS = 2, 4
BINS, FRAMES = 129, 126  # of a second


@pytest.fixture(scope="module")
def config(rendered):
    return ExperimentConfig(
        data=DataConfig(folder=str(rendered), duration=1.0, num_train=2 * STEPS, num_validation=2),
        spectrum=SpectrumConfig(n_fft=256, hop_length=128),
        network=NetworkConfig(hidden_size=8, num_layers=1, dropout=0.0),
        training=TrainingConfig(
            batch_size=2, max_epochs=EPOCHS, num_workers=0, device="cpu", learning_rate=1e-2, save_every=2
        ),
    )


@pytest.fixture(scope="module")
def copied_at(tmp_path_factory):
    """Where the folder was copied in the midst of the second epoch: one step after a saved state."""
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory, copied_at):
    """A training with a point for every step, of which copies were made while it ran, as a kill would leave it."""
    exp_dir = tmp_path_factory.mktemp("exp") / "tiny"
    undisturbed = ShowProgress.on_train_batch_end

    def copy(self, trainer, module, outputs, batch, batch_idx):
        undisturbed(self, trainer, module, outputs, batch, batch_idx)
        if (trainer.current_epoch, batch_idx) == (1, 3):  # the state is that of two batches of this epoch
            shutil.copytree(exp_dir, copied_at / "at once")
            trainer.logger.experiment.flush()
            shutil.copytree(exp_dir, copied_at / "after a while")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorboard, "_STEPS", 1)
        patch.setattr(ShowProgress, "on_train_batch_end", copy)
        train(config, exp_dir)
    return exp_dir


def events(exp_dir):
    accumulator = EventAccumulator(str(exp_dir / "tensorboard"), size_guidance={"images": 0, "audio": 0, "scalars": 0})
    return accumulator.Reload()


def points(exp_dir):
    found = events(exp_dir)
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def curve(exp_dir):
    with (exp_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Curves


def test_every_loss_and_score_of_the_curve_is_shown_at_the_last_step_of_its_epoch(trained):
    shown, rows = points(trained), curve(trained)
    names = set(rows[0]) - {"epoch", "steps", "learning_rate"}
    assert {
        "loss",
        "val_loss",
        *(f"{kind}/{node}" for kind in ("loss", "val_loss", "val_si_sdri") for node in NODES),
    } == names
    for name in names:
        assert shown[name] == [(int(row["steps"]) - 1, pytest.approx(float(row[name]), nan_ok=True)) for row in rows]


def test_what_changes_from_step_to_step_is_shown(trained):
    shown = points(trained)
    steps = {name: [value for _, value in shown[f"step/{name}"]] for name in ("loss", "gradient_norm", "clip_limit")}
    assert [step for step, _ in shown["step/learning_rate"]] == list(range(EPOCHS * STEPS))
    assert [value for _, value in shown["step/learning_rate"]] == [pytest.approx(1e-2)] * EPOCHS * STEPS
    norms = steps["gradient_norm"]
    expected = [np.percentile(norms[: number + 1], 10) for number in range(len(norms))]
    assert steps["clip_limit"] == pytest.approx(expected)
    first = float(curve(trained)[0]["loss"])  # the mean over known items, as all are here
    assert np.mean(steps["loss"][:STEPS]) == pytest.approx(first, rel=1e-5)


def test_a_steps_loss_is_a_whole_batchs_where_a_step_has_several(config, tmp_path, monkeypatch):
    """Lightning divides it by their number, which is a quarter of the loss where a step takes four batches."""
    monkeypatch.setattr(tensorboard, "_STEPS", 1)
    training = dataclasses.replace(config.training, batch_size=1, accumulate=STEPS * 2, max_epochs=1)
    seen, undisturbed = [], SeparationSystem.training_step

    def remember(self, batch, number):
        loss = undisturbed(self, batch, number)
        seen.append(loss.item())
        return loss

    monkeypatch.setattr(SeparationSystem, "training_step", remember)
    train(dataclasses.replace(config, training=training), tmp_path / "exp")
    assert points(tmp_path / "exp")["step/loss"] == [(0, pytest.approx(seen[-1], rel=1e-5))]
    assert len(seen) == STEPS * 2


def test_points_are_some_steps_apart(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "_STEPS", 3)
    two = dataclasses.replace(config.training, accumulate=2, max_epochs=3)
    train(dataclasses.replace(config, training=two), tmp_path)
    assert [step for step, _ in points(tmp_path)["step/loss"]] == [0, 3]  # of six steps, of two batches each


# Pictures


def decoded(picture):
    return image.imread(io.BytesIO(picture.encoded_image_string), format="png")[..., :3]


def test_every_validation_shows_the_masks_of_every_node(config, trained):
    found = events(trained)
    assert found.Tags()["images"] == [f"masks/{node}" for node in NODES]
    item = make_dataset(config, "validation", 2)[0]
    stft = PathSeparator("slakh_ismir2020", NODES, spectrum=config.spectrum, network=config.network).stft
    wanted = phase_sensitive_mask(stft(item["mix"][None]), stft(item["sources"][None]))[0, :, 0].numpy()
    for node, mask in zip(NODES, wanted, strict=True):
        pictures = found.Images(f"masks/{node}")
        assert [picture.step for picture in pictures] == [STEPS - 1, 2 * STEPS - 1]
        assert {(picture.width, picture.height) for picture in pictures} == {(3 * FRAMES + 8, BINS)}
        first, second = map(decoded, pictures)
        np.testing.assert_array_equal(first[:, : -FRAMES - 4], second[:, : -FRAMES - 4])  # mixture and reference
        assert (first[:, -FRAMES:] != second[:, -FRAMES:]).any()
        reference = first[:, FRAMES + 4 : 2 * FRAMES + 4]
        np.testing.assert_allclose(reference, colormaps["magma"](mask[::-1])[..., :3], atol=1 / 100)


def test_a_picture_stands_on_its_low_frequencies():
    mixture, masks = np.full((4, 6), -100.0, np.float32), np.zeros((2, 4, 6), np.float32)
    mixture[0, 1], mixture[1, 1] = 20.0, -51.0  # the second is more than 70 dB below
    masks[0, 3, 5], masks[1, 0, 0] = 1.0, 2.0
    picture = mask_picture(mixture, *masks)
    assert picture.shape == (4, 26, 3)
    assert picture.dtype == np.uint8
    black, bright = (np.array(colormaps["magma"](end, bytes=True)[:3]) for end in (0.0, 1.0))
    assert [tuple(place) for place in np.argwhere((picture == bright).all(-1))] == [(0, 15), (3, 1), (3, 20)]
    assert ((picture == black).all(-1).sum(), (picture == 255).all(-1).sum()) == (3 * 24 - 3, 2 * 4 * 4)


# Sound


def heard(sound):
    with wave.open(io.BytesIO(sound.encoded_audio_string)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (sound.sample_rate, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_the_clip_is_heard_at_its_rate(config, trained):
    found, item = events(trained), make_dataset(config, "validation", 2)[0]
    (mixture,) = found.Audio("sound/mixture")
    assert (mixture.sample_rate, mixture.length_frames) == (16000, 16000)
    np.testing.assert_allclose(heard(mixture), item["mix"][0], atol=1e-4)
    for node, source in zip(NODES, item["sources"], strict=True):
        (reference,) = found.Audio(f"sound/{node}/reference")
        np.testing.assert_allclose(heard(reference), source[0], atol=1e-4)
        estimates = found.Audio(f"sound/{node}/estimate")
        assert [estimate.step for estimate in estimates] == [STEPS - 1, 2 * STEPS - 1]
        assert {(estimate.sample_rate, estimate.length_frames) for estimate in estimates} == {(16000, 16000)}
        assert heard(estimates[-1]).std() > 0


# Other networks, other clips


class Notebook:
    """Remembers what was to be written."""

    def __init__(self):
        self.pictures, self.sounds = {}, {}

    def add_image(self, tag, picture, step, dataformats):
        self.pictures[tag] = picture

    def add_audio(self, tag, samples, step, sample_rate):
        self.sounds[tag] = samples
        assert sample_rate == 8000


def show(model, item):
    notebook, module = Notebook(), SimpleNamespace(model=model, kept=model, device="cpu")
    logger = SimpleNamespace(experiment=notebook)
    trainer = SimpleNamespace(global_step=0, is_global_zero=True, sanity_checking=False, logger=logger)
    callback = ShowInTensorBoard(item)
    with torch.no_grad():
        callback.on_train_start(trainer, module)
        callback.on_validation_end(trainer, module)
    return notebook


def noise_item(seconds, nodes, channels=1):
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(nodes, channels, 8000 * seconds, generator=generator)
    query = torch.randn(channels, 8000 * 12, generator=generator)
    return {"mix": sources.sum(0), "sources": sources, "known": torch.ones(nodes, dtype=torch.bool), "query": query}


SIZES = {"hidden_size": 2, "num_layers": 1, "dropout": 0.0}
OPTIONS = {"sample_rate": 8000, "spectrum": {"n_fft": 128, "hop_length": 64}, "network": SIZES}


def test_a_long_clip_is_cut_and_its_query_is_not():
    model = QuerySeparator("slakh34", query=SIZES, **OPTIONS).eval()
    asked = []
    model.query_network.register_forward_hook(lambda module, args, output: asked.append(args[0].shape[-1]))
    notebook = show(model, noise_item(11, 3))
    assert {len(sound) for sound in notebook.sounds.values()} == {80000}
    assert asked == [1 + 8000 * 12 // 64]
    assert list(notebook.pictures) == [f"masks/{level}" for level in ("group", "family", "class")]


def test_of_a_tree_the_coarsest_nodes_are_shown_and_none_that_is_not_known():
    model = TreeSeparator("slakh34", **OPTIONS).eval()
    item = noise_item(1, len(model.nodes))
    item["known"][1] = False
    shown = [model.nodes[0], *model.nodes[2:9]]
    notebook = show(model, item)
    assert list(notebook.pictures) == [f"masks/{node}" for node in shown]
    assert set(notebook.sounds) == {
        "sound/mixture",
        *(f"sound/{node}/{kind}" for node in shown for kind in ("reference", "estimate")),
    }


def test_complex_masks_and_stereo_are_shown_and_nothing_is_beyond_full_scale():
    network = {**SIZES, "mask": "complex", "constraint": "none"}
    model = PathSeparator("musdb18", ["vocals"], **{**OPTIONS, "network": network}).eval()
    notebook = show(model, noise_item(1, 1, channels=2))
    assert notebook.pictures["masks/vocals"].dtype == np.uint8
    sounds = torch.stack(list(notebook.sounds.values()))
    assert sounds.shape == (3, 8000)
    assert sounds.abs().max() == 1


# Going on


@pytest.mark.parametrize("killed", ["at once", "after a while"])
def test_a_killed_training_loses_no_point_and_doubles_none(config, trained, copied_at, monkeypatch, killed):
    monkeypatch.setattr(tensorboard, "_STEPS", 1)
    exp_dir = copied_at / killed
    assert len(curve(exp_dir)) == 1
    written = max(step for step, _ in points(exp_dir)["step/loss"])
    assert written == 6 if killed == "after a while" else written >= 5  # the state is that of 6 steps, 0 to 5
    train(config, exp_dir)
    assert points(exp_dir) == points(trained)
    for kind in ("images", "audio"):
        tags = events(trained).Tags()[kind]
        assert events(exp_dir).Tags()[kind] == tags
    for node in NODES:
        whole, resumed = (events(folder).Images(f"masks/{node}") for folder in (trained, exp_dir))
        assert [(p.step, p.encoded_image_string) for p in resumed] == [(p.step, p.encoded_image_string) for p in whole]


def test_nothing_is_pending_when_a_state_is_saved(tmp_path):
    logger = Logger(tmp_path, 0)
    for step in range(1000):
        logger.experiment.add_scalar("step/loss", 1.0, step)
    (file,) = (tmp_path / "tensorboard").iterdir()
    ShowInTensorBoard({}).on_save_checkpoint(SimpleNamespace(logger=logger), None, {})
    size = file.stat().st_size
    logger.experiment.flush()
    assert file.stat().st_size == size


def test_there_is_none_where_none_is_wanted_and_an_old_one_goes_with_its_training(config, trained, tmp_path):
    exp_dir = shutil.copytree(trained, tmp_path / "exp")
    without = dataclasses.replace(
        config, training=dataclasses.replace(config.training, tensorboard=False, max_epochs=1)
    )
    train(without, exp_dir, overwrite=True)
    assert not (exp_dir / "tensorboard").exists()
    assert len(curve(exp_dir)) == 1
