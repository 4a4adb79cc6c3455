"""The code on the pages runs, block by block, in a folder with what a reader has by then.

A page is read from top to bottom: its blocks run in one folder, in order, and a block run alone runs those above it
first. What takes a reader minutes is made smaller, by `SMALLER` and `TINY` alone. A block with ``<!-- not run: reason
-->`` above it is checked as far as can be without running it: its commands and options exist, its YAML loads, its
Python compiles and finds what it imports.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import typer
from helpers import write_soundfont
from pages import GUIDE, PAGES, ROOT, Block, blocks, text

from hiersep import Hierarchy, PathSeparator
from hiersep.cli import app
from hiersep.config import load_experiment
from hiersep.data.distributions import MixingConfig
from hiersep.errors import ConfigError
from hiersep.models import checkpoint

BLOCKS = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in BLOCKS if block.reason]
COMMAND = typer.main.get_command(app)
USAGE_ERROR = typer.BadParameter.__base__  # click's; which click, depends on typer's version
MAKE_TARGETS = set(re.findall(r"^([a-z][a-z-]*):", text(ROOT / "Makefile"), re.MULTILINE))

# An experiment small enough to run; in Python it stands in the place of the reader's own.
TINY = """
data: {folder: data, target: clean_guitars, duration: 1.0, num_train: 2, num_validation: 2}
network: {hidden_size: 4, num_layers: 1, dropout: 0.0}
training: {batch_size: 2, num_workers: 0, device: cpu, max_epochs: 1}
"""
SMALL_SETTINGS = [
    "data.duration=1.0",
    "data.num_train=2",
    "data.num_validation=2",
    "network.hidden_size=4",
    "network.num_layers=1",
    "network.dropout=0.0",
    "training.batch_size=2",
    "training.num_workers=0",
    "training.device=cpu",
    "training.max_epochs=1",
    "training.tensorboard=false",
]
# What is put behind the words of a command: the last one counts.
SMALLER = {
    "render": ["--tracks", "3", "--duration", "3", "--jobs", "1"],
    "index": ["--jobs", "1"],
    "mix": ["--num", "2", "--duration", "1.5", "--jobs", "1"],
    "train": [f"--{setting}" for setting in SMALL_SETTINGS],
    "evaluate": ["--num", "4", "--static-clips", "2", "--duration", "1", "--jobs", "1"],
}
# Where a data set's page presumes that it lies, and its miniature.
DATA_SETS = {
    "slakh2100_flac_redux": "slakh_redux",
    "babyslakh_16k": "babyslakh_16k",
    "musdb18": "musdb18",
    "musdb18hq": "musdb18hq",
    "moisesdb": "moisesdb",
    "MedleyDB": "medleydb_v1",
}
# Programs of blocks that are not run; what they do is not ours to check.
OTHERS = {"cd", "done", "for", "git", "mkdir", "mv", "sudo", "tar", "tensorboard", "unzip", "wget"}


class Reader:
    """Whoever follows a page in a folder of their own: what ran there already is not run again."""

    def __init__(self, page: Path, folder: Path):
        self.folder = folder
        self._todo = [block for block in blocks(page) if not block.reason]
        self._files = [block for block in blocks(page) if block.language == "yaml"]

    def follow(self, block: Block) -> None:
        """Run the page down to a block."""
        while block in self._todo:
            following = self._todo.pop(0)
            self._write_files()
            RUN[following.language](following)

    def _write_files(self) -> None:
        for block in self._files:
            name = re.match(r"# ([\w-]+\.ya?ml)\n", block.source)
            assert name, f"{block.place}: a YAML block begins with the name of its file"
            Path(name[1]).write_text(block.source, encoding="utf-8")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, rendered, miniatures):
    """A folder with what the pages presume: data, a song and examples, networks, the recipes."""
    root = tmp_path_factory.mktemp("prepared")
    for name in ("data", "more"):
        shutil.copytree(rendered, root / name, copy_function=os.link)  # an audit lies beside the songs
    for name, miniature in DATA_SETS.items():
        (root / name).symlink_to(miniatures / miniature)
    (root / "recipes").symlink_to(ROOT / "recipes")
    track = next(rendered.glob("test/*"))
    song, rate = soundfile.read(track / "mix.wav")
    stem, _ = soundfile.read(max((track / "stems").iterdir(), key=lambda path: soundfile.read(path)[0].std()))
    for name, samples in {"song": song, "example": stem, "another": stem[rate:]}.items():
        soundfile.write(root / f"{name}.wav", samples[: round(2.6 * rate)], rate)
    for folder in ("album", "live"):
        (root / folder).mkdir()
        (root / folder / f"{folder}.wav").symlink_to(root / "song.wav")
    write_soundfont(root / "FluidR3_GM.sf2", "Fluid R3 GM")  # for machines that have none
    (root / "songs").mkdir()
    for number, source in enumerate(sorted(rendered.glob("*/*/all_src.mid"))):
        shutil.copy(source, root / "songs" / f"{number}.mid")
    nodes = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
    network = PathSeparator("slakh_ismir2020", nodes, network={"hidden_size": 4, "num_layers": 1})
    for folder in ("exp/first", "exp/second"):
        (root / folder).mkdir(parents=True)
        checkpoint.save(network, root / folder / "best.safetensors")
    return root


@pytest.fixture(scope="module")
def readers(tmp_path_factory, prepared):
    """A reader of each page."""
    made = {}
    for page in PAGES:
        folder = tmp_path_factory.mktemp(page.stem)
        for given in prepared.iterdir():
            if given.name != "exp":
                (folder / given.name).symlink_to(given)
        for given in (prepared / "exp").iterdir():
            if f"--exp-dir exp/{given.name}" not in text(page):  # else the reader trains it
                shutil.copytree(given, folder / "exp" / given.name)
        made[page] = Reader(page, folder)
    return made


def words_of(block: Block) -> list[list[str]]:
    """Split a block of the shell into the words of its commands."""
    commands = re.split(r"\n|&&|;", block.source.replace("\\\n", " "))
    return [words for command in commands if (words := shlex.split(command, comments=True))]


def run_shell(block: Block) -> None:
    for words in words_of(block):
        if words[0] == "hiersep":
            run_hiersep(words[1:], block.place)
        else:
            assert words[0] == "python", f"{block.place}: {shlex.join(words)}: say why it is not run"
            subprocess.run([sys.executable, *words[1:]], check=True, timeout=60)


def run_hiersep(words: list[str], place: str) -> None:
    """Run a command of ours, made smaller, in this process: every other start would cost seconds."""
    words = [*words]
    if words[0] == "render" and "--audit" not in words:
        words[1] = f"rendered{len(list(Path().glob('rendered*')))}"  # the folder of before has songs to go on with
    if not {"--compare", "--audit", "--from-jams"} & set(words):
        words += SMALLER.get(words[0], [])
    status = COMMAND.main(words, prog_name="hiersep", standalone_mode=False)
    assert not status, f"{place}: hiersep {shlex.join(words)}: exit code {status}; what it said is below"


def run_python(block: Block) -> None:
    Path("my.yml").write_text(TINY, encoding="utf-8")
    source = "\n" * (block.line - 1) + block.source  # so that a traceback names the page's line
    exec(compile(source, str(block.page), "exec"), {"__name__": "page"})


def load_yaml(block: Block) -> None:
    path = Path(block.source.splitlines()[0].removeprefix("# "))
    if path.suffix == ".yaml":
        Hierarchy.load(path)
    elif path.stem == "mixing":
        MixingConfig.load(path)
    else:
        load_experiment(path)


RUN = {"sh": run_shell, "python": run_python, "yaml": load_yaml, "text": lambda block: None}


def check_command(words: list[str]) -> None:
    """Fail if a command, one of its options, or a file that it runs does not exist."""
    program, *rest = words
    if program == "do":  # of a loop, on a line of its own or before a command
        if rest:
            check_command(rest)
    elif program == "make":
        assert {word for word in rest if "=" not in word} <= MAKE_TARGETS
    elif program == "hiersep":
        context = COMMAND.commands[rest[0]].make_context(rest[0], rest[1:])  # parses, and does not run
        if rest[0] == "train":
            load_experiment(context.params["config"], context.args)
    elif program in ("torchrun", "srun"):  # before the command that each process runs
        check_command(words[words.index("hiersep") :])
    elif program == "bash":
        script = text(ROOT / rest[0])
        shared = "".join(text(path) for path in sorted((ROOT / "recipes").glob("*.sh")))
        for option in (word for word in rest if re.fullmatch(r"--\w+", word)):
            assert re.search(rf"{option}[ )\]]", script + shared), f"{rest[0]} has no option {option}"
    elif program == "python":
        assert (ROOT / rest[0]).is_file(), f"{rest[0]} is no file"
    else:
        assert program in OTHERS, f"{shlex.join(words)}: not known here"


def check_imports(source: str) -> None:
    """Fail if Python does not compile, or what it imports from hiersep is not there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "hiersep":
            module = importlib.import_module(str(node.module))
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def check(block: Block) -> None:
    """Check what can be checked of a block without running it."""
    if block.language == "sh":
        for words in words_of(block):
            check_command(words)
    elif block.language == "python":
        check_imports(block.source)
    else:
        load_yaml(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_blocks_run(block, readers, monkeypatch):
    reader = readers[block.page]
    monkeypatch.chdir(reader.folder)
    if block.reason:
        reader._write_files()
        check(block)
    else:
        reader.follow(block)


def test_few_blocks_are_not_run_and_each_says_why():
    listed = "\n".join(f"{block.place}: {block.reason}" for block in NOT_RUN)
    print(listed)
    elsewhere = [block for block in NOT_RUN if (ROOT / "recipes") not in block.page.parents]
    assert len(elsewhere) <= 16, listed  # what recipes do takes minutes at least, and is run small by their tests


def test_there_are_blocks_on_pages_and_none_escapes():
    assert len(GUIDE) >= 14
    for language, least in {"python": 20, "sh": 25, "yaml": 6}.items():
        assert sum(block.language == language for block in BLOCKS) >= least
    for page in PAGES:
        assert text(page).count("```") == 2 * len(blocks(page)), f"{page.name}: a fence lacks its language"
        assert text(page).count("\n<!-- not run") == sum(bool(block.reason) for block in blocks(page)), page.name
    assert {block.language for block in BLOCKS} <= {*RUN}


def test_the_readmes_first_python_is_ten_lines_at_most():
    example = next(block for block in blocks(ROOT / "README.md") if block.language == "python")
    assert len([line for line in example.source.splitlines() if line]) <= 10


@pytest.mark.parametrize(
    "command",
    [
        "make nonsense",
        "hiersep nonsense",
        "hiersep tree --nonsense",
        "torchrun --nproc_per_node 4 hiersep train --nonsense",
        "bash recipes/rendered/run.sh --nonsense",
        "python nonsense.py",
        "nonsense",
    ],
)
def test_commands_that_do_not_exist_are_caught(command):
    with pytest.raises((AssertionError, ConfigError, KeyError, USAGE_ERROR)):
        check_command(shlex.split(command))


def test_imports_that_do_not_exist_are_caught():
    check_imports("from hiersep import Hierarchy")
    with pytest.raises(AssertionError, match="nonsense"):
        check_imports("from hiersep import nonsense")
