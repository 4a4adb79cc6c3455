"""All that a written mixture depends on, besides the data set, and the audio that it gives."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hiersep.data.mixing import mix_protected, realise
from hiersep.data.parallel import one_thread

if TYPE_CHECKING:
    import numpy.typing as npt

    from hiersep.data.catalog import Catalog
    from hiersep.data.events import MixtureSpec
    from hiersep.hierarchy import Hierarchy

    Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """All that a written mixture depends on, besides the data set.

    Attributes:
        spec: Its events.
        hierarchy: The tree.
        nodes: Nodes whose submixes are written, in the hierarchy's order.
        sample_rate: In Hz.
        channels: 1 or 2.
        audio: Format of the files: ``wav`` of 32 bits or ``flac`` of 24.
        seed: That decided the draw.
        index: Number of the mixture among those of the seed.
        ref_db: Loudness in LUFS that scaper's ``snr`` is over.
    """

    spec: MixtureSpec
    hierarchy: Hierarchy
    nodes: tuple[str, ...]
    sample_rate: int = 16000
    channels: int = 1
    audio: Literal["wav", "flac"] = "wav"
    seed: int = 0
    index: int = 0
    ref_db: float = -20.0


@dataclass(frozen=True)
class Rendition:
    """A recipe's audio. Unit: full scale; the peak is protected.

    Attributes:
        mixture: Shape: (channel, time).
        submixes: Of the recipe's nodes. Shape: (node, channel, time).
        events: What each event adds to the mixture. Shape: (event, channel, time).
        known: Whether a node's submix is ground truth. Shape: (node,).
        peak: What everything was divided by, so that no peak is above 1.
    """

    mixture: Samples
    submixes: Samples
    events: Samples
    known: npt.NDArray[np.bool_]
    peak: float

    @property
    def digest(self) -> str:
        """Digest of the mixture's and the submixes' samples."""
        digest = hashlib.sha256(np.ascontiguousarray(self.mixture).tobytes())
        digest.update(np.ascontiguousarray(self.submixes).tobytes())
        return digest.hexdigest()


def render_recipe(catalog: Catalog, recipe: Recipe) -> Rendition:
    """Make the audio of a recipe.

    A store is left aside and one thread sums, so that it comes out alike with or without a store, in any process.
    """
    stems = realise(dataclasses.replace(catalog, store=None), recipe.spec, recipe.channels)
    rows = [recipe.hierarchy.index(node) for node in recipe.nodes]
    membership = recipe.hierarchy.membership(recipe.spec.claims)[rows]
    known = recipe.hierarchy.known(recipe.spec.claims)[rows]
    with one_thread():
        mixture, submixes, peak = mix_protected(stems, membership)
    return Rendition(mixture, submixes, stems / np.float32(peak), known, peak)


def audible(rendition: Rendition, recipe: Recipe) -> list[int]:
    """List the events that scaper's annotation holds: those that are not silent, by their beginning."""
    events = recipe.spec.events
    heard = [number for number in range(len(events)) if rendition.events[number].any()]
    return sorted(heard, key=lambda number: round(events[number].event_time * recipe.sample_rate))
