"""Apply a network to audio of any length, rate and number of channels.

`segments` cuts a mixture into equal segments and cross-fades what is made of them; `arrays` sends them through a
network in batches, so that the memory for the network's work is bounded by one; `objects` are nussl's separation
objects.
"""

from hiersep.separation.arrays import Passage, choose_device, choose_nodes, separate, write_estimates
from hiersep.separation.objects import HierarchicalSeparator, QueryByExampleSeparator, find_anchor
from hiersep.separation.segments import Segmenting

__all__ = [
    "HierarchicalSeparator",
    "Passage",
    "QueryByExampleSeparator",
    "Segmenting",
    "choose_device",
    "choose_nodes",
    "find_anchor",
    "separate",
    "write_estimates",
]
