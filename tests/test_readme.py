"""What the pages say is so: their tables are whole, their links lead somewhere. `test_docs` runs their code."""

from __future__ import annotations

import dataclasses
import re

import pytest
import typer
import yaml
from pages import GUIDE, PAGES, ROOT, table_rows, text
from test_architecture import FLOORS

import hiersep
from hiersep import Hierarchy, strict_yaml
from hiersep.cli import app
from hiersep.config import SECTIONS
from hiersep.data.readers import READERS
from hiersep.evaluation import Evaluation, compare
from hiersep.evaluation.lines import APART, SCORED, Line, write_lines
from hiersep.evaluation.song_scores import NETWORK, SongLine
from hiersep.evaluation.song_tables import summarise_songs

COMMANDS = typer.main.get_command(app).commands
MAKE_TARGETS = set(re.findall(r"^([a-z][a-z-]*):", text(ROOT / "Makefile"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_exist(page):
    for name in re.findall(r"`make ([a-z-]+)", text(page)):
        assert name in MAKE_TARGETS
    for name in re.findall(r"`hiersep ([a-z]+)", text(page)):
        assert name in COMMANDS
    for path in re.findall(r"`((?:tests|recipes|hiersep|hierarchies|docs)/[\w/.]+)`", text(page)):
        assert "NAME" in path or (ROOT / path).exists(), path


def anchors(page):
    """Names by which the guide's builder and code hosts know a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text(page)):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
            assert not anchor or anchor in anchors(page.parent / target if target else page), (target, anchor)


def test_the_readme_lists_every_command():
    (listed,) = re.findall(r"^## Commands\n(.*?)^## ", text(ROOT / "README.md"), re.MULTILINE | re.DOTALL)
    assert [row[0] for row in table_rows(listed)[1:]] == [f"`hiersep {name}`" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_guide_shows_every_option(name):
    guide = "\n".join(map(text, GUIDE))
    shown = set(re.findall(r"--[a-z][\w-]*", guide))
    options = {option for p in COMMANDS[name].params for option in p.opts if option.startswith("--")}
    assert options <= shown


def test_the_settings_page_has_every_setting_with_its_default():
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^##|\Z)", text(ROOT / "docs" / "settings.md"), re.MULTILINE | re.DOTALL)
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


def test_the_evaluation_page_explains_every_figure_of_whole_songs():
    page = text(ROOT / "docs" / "evaluation.md")
    columns = [field.name for field in dataclasses.fields(SongLine)]
    line = SongLine(**{**dict.fromkeys(columns, 1.0), "track": "t", "level": "y", "node": "x", "row": NETWORK})
    keys = {*columns, *keys_of(summarise_songs([line]), {"x", "y"})}
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
    pages = [page for entry in menu for page in entry.values()]
    nested = [page for group in pages if isinstance(group, list) for entry in group for page in entry.values()]
    assert sorted([page for page in pages if isinstance(page, str)] + nested) == [page.name for page in GUIDE]


def test_changelog_and_citation_know_the_version():
    assert f"\n## {hiersep.__version__}\n" in text(ROOT / "CHANGELOG.md")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hiersep.__version__
    assert citation["preferred-citation"]["title"] == "Hierarchical Musical Instrument Separation"
