"""Files are whole or absent; digests do not depend on order."""

import json
import multiprocessing
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiersep.errors import DataError
from hiersep.files import TEMPORARY_PREFIX, atomic_path, fingerprint, lock_folder, sweep, write_json

scalars = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e3, 1e3) | st.text(max_size=5)
contents = st.recursive(
    scalars, lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(max_size=5), c, max_size=4), max_leaves=10
)


def reordered(content):
    if isinstance(content, dict):
        return {key: reordered(content[key]) for key in reversed(content)}
    return [reordered(item) for item in content] if isinstance(content, list) else content


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_a_file_appears_whole_under_its_name_with_its_parents_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "half"
    assert not leftovers(tmp_path)


def test_an_exception_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("old")

    def write_and_fail():
        with atomic_path(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert [p.name for p in tmp_path.iterdir()] == ["c.txt"]
    assert path.read_text() == "old"


def test_a_file_replaces_a_file_and_a_folder_replaces_a_folder(tmp_path):
    for text in ("one", "two"):
        with atomic_path(tmp_path / "f.txt") as temporary:
            temporary.write_text(text)
        with atomic_path(tmp_path / "d") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert (tmp_path / "f.txt").read_text() == "two"
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["two"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "f.txt"]


def test_a_folder_where_a_file_should_go_is_left_alone_and_named(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "precious").write_text("x")
    with pytest.raises(DataError) as caught, atomic_path(tmp_path / "there") as temporary:
        temporary.write_text("x")
    assert str(caught.value) == (
        f"{tmp_path}/there: cannot write the file, a folder of this name stands here; name another place"
    )
    assert (tmp_path / "there" / "precious").exists()
    assert not leftovers(tmp_path)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as caught, atomic_path(tmp_path / "file" / "x.txt"):
        pass
    assert str(caught.value) == (
        f"{tmp_path}/file/x.txt: cannot write here (File exists); choose a folder that can be written to"
    )


def test_json_is_indented_readable_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "x.json", {"name": "Flöte", "values": [1, 2.5, None]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Flöte", "values": [1, 2.5, None]}
    assert "Flöte" in text
    assert text.startswith("{\n") and text.endswith("}\n")  # noqa: PT018


def test_json_that_holds_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"si_sdr": float("nan")})
    assert not list(tmp_path.iterdir())


@given(contents)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(content):
    assert fingerprint(content) == fingerprint(reordered(content))


@given(st.lists(contents, min_size=2, max_size=2, unique_by=lambda c: json.dumps(c, sort_keys=True)))
def test_other_content_has_another_fingerprint(pair):
    assert fingerprint(pair[0]) != fingerprint(pair[1])


def test_a_lock_ends_with_the_process_that_took_it_though_a_worker_lives_on(tmp_path):
    """A forked worker has its parent's handles; the parent is killed, and the worker finds out some seconds later."""
    fork = multiprocessing.get_context("fork")
    living, told = fork.Pipe()

    def worker():
        told.send(os.getpid())
        time.sleep(60)

    def run():
        with lock_folder(tmp_path):
            fork.Process(target=worker).start()
            time.sleep(60)

    parent = fork.Process(target=run)
    parent.start()
    orphan = living.recv()
    with pytest.raises(DataError, match="another run"), lock_folder(tmp_path):
        pass
    parent.kill()
    parent.join()
    try:
        with lock_folder(tmp_path):
            os.kill(orphan, 0)  # it lives
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_what_a_killed_run_left_half_written_can_be_swept_away(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}x").mkdir()
    (tmp_path / f"{TEMPORARY_PREFIX}x" / "half").touch()
    (tmp_path / "whole").touch()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
