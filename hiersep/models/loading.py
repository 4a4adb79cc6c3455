"""From what people call a model to what takes mixtures apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hiersep.errors import ConfigError
from hiersep.models.checkpoint import from_pretrained
from hiersep.models.foreign import LIBRARIES, ForeignSeparator, load_foreign
from hiersep.models.joint import JointSeparator
from hiersep.models.separator import MaskingSeparator

if TYPE_CHECKING:
    from hiersep.models.separator import Separator


def load_separator(models: Any) -> Separator:
    """Load a model, or several as one.

    Args:
        models: What takes mixtures apart already, or a name: a checkpoint's file, a shipped network, ``user/model`` on
            the hub, or another library's model, as `load_foreign` has them. Or several networks, or checkpoints' names,
            in a list; they must go together as `JointSeparator` says.

    Raises:
        CheckpointError: If a checkpoint cannot be loaded.
        ConfigError: If it is nothing of the kind, several do not go together, or a foreign model cannot be loaded.
    """
    several = list(models) if isinstance(models, list | tuple) else [models]
    if len(several) == 1:
        return _load(several[0])
    networks = [_load(model) for model in several]
    for network in networks:
        if not isinstance(network, MaskingSeparator):
            raise ConfigError(f"model: expected networks of hiersep's, got a {type(network).__name__}; use it alone")
    return JointSeparator(networks)  # type: ignore[arg-type]


def _load(model: Any) -> Separator:
    if isinstance(model, MaskingSeparator | JointSeparator | ForeignSeparator):
        return model
    if not isinstance(model, str | os.PathLike):
        raise ConfigError(
            f"model: expected a network, a checkpoint's path or name, or a list of these, got {type(model).__name__}"
        )
    name = os.fspath(model)
    return load_foreign(name) if name.partition(":")[0] in LIBRARIES else from_pretrained(name)
