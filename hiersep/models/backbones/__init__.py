"""Sequence networks between a spectrum's features and the mask head.

The protocol: features ``(batch, channel, freq, frame)`` and an optional condition ``(batch, dim)`` give
``(batch, frame, hidden)``, where ``hidden`` is the network's ``output_size``.
"""

from hiersep.models.backbones.blstm import BLSTM

__all__ = ["BLSTM"]
