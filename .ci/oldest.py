"""Print pip's constraints to the oldest versions that setup.py admits: ``NAME==LOWER`` for every ``NAME>=LOWER``.

What setup.py bounds only from above, or not at all, and the tools of the extra ``dev``, pip chooses. Usage:
``python .ci/oldest.py > constraints.txt``, as `make test-oldest` does it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.py"
LISTS = ("INSTALL_REQUIRES", "EXTRAS_REQUIRE")
OTHERS = ("app", "dev", "docs")


def declared() -> list[str]:
    """List the requirements of the package and of its extras, as setup.py writes them."""
    tree = ast.parse(SETUP.read_text(encoding="utf-8"))
    values = {
        target.id: ast.literal_eval(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in LISTS
    }
    install, extras = (values[name] for name in LISTS)
    return [*install, *(line for extra, lines in extras.items() if extra not in OTHERS for line in lines)]


def oldest(requirements: list[str]) -> list[str]:
    """Turn lower bounds into pins."""
    found = (re.match(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)(.*)", line) for line in requirements)
    return [f"{match[1]}=={match[2]}" for match in found if match and ";" not in match[3]]


if __name__ == "__main__":
    print("\n".join(oldest(declared())))
