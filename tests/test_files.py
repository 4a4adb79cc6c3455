"""Files are whole or absent; digests do not depend on order."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiersep.errors import DataError
from hiersep.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    fingerprint,
    lock_folder,
    scratch_folder,
    sweep,
    write_json,
    write_text,
)

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


def killed_with_a_worker(holding):
    """Fork a process that holds something and has a worker; yield while it lives, and after it was killed."""
    fork = multiprocessing.get_context("fork")
    living, told = fork.Pipe()

    def worker():
        told.send(os.getpid())
        time.sleep(60)

    def run():
        with holding:
            fork.Process(target=worker).start()
            time.sleep(60)

    parent = fork.Process(target=run)
    parent.start()
    orphan = living.recv()
    try:
        yield
        parent.kill()
        parent.join()
        os.kill(orphan, 0)  # it lives
        yield
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_lock_ends_with_the_process_that_took_it_though_a_worker_lives_on(tmp_path):
    """A forked worker has its parent's handles; the parent is killed, and the worker finds out some seconds later."""
    moments = killed_with_a_worker(lock_folder(tmp_path))
    next(moments)
    with pytest.raises(DataError, match="another run"), lock_folder(tmp_path):
        pass
    next(moments)
    with lock_folder(tmp_path):
        pass
    moments.close()


def in_another_process(work):
    """Do something in a process of its own that may kill itself; give how it ended."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_left_half_written_can_be_swept_away(tmp_path):
    for folder in (tmp_path, tmp_path / "deep" / "deeper"):
        (folder / f"{TEMPORARY_PREFIX}x").mkdir(parents=True)
        (folder / f"{TEMPORARY_PREFIX}x" / "half").touch()
    (tmp_path / "whole").touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "whole"]
    assert leftovers(tmp_path)
    sweep(tmp_path, deep=True)
    assert not leftovers(tmp_path)


def test_what_another_process_is_writing_is_not_swept_away(tmp_path):
    with atomic_path(tmp_path / "f.txt") as temporary:
        temporary.write_text("half")
        assert in_another_process(lambda: sweep(tmp_path)) == 0
        assert in_another_process(lambda: write_text(tmp_path / "other.txt", "")) == 0
        temporary.write_text("whole")
    assert (tmp_path / "f.txt").read_text() == "whole"


def test_what_a_killed_process_was_writing_is_swept_away_though_a_worker_lives_on(tmp_path):
    """A forked worker has its parent's handles, the locked one too; it finds out some seconds later."""
    moments = killed_with_a_worker(atomic_path(tmp_path / "f.txt"))
    next(moments)
    assert leftovers(tmp_path)
    next(moments)
    sweep(tmp_path)
    assert not leftovers(tmp_path)
    moments.close()


def test_whoever_writes_into_a_folder_first_removes_what_was_left_there(tmp_path):
    def write_half():
        with atomic_path(tmp_path / "f.txt") as temporary:
            temporary.write_text("half")
            die()

    assert in_another_process(write_half) == -signal.SIGKILL
    assert leftovers(tmp_path)
    assert in_another_process(lambda: write_text(tmp_path / "other.txt", "whole")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_a_temporary_folder_that_a_kill_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fill():
        with scratch_folder() as folder:
            (folder / "decoded.wav").touch()
            die()

    assert in_another_process(fill) == -signal.SIGKILL
    assert list(tmp_path.rglob("decoded.wav"))
    with scratch_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_while_a_folder_is_replaced_leaves_the_old_or_the_new_one(renames, tmp_path):
    """The old one is renamed aside, then the new one takes its name; what a kill between leaves, the sweep mends."""
    place = tmp_path / "track"
    place.mkdir()
    (place / "old").touch()

    def replace():
        done = []
        for name in ("rename", "replace"):
            real = getattr(Path, name)

            def counted(self, target, real=real):
                if len(done) == renames:
                    die()
                done.append(real(self, target))

            setattr(Path, name, counted)
        with atomic_path(place) as temporary:
            temporary.mkdir()
            (temporary / "new").touch()
        die()

    assert in_another_process(replace) == -signal.SIGKILL
    sweep(tmp_path)
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert there == ["track", "track/old" if renames == 0 else "track/new"]


def test_what_only_bears_such_a_name_is_not_swept_away(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / f"{TEMPORARY_PREFIX}link").symlink_to(tmp_path / "precious")
    (tmp_path / f"{TEMPORARY_PREFIX}file").touch()
    sweep(tmp_path)
    assert (tmp_path / "precious" / "file").exists()
    assert (tmp_path / f"{TEMPORARY_PREFIX}file").exists()
