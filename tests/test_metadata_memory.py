"""What metadata said is remembered by their bytes: opened again, a data set is the same and is parsed no more."""

from __future__ import annotations

import json
import shutil

import pytest

from hiersep import open_dataset
from hiersep.data.cache import dataset_cache
from hiersep.data.readers import metadata
from hiersep.data.readers.memory import FILE, Memory


@pytest.fixture
def slakh(miniatures, tmp_path, monkeypatch):
    monkeypatch.setenv("HIERSEP_CACHE", str(tmp_path / "cache"))
    shutil.copytree(miniatures / "babyslakh_16k", tmp_path / "data")
    return tmp_path / "data"


def opened(folder):
    return open_dataset(folder, sample_rate=8000, jobs=1).tracks


@pytest.mark.filterwarnings("ignore::hiersep.errors.HiersepWarning")
def test_metadata_that_have_not_changed_are_not_parsed_again(slakh, monkeypatch):
    first = opened(slakh)
    monkeypatch.setattr(metadata, "_load_yaml", lambda text: pytest.fail("parsed again"))
    assert opened(slakh) == first


@pytest.mark.filterwarnings("ignore::hiersep.errors.HiersepWarning")
def test_metadata_that_changed_are_read_whatever_their_time_and_size(slakh):
    before = opened(slakh)
    path = next(slakh.rglob("metadata.yaml"))
    text = path.read_text(encoding="utf-8")
    name = before[0].stems[0].attributes["inst_class"]
    other = name[::-1]
    assert other != name
    path.write_text(text.replace(name, other), encoding="utf-8")
    classes = {stem.attributes["inst_class"] for track in opened(slakh) for stem in track.stems}
    assert other in classes
    kept = json.loads((dataset_cache(slakh.resolve(), 8000) / FILE).read_text(encoding="utf-8"))
    assert len(kept["files"]) == len({p.read_bytes() for p in slakh.rglob("metadata.yaml")})


@pytest.mark.filterwarnings("ignore::hiersep.errors.HiersepWarning")
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 99, "files": {}}', b'{"format": 1, "files": 3}'])
def test_a_damaged_memory_is_written_anew(slakh, damage):
    first = opened(slakh)
    path = dataset_cache(slakh.resolve(), 8000) / FILE
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert opened(slakh) == first
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "text",
    [b"1: a", b"day: 2024-01-01", b"x: .nan", b"a: &a [1]\nb: *a", b"x: !!set {a}"],
    ids=["number as key", "date", "not a number", "alias", "set"],
)
def test_what_json_does_not_give_back_is_parsed_each_time(tmp_path, text):
    memory = Memory(tmp_path / FILE)
    memory.parse(text, metadata._load_yaml)
    memory.save()
    assert not (tmp_path / FILE).exists()
