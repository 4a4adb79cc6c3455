"""What the README, CONTRIBUTING, the guide and the recipes' pages hold: their text, tables and fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = sorted((ROOT / "docs").glob("*.md"))
RECIPES = sorted((ROOT / "recipes").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDE, *RECIPES]

_FENCE = re.compile(r"^(?:<!-- not run: (.+?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Where it stands.
        language: What it is written in.
        source: Its text.
        line: Of its first line on the page.
        reason: Why it is not run, as the comment above it says; None: it is.
    """

    page: Path
    language: str
    source: str
    line: int
    reason: str | None

    @property
    def place(self) -> str:
        """The page and the line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def text(page: Path) -> str:
    """Read a page."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """Take the fenced blocks from a page, top to bottom."""
    content = text(page)
    return [
        Block(page, match[2], match[3], content.count("\n", 0, match.start(3)) + 1, match[1])
        for match in _FENCE.finditer(content)
    ]


def table_rows(content: str) -> list[list[str]]:
    """Take the rows of all tables in a text, headings included."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")] for line in content.splitlines() if line[:1] == "|"
    ]
    return [row for row in rows if not set(row[0]) <= set("-: ")]
