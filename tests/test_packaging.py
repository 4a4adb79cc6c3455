"""What pip installs is whole: the trees, the type marker and the command, from a wheel and as an editable install.

Both are made of a copy of the checkout, so that no build folder is left in it, without dependencies and without a
network: the build back-end is the one installed. What was installed is looked at by a bare interpreter (``-S``), which
does not see the checkout's own editable install.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = ["general_midi", "medleydb", "moisesdb", "musdb18", "slakh34", "slakh_ismir2020", "universal"]

# Prints what an installation in argv[1] offers; argv[2:] hold what it depends on. A .pth file there is not read, so an
# editable hiersep among them is not found; one in argv[1] is.
LOOK = """
import json, site, sys
target, *others = sys.argv[1:]
site.addsitedir(target)
sys.path.extend(others)
sys.path.insert(0, sys.path.pop(sys.path.index(target)))
import importlib.metadata, importlib.resources
import hiersep
from hiersep import Hierarchy
(distribution,) = importlib.metadata.distributions(name="hiersep", path=[target])
(command,) = distribution.entry_points.select(group="console_scripts", name="hiersep")
print(json.dumps({
    "file": hiersep.__file__,
    "version": distribution.version,
    "metadata": {key: distribution.metadata[key] for key in ("Requires-Python", "License")},
    "trees": [Hierarchy.load(name).name for name in Hierarchy.available()],
    "typed": importlib.resources.files("hiersep").joinpath("py.typed").is_file(),
    "trees_lie_in": str(importlib.resources.files("hiersep.hierarchies").joinpath("slakh34.yaml")),
    "command": command.value,
}))
sys.argv = ["hiersep", "tree"]
command.load()()
"""


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INDEX": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def look(target: Path, cwd: Path) -> tuple[dict, str]:
    """Tell what lies in an installation, and what its ``hiersep tree`` prints."""
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    command = [sys.executable, "-S", "-c", LOOK, str(target), *paths]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    first, rest = done.stdout.split("\n", 1)
    return json.loads(first), rest


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Copy what git tracks, or would: an ignored build folder stays behind."""
    copy = tmp_path_factory.mktemp("checkout") / "hiersep"
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    assert (copy / "setup.py").is_file()
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", checkout, "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    (wheel,) = folder.glob("hiersep-*.whl")
    return wheel


def test_the_wheel_installs_trees_types_and_command(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(target)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"hiersep"}
    assert {f"hiersep/hierarchies/{tree}.yaml" for tree in TREES} <= set(names)
    assert "hiersep/data/readers/slakh_splits.json" in names
    assert {f"hiersep/report/templates/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "hiersep").rglob("*.py")}
    assert modules <= set(names)
    found, printed = look(target, tmp_path)
    assert Path(found["file"]) == target / "hiersep" / "__init__.py"
    assert Path(found["trees_lie_in"]) == target / "hiersep" / "hierarchies" / "slakh34.yaml"
    assert found["trees"] == TREES
    assert found["typed"]
    assert found["command"] == "hiersep.cli:main"
    assert found["metadata"] == {"Requires-Python": ">=3.10", "License": "MIT"}
    assert found["version"] in wheel.name
    assert [line.split()[0] for line in printed.splitlines()] == TREES


def test_the_editable_install_finds_the_checkout_and_its_trees(checkout, tmp_path):
    target = tmp_path / "site"
    pip("install", "--no-deps", "--no-build-isolation", "--target", target, "--editable", checkout)
    assert not (target / "hiersep").exists()
    found, printed = look(target, tmp_path)
    assert Path(found["file"]) == checkout / "hiersep" / "__init__.py"
    assert Path(found["trees_lie_in"]) == checkout / "hierarchies" / "slakh34.yaml"
    assert found["trees"] == TREES
    assert found["typed"]
    assert found["command"] == "hiersep.cli:main"
    assert [line.split()[0] for line in printed.splitlines()] == TREES


def test_the_command_is_written_by_pip(wheel, tmp_path):
    pip("install", "--no-deps", "--target", tmp_path / "site", wheel)
    assert (tmp_path / "site" / "bin" / "hiersep").is_file()
