"""What made a result is named: the commit, and the machine."""

import os
import subprocess

from hiersep.provenance import git_commit, machine


def test_the_commit_is_named_with_its_changes_and_unknown_outside_of_a_checkout(tmp_path):
    assert git_commit(tmp_path) == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    (tmp_path / "a").write_text("a")
    for arguments in (["init", "-q"], ["add", "a"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert head.startswith(git_commit(tmp_path))
    assert len(git_commit(tmp_path)) == 12
    index = (tmp_path / ".git" / "index").read_bytes()
    os.utime(tmp_path / "a", (1, 1))  # as before, though it does not look so
    assert head.startswith(git_commit(tmp_path))
    assert (tmp_path / ".git" / "index").read_bytes() == index  # a kill would leave its lock, which git stops at
    (tmp_path / "a").write_text("b")
    assert git_commit(tmp_path).endswith("-dirty")


def test_the_machine_is_named_with_the_gpus_that_took_part():
    assert machine(iter(["a", "b"])) == f"{machine()}, a, b"
    assert machine().endswith(" cores")
