"""What README, CONTRIBUTING and the guide say is so: their code runs, their commands exist, their tables are whole."""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml
from test_architecture import FLOORS

import hiersep
from hiersep import Hierarchy, PathSeparator, strict_yaml
from hiersep.cli import app
from hiersep.config import SECTIONS, load_experiment
from hiersep.data.distributions import MixingConfig
from hiersep.data.readers import READERS
from hiersep.evaluation import Evaluation, compare
from hiersep.evaluation.lines import APART, SCORED, Line, write_lines
from hiersep.models import checkpoint

ROOT = Path(__file__).parents[1]
GUIDE = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDE]
COMMANDS = typer.main.get_command(app).commands
USAGE_ERROR = typer.BadParameter.__base__  # click's; which click, depends on typer's version
MAKE_TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

# An experiment small enough to run, in the place of the reader's own.
TINY = """
data: {folder: data, target: clean_guitars, duration: 1.0, num_train: 2, num_validation: 2}
network: {hidden_size: 4, num_layers: 1, dropout: 0.0}
training: {batch_size: 2, num_workers: 0, device: cpu}
"""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[tuple[str, int]]:
    """Fenced blocks of a language, each with the line of its first line."""
    content = text(page)
    fences = re.finditer(rf"^```{language}\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)
    return [(match[1], content.count("\n", 0, match.start(1)) + 1) for match in fences]


def every(language: str) -> list:
    """Blocks of a language on all pages, as parameters."""
    found = [(page, block, line) for page in PAGES for block, line in blocks(page, language)]
    return [pytest.param(*values, id=f"{values[0].name}:{values[2]}") for values in found]


def table_rows(content: str) -> list[list[str]]:
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")] for line in content.splitlines() if line[:1] == "|"
    ]
    return [row for row in rows if not set(row[0]) <= set("-: ")]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A checkpoint of the demo's path that has learned nothing."""
    path = tmp_path_factory.mktemp("network") / "best.safetensors"
    nodes = ["strings_guitars_keyboards", "guitar", "clean_guitars"]
    checkpoint.save(PathSeparator("slakh_ismir2020", nodes, network={"hidden_size": 4, "num_layers": 1}), path)
    return path


@pytest.fixture
def workspace(tmp_path, rendered, network, monkeypatch):
    """Stand in a folder with what the pages presume: data, a song, networks, the demo's results, the recipes."""
    (tmp_path / "data").symlink_to(rendered)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    song = next(rendered.glob("test/*/mix.wav"))
    for copy in ("song.wav", "out/demo/guitar-path/mixture.wav"):
        (tmp_path / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(song, tmp_path / copy)
    for folder in ("exp/first", "exp/band"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(network, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_files(page: Path) -> list[Path]:
    """Write the page's YAML blocks to the files that their first lines name."""
    written = []
    for block, line in blocks(page, "yaml"):
        name = re.match(r"# (\w+\.ya?ml)\n", block)
        assert name, f"{page.name}:{line}: a YAML block begins with the name of its file"
        written.append(Path(name[1]))
        written[-1].write_text(block, encoding="utf-8")
    return written


def test_there_are_pages_and_blocks():
    assert len(GUIDE) >= 7
    assert len(every("python")) >= 10
    assert len(every("sh")) >= 8
    assert len(every("yaml")) >= 4


@pytest.mark.parametrize(("page", "block", "line"), every("python"))
def test_python_runs(page, block, line, workspace):
    write_files(page)
    Path("my.yml").write_text(TINY, encoding="utf-8")
    source = "\n" * (line - 1) + block  # so that a traceback names the page's line
    exec(compile(source, str(page), "exec"), {"__name__": "page"})


def test_the_readmes_example_is_ten_lines():
    (example, _), *_ = blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line]) <= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_loads(page, workspace):
    for path in write_files(page):
        if path.suffix == ".yaml":
            Hierarchy.load(path)
        elif path.stem == "mixing":
            MixingConfig.load(path)
        else:
            load_experiment(path)


def check_command(words: list[str], page: Path) -> None:
    """Fail if a command, one of its options, or a file that it runs does not exist."""
    program, *rest = words
    if program == "make":
        assert {word for word in rest if "=" not in word} <= MAKE_TARGETS
    elif program == "hiersep":
        context = COMMANDS[rest[0]].make_context(rest[0], rest[1:])  # parses, and does not run
        if rest[0] == "train":
            load_experiment(context.params["config"], context.args)
    elif program in ("torchrun", "srun"):  # before the command that each process runs
        check_command(words[words.index("hiersep") :], page)
    elif program == "bash":
        script = (ROOT / rest[0]).read_text(encoding="utf-8")
        for option in (word for word in rest if word.startswith("--")):
            assert re.search(rf"\[{option}[ \]]", script), f"{rest[0]} has no option {option}"
    else:
        assert words[:2] in (["git", "clone"], ["cd", "hiersep"]), f"{page.name}: {shlex.join(words)}: not known here"


@pytest.mark.parametrize(("page", "block", "line"), every("sh"))
def test_commands_exist(page, block, line, workspace):
    write_files(page)
    for command in re.split(r"\n|&&", block.replace("\\\n", " ")):
        if command.strip():
            check_command(shlex.split(command), page)


@pytest.mark.parametrize(
    "command",
    ["make nonsense", "hiersep nonsense", "hiersep tree --nonsense", "bash recipes/rendered/run.sh --nonsense"],
)
def test_commands_that_do_not_exist_are_caught(command):
    with pytest.raises((AssertionError, KeyError, USAGE_ERROR)):
        check_command(shlex.split(command), ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_exist(page):
    for name in re.findall(r"`make ([a-z-]+)", text(page)):
        assert name in MAKE_TARGETS
    for name in re.findall(r"`hiersep ([a-z]+)", text(page)):
        assert name in COMMANDS
    for path in re.findall(r"`((?:tests|recipes|hiersep|hierarchies|docs)/[\w/.]+)`", text(page)):
        assert "NAME" in path or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text(page)):
        assert target.startswith("https://") or (page.parent / target).is_file(), target


def test_the_readme_lists_every_command():
    (listed,) = re.findall(r"^## Commands\n(.*?)^## ", text(ROOT / "README.md"), re.MULTILINE | re.DOTALL)
    assert [row[0] for row in table_rows(listed)[1:]] == [f"`hiersep {name}`" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_guide_shows_every_option(name):
    guide = "\n".join(map(text, GUIDE))
    shown = set(re.findall(r"--[a-z][\w-]*", guide))
    options = {option for p in COMMANDS[name].params for option in p.opts if option.startswith("--")}
    assert options <= shown


def test_the_training_page_has_every_setting_with_its_default():
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", text(ROOT / "docs" / "training.md"), re.MULTILINE | re.DOTALL)
    said = {
        name: {
            key.strip("`"): strict_yaml.load(f"x: {default.strip('`')}", name)["x"]
            for key, default, _ in table_rows(content)[1:]
        }
        for name, content in sections
    }
    assert said == {name: dataclasses.asdict(section()) for name, section in SECTIONS.items()}


def keys_of(content: object, names: set[str]) -> set[str]:
    """Keys of mappings at any depth, but for those that name nodes and levels."""
    if not isinstance(content, dict):
        return set()
    return {*content, *(key for value in content.values() for key in keys_of(value, names))} - names


def test_the_evaluation_page_explains_every_key_and_every_column(tmp_path):
    page = text(ROOT / "docs" / "evaluation.md")
    columns = [field.name for field in dataclasses.fields(Line)]
    one = {"clip": 0, "track": "t", "start_s": 0.0, "target": "x", "query": "q", "level": "y", "node": "x"}
    lines = [
        Line(**{**dict.fromkeys(columns, 1.0), **one, "clip": number, "status": status})
        for number, status in enumerate((SCORED, *APART))
    ]
    summary = Evaluation("query", ("y",), ("x",), tuple(lines)).summary()
    write_lines(tmp_path / "scores.csv", lines)
    keys = {*columns, SCORED, *APART, *keys_of(summary, {"x", "y"}), *keys_of(compare(tmp_path, tmp_path), {"x", "y"})}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_the_guide_lists_every_hierarchy_and_every_reader():
    listed = [row[0] for row in table_rows(text(ROOT / "docs" / "hierarchies.md"))]
    assert {f"`{name}`" for name in Hierarchy.available()} <= set(listed)
    readers = [row[0] for row in table_rows(text(ROOT / "docs" / "data.md"))]
    assert [f"`{reader.NAME}`" for reader in READERS] == readers[1 : 1 + len(READERS)]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_floors_are_drawn_as_they_are(page):
    drawn = re.findall(r"^(\d)  (\S.*)$", text(ROOT / page), re.MULTILINE)
    assert [(int(floor), tuple(rooms.split())) for floor, rooms in drawn] == list(enumerate(FLOORS))[::-1]


def test_the_guides_menu_lists_every_page():
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(page for entry in menu for page in entry.values()) == [page.name for page in GUIDE]


def test_changelog_and_citation_know_the_version():
    assert f"\n## {hiersep.__version__}\n" in text(ROOT / "CHANGELOG.md")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hiersep.__version__
    assert citation["preferred-citation"]["title"] == "Hierarchical Musical Instrument Separation"
