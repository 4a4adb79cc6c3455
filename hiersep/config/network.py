"""The networks of an experiment: what they separate, which backbone, how large, which masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hiersep.config.sections import Section
from hiersep.typed import expect

# What each backbone reads of the network's sizes, and its own for those that are left out: its paper's or asteroid's;
# but a small one for ``bandsplit`` (docs/networks.md has a large one too).
BACKBONE_SIZES: dict[str, dict[str, Any]] = {
    "blstm": {"hidden_size": 600, "num_layers": 4, "dropout": 0.3, "skip": False},
    "tdconvnet": {"width": 128, "hidden_size": 512, "num_layers": 8, "num_repeats": 3, "kernel_size": 3},
    "dprnn": {"width": 128, "hidden_size": 128, "num_repeats": 6, "chunk_size": 100},
    "bandsplit": {"width": 64, "hidden_size": 256, "num_layers": 4, "num_heads": 4, "num_bands": 32, "dropout": 0.1},
}


@dataclass(frozen=True)
class SeparatorConfig(Section):
    """What is separated.

    Attributes:
        kind: ``path``: the nodes of one path (SSS); ``query``: the levels above whatever an example asks for (QBE);
            ``tree``: nodes of a whole tree.
        levels: Names of the levels that ``query`` estimates, coarse to fine; None: all below the root.
    """

    kind: Literal["path", "query", "tree"] = "path"
    levels: list[str] | None = None

    def __post_init__(self) -> None:
        expected = "null, as only the kind query names levels; name the nodes in data.target"
        expect(self.levels is None or self.kind == "query", "separator.levels", expected, self.levels)


@dataclass(frozen=True)
class QueryConfig(Section):
    """The query network of query by example; the defaults are the paper's.

    Attributes:
        hidden_size: Units per direction of the LSTM.
        num_layers: LSTM layers.
        dropout: Probability between LSTM layers.
        embedding_size: Dimensions of a bin's embedding, and of the anchor.
        presence_db: A bin counts if it lies less than this below the loudest one; negative, in dB.
        anchor_scale: What the masking network hears the anchor multiplied by. At unit length it is little beside
            hundreds of normalised features, and hardly learned from.
    """

    hidden_size: int = 600
    num_layers: int = 2
    dropout: float = 0.3
    embedding_size: int = 20
    presence_db: float = -60.0
    anchor_scale: float = 1.0

    def __post_init__(self) -> None:
        limits = {"hidden_size": (16384, "units"), "num_layers": (64, "layers"), "embedding_size": (4096, "dimensions")}
        for name, (most, unit) in limits.items():
            expect(0 < getattr(self, name) <= most, f"query.{name}", f"1 to {most} {unit}", getattr(self, name))
        expect(0 <= self.dropout < 1, "query.dropout", "a probability in [0, 1)", self.dropout)
        expect(
            -200 <= self.presence_db < 0, "query.presence_db", "a negative level, at least -200 dB", self.presence_db
        )
        expect(0 < self.anchor_scale <= 1000, "query.anchor_scale", "more than 0, at most 1000", self.anchor_scale)


@dataclass(frozen=True)
class NetworkConfig(Section):
    """The masking network; the defaults are the paper's.

    A size that is None becomes the backbone's own, of `BACKBONE_SIZES`, where the backbone reads it.

    Attributes:
        backbone: The network between features and masks.
        hidden_size: Units per direction of an LSTM (``blstm``, ``dprnn``); channels inside a block (``tdconvnet``);
            units of the feed-forward networks (``bandsplit``).
        num_layers: LSTM layers; blocks of a repeat (``tdconvnet``); pairs of blocks (``bandsplit``).
        dropout: Probability between LSTM layers; in the blocks (``bandsplit``).
        skip: Lead each frame's features around the LSTM as well, as open-unmix does; learns faster on little data.
        width: Channels between blocks (``tdconvnet``, ``dprnn``); dimensions of a band (``bandsplit``).
        num_repeats: Repeats of the blocks (``tdconvnet``); pairs of LSTMs (``dprnn``).
        kernel_size: Taps of the convolutions in time (``tdconvnet``).
        chunk_size: Frames of a chunk (``dprnn``).
        num_heads: Heads of the attention (``bandsplit``).
        num_bands: Bands of the spectrum (``bandsplit``).
        mask: ``real`` masks lie in [0, 1]; ``complex`` ones change the phase too, and have no bound.
        constraint: ``max`` makes every level the running maximum of those below it; for real masks.
    """

    backbone: Literal["blstm", "tdconvnet", "dprnn", "bandsplit"] = "blstm"
    hidden_size: int | None = None
    num_layers: int | None = None
    dropout: float | None = None
    skip: bool | None = None
    width: int | None = None
    num_repeats: int | None = None
    kernel_size: int | None = None
    chunk_size: int | None = None
    num_heads: int | None = None
    num_bands: int | None = None
    mask: Literal["real", "complex"] = "real"
    constraint: Literal["none", "max"] = "max"

    def __post_init__(self) -> None:
        own = BACKBONE_SIZES[self.backbone]
        for name in sorted({name for sizes in BACKBONE_SIZES.values() for name in sizes}):
            if name not in own:
                expect(
                    getattr(self, name) is None,
                    f"network.{name}",
                    f"null, as the backbone {self.backbone} reads only {', '.join(own)}",
                    getattr(self, name),
                )
            elif getattr(self, name) is None:
                object.__setattr__(self, name, own[name])  # the dataclass is frozen; this is its making
        self._check_ranges()
        expect(
            self.mask == "real" or self.constraint == "none",
            "network.constraint",
            "none with complex masks, which have no maximum",
            self.constraint,
        )

    def _check_ranges(self) -> None:
        limits = {
            "hidden_size": (16384, "units"),
            "num_layers": (64, "layers"),
            "width": (16384, "channels"),
            "num_repeats": (64, "repeats"),
            "num_heads": (256, "heads"),
            "num_bands": (1024, "bands"),
        }
        for name, (most, unit) in limits.items():
            size = getattr(self, name)
            expect(size is None or 0 < size <= most, f"network.{name}", f"1 to {most} {unit}", size)
        taps = 1 if self.kernel_size is None else self.kernel_size
        frames = 2 if self.chunk_size is None else self.chunk_size
        expect(taps % 2 == 1 and 0 < taps < 100, "network.kernel_size", "an odd number of taps, 1 to 99", taps)
        expect(frames % 2 == 0 and 0 < frames <= 10000, "network.chunk_size", "an even number, 2 to 10000", frames)
        expect(0 <= (self.dropout or 0) < 1, "network.dropout", "a probability in [0, 1)", self.dropout)
        if self.width and self.num_heads:
            expected = f"an even number for each of {self.num_heads} heads"
            expect(self.width % (2 * self.num_heads) == 0, "network.width", expected, self.width)

    def sizes(self) -> dict[str, Any]:
        """Give the sizes that the backbone reads, by name."""
        return {name: getattr(self, name) for name in BACKBONE_SIZES[self.backbone]}
