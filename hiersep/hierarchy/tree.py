"""The hierarchy: an immutable tree of sources."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hiersep import strict_yaml
from hiersep.errors import HierarchyError, near_miss
from hiersep.hierarchy import drawing, loading
from hiersep.hierarchy.document import document
from hiersep.hierarchy.fields import FORMAT
from hiersep.hierarchy.nodes import Node, grow

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from hiersep.hierarchy.labels import Block


@dataclass(frozen=True, repr=False)
class Hierarchy:
    """Which stems sum to which node. Made by `Hierarchy.load`; immutable, hashable, picklable.

    Two hierarchies are equal if their names, levels, nodes (with order) and labels are.

    Attributes:
        name: Its name.
        levels: Names of the levels, coarse to fine; level 0 is the mixture's.
        nodes: Every node, in *the* node order: breadth first, siblings in file order, root first.
        blocks: The labels, one block per data set, or one without a name, or none.

    Example:
        >>> tree = {"mixture": ["vocals", {"rest": ["drums", "bass"]}]}
        >>> data = {"name": "demo", "levels": ["mixture", "group", "stem"], "tree": tree}
        >>> labels = {"vocals": "vocals", "drums": "drums", "bass": "bass"}
        >>> h = Hierarchy.load({**data, "match": "filename", "labels": labels})
        >>> h.ids
        ('mixture', 'vocals', 'rest', 'drums', 'bass')
        >>> h.path("bass")
        ('mixture', 'rest', 'bass')
        >>> h.at_level("stem")
        ('vocals', 'drums', 'bass')
        >>> claims = [h.claim({"filename": name}) for name in ("bass.wav", "vocals.wav", "cat.wav")]
        >>> claims
        ['bass', 'vocals', None]
        >>> h.membership(claims)
        array([[1., 1., 1.],
               [0., 1., 0.],
               [1., 0., 0.],
               [0., 0., 0.],
               [1., 0., 0.]], dtype=float32)
    """

    name: str
    levels: tuple[str, ...]
    nodes: tuple[Node, ...]
    blocks: tuple[Block, ...] = field(default=())

    # --- reading and writing

    @classmethod
    def load(cls, source: str | os.PathLike[str] | Mapping[str, Any] | Hierarchy) -> Hierarchy:
        """Load a hierarchy.

        Args:
            source: A shipped name (see `available`); a path that ends in .yaml, .yml or .json; a dict
                with the same keys; or the authors' nested JSON, as a file or dict: dicts down to lists of
                ``plugin_name``. A `Hierarchy` is returned as it is.

        Raises:
            HierarchyError: If there is none, or it is malformed. The message is one line, and begins
                with the file and line.

        Example:
            >>> Hierarchy.load("slakh34")
            Hierarchy('slakh34', mixture 1, group 4, family 11, class 35)
        """
        return source if isinstance(source, Hierarchy) else cls(*loading.load_parts(source))

    @staticmethod
    def available() -> tuple[str, ...]:
        """List the names of the shipped hierarchies.

        Example:
            >>> "slakh34" in Hierarchy.available()
            True
        """
        return loading.available()

    def to_dict(self) -> dict[str, Any]:
        """Write the hierarchy as plain dicts and lists, as `load` takes them."""
        return document(self.name, self.levels, self.nodes, self.blocks)

    def dump(self, format: str = "yaml") -> str:
        """Write the text of a file that loads as this hierarchy.

        Args:
            format: ``"yaml"`` or ``"json"``.
        """
        if format == "yaml":
            return strict_yaml.dump({"format": FORMAT, **self.to_dict()})
        if format == "json":
            return json.dumps({"format": FORMAT, **self.to_dict()}, indent=2, ensure_ascii=False) + "\n"
        raise HierarchyError(f"expected the format 'yaml' or 'json', got {format!r}")

    def draw(self, notes: Mapping[str, str] | None = None) -> str:
        """Draw the tree, one node per line, with a note beside the nodes that have one.

        Example:
            >>> data = {"name": "demo", "levels": ["mixture", "stem"], "tree": {"mixture": ["a", "b"]}}
            >>> print(Hierarchy.load(data).draw({"b": "silent"}))
            mixture
            ├── a
            └── b    silent
        """
        return drawing.draw(self.nodes, notes or {})

    def __str__(self) -> str:
        return self.draw()

    def __repr__(self) -> str:
        counts = (f"{level} {len(self.at_level(level))}" for level in self.levels)
        return f"Hierarchy({self.name!r}, {', '.join(counts)})"

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, id: object) -> bool:
        return id in self._index

    # --- nodes

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Every node's id, in node order."""
        return tuple(node.id for node in self.nodes)

    @property
    def root(self) -> Node:
        """The mixture."""
        return self.nodes[0]

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Ids of the nodes with nothing below, in node order."""
        return tuple(node.id for node in self.nodes if node.is_leaf)

    def index(self, id: str) -> int:
        """Tell the position of a node in node order.

        Raises:
            HierarchyError: If there is no such node.
        """
        try:
            return self._index[id]
        except (KeyError, TypeError):
            hint = near_miss(id, self.ids)
            raise HierarchyError(f"hierarchy '{self.name}' has no node '{id}'{hint}") from None

    def node(self, id: str) -> Node:
        """Look up a node.

        Raises:
            HierarchyError: If there is no such node.
        """
        return self.nodes[self.index(id)]

    def path(self, id: str) -> tuple[str, ...]:
        """List the nodes from the root down to `id`, both included."""
        up = [self.node(id)]
        while up[-1].parent is not None:
            up.append(self.node(up[-1].parent))
        return tuple(node.id for node in reversed(up))

    def path_at(self, id: str, levels: Sequence[str | int]) -> tuple[str, ...]:
        """Name the node at each of some levels on the path to `id`, which stands for itself on finer levels.

        Raises:
            HierarchyError: If there is no such node or level.
        """
        path = self.path(id)
        return tuple(path[min(self.depth_of(level), len(path) - 1)] for level in levels)

    def depth_of(self, level: str | int) -> int:
        """Turn a level's name or number into its number; 0 is the root's.

        Raises:
            HierarchyError: If there is no such level.
        """
        if isinstance(level, str) and level in self.levels:
            return self.levels.index(level)
        if isinstance(level, int) and 0 <= level < len(self.levels):
            return level
        known = ", ".join(f"{name} ({depth})" for depth, name in enumerate(self.levels))
        hint = near_miss(level, self.levels)
        raise HierarchyError(f"hierarchy '{self.name}' has no level {level!r}{hint}; levels are {known}")

    def at_level(self, level: str | int) -> tuple[str, ...]:
        """List the nodes that stand at a level, in node order; a shallower leaf stands for itself."""
        depth = self.depth_of(level)
        standing = (n for n in self.nodes if n.depth == depth or (n.is_leaf and n.depth < depth))
        return tuple(node.id for node in standing)

    def descendants(self, id: str) -> tuple[str, ...]:
        """List every node below `id`, in node order."""
        below: set[str] = set(self.node(id).children)
        for node in self.nodes:
            if node.parent in below:
                below.add(node.id)
        return tuple(other for other in self.ids if other in below)

    def leaves_below(self, id: str) -> tuple[str, ...]:
        """List the leaves of the branch at `id`, in node order; a leaf is its own."""
        if self.node(id).is_leaf:
            return (id,)
        return tuple(other for other in self.descendants(id) if self.node(other).is_leaf)

    # --- claims

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that have labels of their own; empty if one block fits any, or none."""
        return tuple(block.dataset for block in self.blocks if block.dataset is not None)

    def claim(self, attributes: Mapping[str, Any], dataset: str | None = None) -> str | None:
        """Find the node, leaf or inner, that claims a stem.

        A hierarchy without labels claims nothing.

        Args:
            attributes: What is known about the stem, such as ``{"program_num": 24}``.
            dataset: The stem's data set; needed where labels are given per data set.

        Returns:
            The node's id, or None: the stem is in the mixture and belongs to no node.

        Raises:
            HierarchyError: If no labels fit the data set, or two nodes claim the stem.
        """
        block = self._block(dataset)
        return None if block is None else block.claim(attributes)

    def ignores(self, attributes: Mapping[str, Any], dataset: str | None = None) -> bool:
        """Tell whether a stem is named under ``ignore:``, so that nobody need hear it is unclaimed."""
        block = self._block(dataset)
        return block is not None and block.ignores(attributes)

    def reachable(self, dataset: str | None = None) -> tuple[str, ...]:
        """List the nodes that can hold a claimed stem, in node order: those with a label in or below."""
        block = self._block(dataset)
        held = {above for id, _ in (block.labels if block else ()) for above in self.path(id)}
        return tuple(id for id in self.ids if id in held)

    def membership(self, claims: Sequence[str | None]) -> npt.NDArray[np.float32]:
        """Say which stems sum to which node.

        Args:
            claims: For each stem, the node that claims it, or None.

        Returns:
            1 where the stem is in the node's submix, else 0. A node's row is the stems that it claims
            itself plus the sum of its children's rows; the root's row is ones.

        Shape:
            output: (node, stem).
        """
        import numpy as np

        holds = np.pad(self._holds, ((0, 0), (0, 1)))  # the last column stands for no claim
        rows = holds[:, self._columns(claims)].astype(np.float32)  # (node, stem)
        rows[0] = 1.0
        return rows

    def known(self, claims: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        """Say which nodes' submixes are ground truth.

        A stem claimed by an inner node may belong to any node below it, so these are all unknown. An
        unclaimed stem belongs to no node, so it leaves all known.

        Args:
            claims: For each stem, the node that claims it, or None.

        Shape:
            output: (node,).
        """
        import numpy as np

        below = np.pad(self._holds & ~np.eye(len(self), dtype=bool), ((0, 1), (0, 0)))
        return np.logical_not(below[self._columns(claims)].any(axis=0))  # (node,)

    # --- smaller trees

    def subtree(self, id: str) -> Hierarchy:
        """Make a node the root. Labels of what is left stay; stems of other nodes become unclaimed.

        Raises:
            HierarchyError: If it is a leaf, or no node.
        """
        top = self.node(id)
        if top.is_leaf:
            raise HierarchyError(f"'{id}' is a leaf; name a node with children")
        left = (id, *self.descendants(id))
        deepest = max(self.node(other).depth for other in left)
        return self._cut(id, self.levels[top.depth : deepest + 1], {other: other for other in left})

    def collapse(self, level: str | int) -> Hierarchy:
        """Cut what lies below a level; its labels go to the node above that stays.

        Raises:
            HierarchyError: If there is no such level, or it is the root's.
        """
        depth = self.depth_of(level)
        if depth == 0:
            raise HierarchyError(f"level '{self.levels[0]}' is the root's; name a finer one")
        owners = {id: self.path(id)[: depth + 1][-1] for id in self.ids}
        return self._cut(self.root.id, self.levels[: depth + 1], owners)

    # --- inside

    def _cut(self, root: str, levels: tuple[str, ...], owners: Mapping[str, str]) -> Hierarchy:
        """Keep the nodes that own labels, with the labels of what they own."""
        kept = {id for id in self.ids if id in owners.values()}
        children = {id: [c for c in self.node(id).children if c in kept] for id in kept}
        display = {node.id: node.display for node in self.nodes}
        downward = sorted(owners, key=lambda id: [self.index(above) for above in self.path(id)])
        owners = {id: owners[id] for id in downward}  # a branch at a time, whatever is cut first
        order = [id for id in self.ids if id in kept]
        moved = (block.moved(owners, order) for block in self.blocks)
        blocks = tuple(block for block in moved if block.labels or block.dataset is not None)
        nodes = grow(root, children, levels=levels, display=display, blocks=blocks)
        return Hierarchy(self.name, levels, nodes, blocks)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {node.id: at for at, node in enumerate(self.nodes)}

    @cached_property
    def _holds(self) -> npt.NDArray[np.bool_]:
        """Whether the branch at a node (row) holds a node (column)."""
        import numpy as np

        holds = np.eye(len(self), dtype=bool)
        for at, node in enumerate(self.nodes):  # parents come first
            if node.parent is not None:
                holds[:, at] |= holds[:, self.index(node.parent)]
        return holds

    def _columns(self, claims: Sequence[str | None]) -> npt.NDArray[np.intp]:
        """Positions of the claiming nodes; -1 for no claim."""
        import numpy as np

        return np.array([-1 if id is None else self.index(id) for id in claims], dtype=np.intp)

    def _block(self, dataset: str | None) -> Block | None:
        if not self.blocks or self.blocks[0].dataset is None:
            return self.blocks[0] if self.blocks else None
        for block in self.blocks:
            if block.dataset == dataset:
                return block
        got = "no data set is named" if dataset is None else f"none for '{dataset}'"
        raise HierarchyError(
            f"hierarchy '{self.name}' has labels for {', '.join(self.datasets)}, {got}"
            f"{near_miss(dataset, self.datasets)}"
        )
