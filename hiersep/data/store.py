"""The stems of a data set at the working rate, as 16-bit integers in memory-mapped files: an excerpt is one slice.

A track is one *block*, (stem, channel, frame), in a file of its own, named by a digest of its stems' files: what is
there need not be written again, several processes may build and read at once, and a changed track has another name.
A stem's integers stand for steps of a power of two that holds its peak. So 16-bit audio at the working rate is kept
bit for bit, soft stems keep their detail, and stems above full scale keep their peaks.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiersep import audio
from hiersep.data.arrays import read_arrays
from hiersep.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

FORMAT = 1
FILE, BLOCKS, SUFFIX = "store.npz", "blocks", ".i16"
_STEPS = 2**15  # of an int16, up to full scale
_SMALLEST = 2.0**-64  # step; its inverse is a float32 too


@dataclass(frozen=True)
class Block:
    """What a track's file in the store holds.

    Attributes:
        channels: Of every stem.
        frames: Of every stem, at the working rate.
        scales: Per stem, the value of one step. Unit: full scale.
        crc: CRC-32 of the file.
    """

    channels: int
    frames: int
    scales: tuple[float, ...]
    crc: int

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return len(self.scales) * self.channels * self.frames * 2

    @classmethod
    def checked(cls, channels: object, frames: object, scales: tuple[object, ...], crc: object) -> Block:
        """Make it of what was kept in a file.

        Raises:
            ValueError: If nothing of the kind was written.
        """
        for name, value, least in (("channels", channels, 1), ("frames", frames, 0), ("crc", crc, 0)):
            if type(value) is not int or not least <= value < 2**63:
                raise ValueError(f"{name}: {value!r}")
        if not all(isinstance(scale, float) and 0 < scale < math.inf for scale in scales):
            raise ValueError(f"scales: {scales!r}")
        return cls(channels, frames, scales, crc)  # type: ignore[arg-type]


@dataclass(frozen=True)
class BlockPlan:
    """Where a track's block shall be, its channels, and what it holds if it was written before."""

    path: Path
    channels: int
    block: Block | None

    def there(self) -> Block | None:
        """Give the block if it lies there whole, by its length and checksum."""
        try:
            if self.block is None or self.path.stat().st_size != self.block.size:
                return None
            crc = 0
            with self.path.open("rb") as file:
                while part := file.read(1 << 22):
                    crc = zlib.crc32(part, crc)
        except OSError:
            return None
        return self.block if crc == self.block.crc else None


def quantise(samples: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int16], float]:
    """Round samples to 16-bit steps of the smallest power of two that holds their peak.

    Returns:
        The integers, and the value of a step.

    Shape:
        samples: any; output: the same.
    """
    highest, lowest = float(samples.max(initial=0.0)), float(samples.min(initial=0.0))
    peak = max(highest * _STEPS / (_STEPS - 1), -lowest)  # an int16 reaches one step further down than up
    scale = max(_SMALLEST, 2.0 ** math.ceil(math.log2(peak)) / _STEPS) if peak else 1.0 / _STEPS
    steps = np.rint(samples * np.float32(1 / scale))
    return np.clip(steps, -_STEPS, _STEPS - 1).astype(np.int16), scale


def write_block(plan: BlockPlan, stems: Sequence[tuple[npt.NDArray[np.int16], float]]) -> Block:
    """Write a track's block atomically; shorter stems end in zeros.

    Args:
        plan: Where to.
        stems: Integers and step of every stem. Shape: (channel, time).
    """
    frames = max(samples.shape[1] for samples, _ in stems)
    crc = 0
    with atomic_path(plan.path) as temporary, temporary.open("wb") as file:
        for samples, _ in stems:
            data = np.ascontiguousarray(audio.fit_length(samples, frames)).tobytes()
            crc = zlib.crc32(data, crc)
            file.write(data)
    return Block(plan.channels, frames, tuple(scale for _, scale in stems), crc)


@dataclass(frozen=True)
class Store:
    """The blocks of a catalog's tracks. A copy in another process opens the files itself.

    Attributes:
        folder: Where they lie.
        key: Of the catalog.
        channels: 1: means of the stems' channels; 2: a mono stem lies on both sides.
        names: Names of the files, per track.
        blocks: What they hold, per track.
    """

    folder: Path
    key: str
    channels: int
    names: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(block.size for block in self.blocks)

    def read(self, track: int, start: int, length: int, stem: int | None = None) -> npt.NDArray[np.float32]:
        """Read an excerpt of a track's stems, or of one; past the end is silence.

        Args:
            track: Index of the track.
            start: First frame.
            length: Number of frames.
            stem: Index of a stem; None reads all.

        Shape:
            output: (stem, channel, length).

        Raises:
            OSError, RuntimeError, ValueError: If the file is not there, was cut short, or cannot be mapped.
        """
        block, samples = self.blocks[track], self._map(track)
        stems = slice(None) if stem is None else slice(stem, stem + 1)
        scales = np.array(block.scales[stems], np.float32)[:, None, None]
        excerpt = samples[stems, :, start : start + length].astype(np.float32)
        excerpt *= scales  # in two steps: half the time that numpy takes for a product of two types
        return excerpt if excerpt.shape[-1] == length else np.asarray(audio.fit_length(excerpt, length))

    def _map(self, track: int) -> npt.NDArray[np.int16]:
        """Map a track's file, once: a new mapping of the same pages takes as long as reading an excerpt.

        Shape:
            output: (stem, channel, frame).
        """
        block, path = self.blocks[track], self.folder / self.names[track]
        if path.stat().st_size != block.size:
            raise ValueError(f"expected {block.size} bytes, got {path.stat().st_size}")
        if track not in self._maps:
            import torch  # maps without holding the file open, as Python's mmap would: files may be thousands

            mapped = torch.from_file(str(path), shared=False, size=block.size // 2, dtype=torch.int16).numpy()
            mapped.flags.writeable = False
            self._maps[track] = mapped.reshape(len(block.scales), self.channels, block.frames)
        return self._maps[track]

    @cached_property
    def _maps(self) -> dict[int, npt.NDArray[np.int16]]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_maps"}

    def save(self, path: Path) -> None:
        """Write what the store consists of, atomically."""
        tracks = [[name, b.frames, b.crc, len(b.scales)] for name, b in zip(self.names, self.blocks, strict=True)]
        header = json.dumps({"format": FORMAT, "key": self.key, "channels": self.channels, "tracks": tracks}).encode()
        scales = np.array([scale for block in self.blocks for scale in block.scales])
        with atomic_path(path) as temporary:
            np.savez(temporary, header=np.frombuffer(header, np.uint8), scales=scales)

    def holds(self, stems: Sequence[int]) -> bool:
        """Say whether it has so many stems per track, and all files are there in full length."""
        if [len(block.scales) for block in self.blocks] != list(stems):
            return False
        try:
            pairs = zip(self.names, self.blocks, strict=True)
            return all((self.folder / name).stat().st_size == block.size for name, block in pairs)
        except (OSError, ValueError):  # a name that cannot be one
            return False


def load_store(path: Path) -> Store | None:
    """Read what a store consists of; None where there is none, or its list is damaged or of another format."""
    try:
        arrays = read_arrays(path, {"header": np.uint8, "scales": np.float64})
        header, scales = json.loads(arrays["header"].tobytes()), arrays["scales"].tolist()
        if header["format"] != FORMAT:
            return None
        names, blocks = [], []
        first, channels = 0, header["channels"]
        for name, frames, crc, stems in header["tracks"]:
            if type(stems) is not int or not 0 <= stems <= len(scales) - first or not Path(name).name or "\0" in name:
                return None
            names.append(Path(name).name)
            blocks.append(Block.checked(channels, frames, tuple(scales[first : first + stems]), crc))
            first += stems
        return Store(path.parent / BLOCKS, str(header["key"]), int(channels), tuple(names), tuple(blocks))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
