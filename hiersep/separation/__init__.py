"""Apply a network to audio of any length, rate and number of channels.

`settings` says how; `segments` cross-fades what is made of the segments of a mixture; `passage` sends them through a
network in batches, so that the memory for the network's work is bounded by one. `arrays` and `files` take what they
separate from memory and from disk; `objects` are nussl's separation objects; `spans` are times as people write them.
"""

from hiersep.separation.arrays import separate
from hiersep.separation.files import output_files, write_estimates
from hiersep.separation.objects import HierarchicalSeparator, QueryByExampleSeparator, find_anchor
from hiersep.separation.passage import RESIDUAL, Passage, choose_device, choose_nodes
from hiersep.separation.settings import SeparationSettings
from hiersep.separation.spans import Excerpt, Span

__all__ = [
    "RESIDUAL",
    "Excerpt",
    "HierarchicalSeparator",
    "Passage",
    "QueryByExampleSeparator",
    "SeparationSettings",
    "Span",
    "choose_device",
    "choose_nodes",
    "find_anchor",
    "output_files",
    "separate",
    "write_estimates",
]
