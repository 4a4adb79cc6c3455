"""Sequence networks between a spectrum's features and the mask head.

The protocol: features ``(batch, channel, freq, frame)`` and an optional condition ``(batch, dim)`` give
``(batch, frame, hidden)``, where ``hidden`` is the network's ``output_size``. `make_backbone` makes the one that a
`NetworkConfig` names.
"""

from hiersep.models.backbones.bandsplit import BandSplit
from hiersep.models.backbones.base import Backbone
from hiersep.models.backbones.blstm import BLSTM
from hiersep.models.backbones.factory import make_backbone
from hiersep.models.backbones.masknn import DPRNN, TDConvNet

__all__ = ["BLSTM", "DPRNN", "Backbone", "BandSplit", "TDConvNet", "make_backbone"]
