"""From the configuration to a separator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiersep.models.path import PathSeparator
from hiersep.models.query import QuerySeparator
from hiersep.models.tree import TreeSeparator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiersep.config import ExperimentConfig
    from hiersep.hierarchy import Hierarchy
    from hiersep.models.separator import MaskingSeparator


def make_separator(config: ExperimentConfig, hierarchy: Hierarchy, nodes: Sequence[str]) -> MaskingSeparator:
    """Make the network of an experiment, of its kind and in its sizes.

    Args:
        config: The experiment.
        hierarchy: Of its data.
        nodes: The data set's node axis: nodes, or levels where it brings queries.

    Raises:
        ConfigError: If the nodes do not fit the kind, or a setting makes no network.
    """
    options: dict[str, Any] = {
        "sample_rate": config.data.sample_rate,
        "spectrum": config.spectrum,
        "network": config.network,
    }
    if config.separator.kind == "query":
        return QuerySeparator(hierarchy, nodes, query=config.query, **options)
    return {"path": PathSeparator, "tree": TreeSeparator}[config.separator.kind](hierarchy, nodes, **options)
