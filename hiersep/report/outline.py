"""What a page shows of a hierarchy: what was separated, what stands above it, and which of it stands at which level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hiersep.errors import HierarchyError, near_miss
from hiersep.hierarchy.nodes import default_display
from hiersep.separation import RESIDUAL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hiersep.hierarchy import Hierarchy

_HUES = 6  # colours of branches, as the style sheet has them


@dataclass(frozen=True)
class Entry:
    """A line of the tree.

    Attributes:
        id: Of the node; of a network that is asked by an example, the level's name.
        name: For people.
        levels: Numbers of the page's levels at which it stands; none if it was not separated.
        hue: Number of the colour of its branch.
        children: Below it.
    """

    id: str
    name: str
    levels: tuple[int, ...]
    hue: int = 0
    children: tuple[Entry, ...] = ()

    def walk(self) -> Iterator[Entry]:
        """Yield it and all below, a branch at a time."""
        yield self
        for child in self.children:
            yield from child.walk()


class Outline(NamedTuple):
    """The tree of a page.

    Attributes:
        root: The mixture, which stands at level 0.
        levels: Names of the levels at which something stands, the mixture's first.
    """

    root: Entry
    levels: tuple[str, ...]


def outline(hierarchy: Hierarchy, separated: Collection[str]) -> Outline:
    """Lay out what was separated.

    A node below which nothing was separated stands for itself at all finer levels, as a shallow leaf does. So does the
    residual, beside the coarsest nodes.

    Args:
        hierarchy: The tree.
        separated: Ids of nodes below the root, or names of levels below the root's, each the next one's parent; and
            ``residual`` if there is one.

    Raises:
        HierarchyError: If the hierarchy has none of that name.

    Example:
        >>> from hiersep import Hierarchy
        >>> root, levels = outline(Hierarchy.load("slakh34"), ["guitar", "drums", "residual"])
        >>> levels
        ('mixture', 'family', 'class')
        >>> [(entry.id, entry.levels) for entry in root.walk() if entry.levels]
        [('mixture', (0,)), ('guitar', (1, 2)), ('drums', (2,)), ('residual', (1, 2))]
    """
    rest = RESIDUAL in separated and RESIDUAL not in hierarchy
    names = [name for name in separated if not (rest and name == RESIDUAL)]
    by_level = bool(names) and all(name in hierarchy.levels[1:] and name not in hierarchy for name in names)
    for name in names:
        if not by_level and name not in hierarchy.ids[1:]:
            hint = near_miss(name, hierarchy.ids[1:])
            raise HierarchyError(f"hierarchy '{hierarchy.name}' has no node '{name}' below its root{hint}")
    depths = sorted({hierarchy.depth_of(name) if by_level else hierarchy.node(name).depth for name in names})
    root = _chain(hierarchy, names) if by_level else _branch(hierarchy, hierarchy.root.id, set(names), depths)
    if rest:
        left = Entry(RESIDUAL, RESIDUAL, tuple(range(1, len(depths) + 1)), len(root.children) % _HUES)
        root = Entry(root.id, root.name, root.levels, root.hue, (*root.children, left))
    return Outline(root, tuple(hierarchy.levels[depth] for depth in (0, *depths)))


def _branch(hierarchy: Hierarchy, id: str, separated: set[str], depths: list[int], hue: int = 0) -> Entry:
    """Take a node with all below it that has to do with what was separated."""
    node = hierarchy.node(id)
    below = [child for child in node.children if separated & {child, *hierarchy.descendants(child)}]
    children = tuple(
        _branch(hierarchy, child, separated, depths, hue if node.parent is not None else number % _HUES)
        for number, child in enumerate(below)
    )
    return Entry(id, node.display, _levels(hierarchy, id, separated, depths), hue, children)


def _levels(hierarchy: Hierarchy, id: str, separated: set[str], depths: list[int]) -> tuple[int, ...]:
    """Number the page's levels from a node's own down to where others take its place."""
    node = hierarchy.node(id)
    if node.parent is None:
        return (0,)
    if id not in separated:
        return ()
    below = [hierarchy.node(other).depth for other in separated & set(hierarchy.descendants(id))]
    end = min(below, default=len(hierarchy.levels))
    return tuple(number for number, depth in enumerate(depths, 1) if node.depth <= depth < end)


def _chain(hierarchy: Hierarchy, names: list[str]) -> Entry:
    """Hang levels below each other, coarse to fine."""
    entry: tuple[Entry, ...] = ()
    ordered = [level for level in hierarchy.levels if level in names]
    for number in range(len(ordered), 0, -1):
        name = ordered[number - 1]
        entry = (Entry(name, default_display(name), (number,), 0, entry),)
    return Entry(hierarchy.root.id, hierarchy.root.display, (0,), 0, entry)
