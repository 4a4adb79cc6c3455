"""Experiments as typed dataclasses, read from strict YAML.

A file has one mapping per section (``render``, ``data``, ``separator``, ``spectrum``, ``network``,
``query``, ``training``, ``evaluation``, ``songs``);
``base:`` names another file, relative to this one, of which only the differences are written here. Command-line
overrides are dotted: ``--training.learning_rate 1.0e-3``. Every default stands here and nowhere else; an unknown
key, a wrong type and a value out of range are errors that name the place.
"""

from hiersep.config.experiment import SECTIONS, ExperimentConfig, as_yaml, load_experiment
from hiersep.config.network import BACKBONE_SIZES, NetworkConfig, QueryConfig, SeparatorConfig
from hiersep.config.sections import (
    DataConfig,
    EvaluationConfig,
    RenderConfig,
    Section,
    SongsConfig,
    SpectrumConfig,
)
from hiersep.config.training import StageConfig, TrainingConfig

__all__ = [
    "BACKBONE_SIZES",
    "SECTIONS",
    "DataConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "NetworkConfig",
    "QueryConfig",
    "RenderConfig",
    "Section",
    "SeparatorConfig",
    "SongsConfig",
    "SpectrumConfig",
    "StageConfig",
    "TrainingConfig",
    "as_yaml",
    "load_experiment",
]
