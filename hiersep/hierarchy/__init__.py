"""Which stems sum to which node: an immutable tree, read from a file, in one node order.

A *node* is a source at some level of the tree; its submix is the sum of the stems it claims itself and
of its children's submixes. The root is the mixture. Level 0 is the root; every sequence of nodes runs
coarse to fine, breadth first, siblings in file order.

Floors: `nodes` and `labels` hold, `fields`, `branches` and `claims` check what a file says, `nested`
translates the authors' JSON, `loading` finds and reads, `tree` is the class.
"""

from hiersep.hierarchy.nodes import Node
from hiersep.hierarchy.tree import Hierarchy

__all__ = ["Hierarchy", "Node"]
