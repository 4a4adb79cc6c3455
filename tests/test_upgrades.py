"""What earlier versions of hiersep wrote is read: each file kind in tests/fixtures/vX.Y.Z/, which make_version.py made.

And what a later version will write is refused in one line that says so, where reading it would be a guess; what can be
computed again (catalogs, stores, journals) is computed again.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from make_version import PLACE, RENDERED, restore_data

from hiersep import Hierarchy, from_pretrained, open_dataset
from hiersep.audio import read
from hiersep.config import load_experiment
from hiersep.data import cache, indexing
from hiersep.data.recipe import render_recipe
from hiersep.data.restoring import read_annotation
from hiersep.data.store import load_store
from hiersep.data.writing import WriteSettings, write_mixtures
from hiersep.errors import HiersepError
from hiersep.evaluation import read_results
from hiersep.evaluation.clips import read_clips
from hiersep.evaluation.lines import read_lines
from hiersep.files import write_json
from hiersep.render.plan import make_plan
from hiersep.render.run import foresee
from hiersep.separation.files import read_separation
from hiersep.training.state import check_state

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.glob("v*"))
LATER = 99


@pytest.fixture(params=VERSIONS)
def written(request):
    return FIXTURES / request.param


@pytest.fixture
def data(written, tmp_path, monkeypatch):
    """The data set where it was measured, with its times, and a copy of the cache that was written then."""
    shutil.copytree(written / "cache", tmp_path / "cache")
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "cache"))
    return restore_data(written / "data", PLACE / "data")


def test_this_version_has_its_fixtures():
    from hiersep import __version__

    assert f"v{__version__}" in VERSIONS


def test_fixtures_are_small(written):
    assert sum(path.stat().st_size for path in written.rglob("*") if path.is_file()) < 500_000


@pytest.mark.skipif(Path("/tmp").resolve() != Path("/tmp"), reason="a catalog knows its files by their whole paths")
def test_a_catalog_and_a_store_are_taken_without_listening_again(data, monkeypatch):
    monkeypatch.setattr(indexing, "measure_track", lambda work: pytest.fail("listened again"))
    catalog = open_dataset(data, sample_rate=16000, jobs=1)
    assert [len(track.stems) for track in catalog.tracks] == [2, 2, 2, 2]
    assert catalog.store is not None
    for number, track in enumerate(catalog.tracks):
        stored = catalog.store.read(number, 0, 16000)
        for stem, source, measured in zip(track.stems, stored, catalog.measurements[number], strict=True):
            samples, _ = read(stem.path)
            np.testing.assert_array_equal(source, samples)
            assert measured.power == pytest.approx([np.mean(half**2) for half in np.split(samples[0], 2)], rel=1e-5)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_hierarchy_is_read(written, suffix):
    tree = Hierarchy.load(written / f"hierarchy.{suffix}")
    assert tree.ids == ("mixture", "keys", "low", "piano", "bass")
    assert tree.claim({"program_num": 0}) == "piano"


def test_a_mixture_comes_out_of_its_jams_sample_by_sample(written, data):
    (path,) = (written / "mixtures").glob("*.jams")
    annotation = read_annotation(path)
    recipe = annotation.recipe(open_dataset(data, sample_rate=16000, jobs=1))
    assert render_recipe(open_dataset(data, sample_rate=16000, jobs=1), recipe).digest == annotation.settings.digest


def test_a_configuration_is_read(written):
    config = load_experiment(written / "exp/conf.yml")
    assert (config.data.target, config.network.hidden_size) == ("piano", 2)


def test_a_checkpoint_gives_sound(written):
    model = from_pretrained(written / "exp/best.safetensors")
    mixture = torch.rand(1, 1, 1600) - 0.5
    assert model(mixture).shape == (1, 2, 1, 1600)
    assert torch.isfinite(model(mixture)).all()


def test_a_training_goes_on_from_its_state(written):
    model = from_pretrained(written / "exp/best.safetensors")
    assert check_state(written / "exp/last.ckpt", model).steps == 1


def test_an_evaluation_is_read(written):
    assert read_clips(written / "exp/clips.json").clips
    assert read_lines(written / "exp/scores.csv")
    assert read_results(written / "exp")["format"] >= 2


def test_what_was_separated_is_read(written, tmp_path):
    shutil.copy(written / "separation.json", tmp_path)
    for node in ("keys", "piano"):  # what was heard is not kept
        (tmp_path / f"{node}.wav").touch()
    assert set(read_separation(tmp_path).files) == {"keys", "piano"}


def test_a_rendering_that_was_begun_is_known(written, tmp_path):
    shutil.copy(written / "render.json", tmp_path)
    there = json.loads((written / "render.json").read_text(encoding="utf-8"))
    here = make_plan(RENDERED).to_dict()
    assert there["settings"] == here["settings"]
    if there["fingerprint"] == here["fingerprint"]:
        assert "1 tracks" in foresee(tmp_path, RENDERED)
    else:  # other soundfonts or libraries here give other sound, and that is said
        with pytest.raises(HiersepError, match=r"holds another rendering \(.*\)"):
            foresee(tmp_path, RENDERED)


def later(content, key="format"):
    return {**content, key: LATER}


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("hierarchy.yaml", Hierarchy.load),
        ("hierarchy.json", Hierarchy.load),
        ("exp/conf.yml", load_experiment),
        ("exp/clips.json", read_clips),
        ("exp/results.json", lambda path: read_results(path.parent)),
        ("separation.json", lambda path: read_separation(path.parent)),
        ("render.json", lambda path: foresee(path.parent, RENDERED)),
        ("mixtures/000000.jams", read_annotation),
    ],
)
def test_what_a_later_version_wrote_is_refused_and_says_so(written, tmp_path, name, reader):
    path = tmp_path / Path(name).name
    text = (written / name).read_text(encoding="utf-8")
    content = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    if path.suffix == ".jams":
        content["sandbox"]["hiersep"]["format"] = LATER
    assert path.suffix == ".jams" or content["format"] < LATER
    write_json(path, content if path.suffix == ".jams" else later(content))
    with pytest.raises(
        HiersepError, match=f"{re.escape(str(path))}.*got {LATER}: written by a later version"
    ) as raised:
        reader(path)
    assert "\n" not in str(raised.value)


def test_mixtures_of_a_later_version_are_left_alone(written, data, tmp_path):
    manifest = json.loads((written / "mixtures/manifest.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "out/manifest.json", later(manifest))
    settings = WriteSettings(str(data), str(written / "hierarchy.yaml"), 1, duration=0.5)
    with pytest.raises(HiersepError, match="written by a later version"):
        write_mixtures(tmp_path / "out", settings, jobs=1)


def change_header(path, out):
    """Copy an .npz file whose header says that a later version wrote it."""
    with np.load(path) as arrays:
        content = dict(arrays)
    header = later(json.loads(content["header"].tobytes()))
    np.savez(out, **{**content, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


@pytest.mark.parametrize(("name", "reader"), [("catalog.npz", cache.load), ("store.npz", load_store)])
def test_what_a_later_version_measured_is_measured_again(written, tmp_path, name, reader):
    (path,) = (written / "cache").rglob(name)
    assert reader(path) is not None
    change_header(path, tmp_path / name)
    assert reader(tmp_path / name) is None
