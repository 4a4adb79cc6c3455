"""What a request does: the networks that may be chosen, and one mixture taken apart by one of them."""

from __future__ import annotations

import shutil
import threading
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hiersep import audio
from hiersep.app.uploads import MOST_EXAMPLE_S, naming, stem_of
from hiersep.errors import ConfigError, DataError, HiersepWarning, near_miss
from hiersep.files import clock, size_text
from hiersep.models.loading import load_separator
from hiersep.models.locating import list_pretrained
from hiersep.models.query import QuerySeparator
from hiersep.separation import (
    Excerpt,
    Passage,
    Span,
    choose_nodes,
    find_anchor,
    write_estimates,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import numpy as np
    import numpy.typing as npt
    import torch

    from hiersep.app.sessions import Session
    from hiersep.app.uploads import Upload
    from hiersep.audio import Slices
    from hiersep.models.separator import Separator

_MOST_BYTES_PER_SAMPLE = 4  # of any format that is written
_FORMAT_WORDS = {"32f": "32-bit float", "24": "24 bits", "16": "16 bits", None: ""}


class Networks:
    """The networks that may be chosen. They are loaded when they are first asked for, and the last few are kept.

    Args:
        models: Others than the shipped ones, as `load_separator` takes them; they come first.

    Attributes:
        descriptions: What each is, by its name; of others than the shipped ones nothing.

    Raises:
        CheckpointError: If one cannot be loaded.
        ConfigError: If one cannot be loaded, two are named alike, or there is none at all.

    Example:
        >>> sorted(Networks().descriptions)
        ['guitar-path', 'query', 'tree']
    """

    KEPT = 3

    def __init__(self, models: Sequence[str] = ()):
        self._loaded: dict[str, Separator] = {}
        self._lock = threading.Lock()
        shipped = list_pretrained()
        self._sources: dict[str, str] = {}
        for model in models:
            name = Path(model).name
            if name in self._sources:
                raise ConfigError(f"{model}: another network is named {name} too; rename one")
            self._sources[name] = model
        self.descriptions = {name: shipped.get(source, "") for name, source in self._sources.items()}
        for name, description in shipped.items():
            self._sources.setdefault(name, name)
            self.descriptions.setdefault(name, description)
        if not self._sources:
            raise ConfigError("model: expected a checkpoint, as none is shipped, got none; name one")
        for name in list(self._sources)[: len(models)]:
            self[name]  # found wanting now, and not when a visitor asks for it

    def __getitem__(self, name: str) -> Separator:
        """Load a network, or take it from those that were loaded last.

        Raises:
            CheckpointError: If it cannot be loaded.
            ConfigError: If there is none of this name.
        """
        if name not in self._sources:
            hint = near_miss(name, self._sources)
            raise ConfigError(f"model: expected one of {', '.join(self._sources)}, got {name!r}{hint}")
        with self._lock:
            network = self._loaded.pop(name) if name in self._loaded else load_separator(self._sources[name])
            self._loaded[name] = network  # the last one, as it was asked for last
            while len(self._loaded) > self.KEPT:
                del self._loaded[next(iter(self._loaded))]
            return network


def format_names() -> dict[str, tuple[str, str | None]]:
    """Name what results are written as, for people: kind and bits, as `hiersep.audio.FileFormat.of` takes them.

    Example:
        >>> format_names()["flac, 24 bits"]
        ('flac', '24')
    """
    return {", ".join(filter(None, (kind, _FORMAT_WORDS[bits]))): (kind, bits) for kind, bits in
            audio.FileFormat.choices()}  # fmt: skip


class Order(NamedTuple):
    """What is asked for.

    Attributes:
        model: The network's name.
        nodes: Nodes or levels of it.
        span: Of the mixture, as an example of what is wanted: ``0:10-0:15``; empty: none.
        residual: Whether what the nodes leave is wanted too.
        report: Whether a page is wanted too that holds all of it, to keep.
        kind: What is written, as `FileFormat.of` takes it.
        bits: Likewise.
    """

    model: str
    nodes: Sequence[str]
    span: str = ""
    residual: bool = False
    report: bool = False
    kind: str = "wav"
    bits: str | None = None


@dataclass(frozen=True)
class Stems:
    """What was made of a mixture, by names of files that the session has.

    Attributes:
        files: Sounds by node, coarse to fine.
        archive: All of them.
        report: The page, if one was wanted.
        warnings: What is to be said of them, a line each.
    """

    files: dict[str, str]
    archive: str
    report: str | None = None
    warnings: tuple[str, ...] = ()


def take_apart(session: Session, networks: Networks, order: Order, *, device: str | None = None) -> Stems:
    """Do what the commands ``hiersep separate`` and ``hiersep query`` do, in a session's folder.

    Args:
        session: Its mixture is taken apart; its examples are what a network is asked by that takes some.
        networks: Of which one is chosen.
        order: What is asked for.
        device: Where to run. Default: the fastest at hand.

    Raises:
        HiersepError: If anything that was brought or asked for cannot be used; the message names files as their owners
            do.
    """
    mixture, examples = session.mixture, list(session.examples)
    if mixture is None:
        raise DataError("mixture: expected an audio file, got none; choose one")
    network = networks[order.model]
    names = {upload.path: upload.name for upload in (mixture, *examples)} | {session.folder: mixture.name}
    with session.working(), naming(names), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", HiersepWarning)
        passage = _Attentive(
            session,
            network,
            nodes=choose_nodes(network, order.nodes),
            condition=find_condition(network, mixture, examples, order.span),
            device=device,
        )
        need_space(session.folder, mixture, len(passage.nodes) + order.residual)
        folder = session.new_path("result")
        try:
            paths, page = _write_all(folder, passage, order, mixture, examples)
            archive = pack([*paths, *page], folder / f"{stem_of(mixture.name)}.zip")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if session.mixture is not mixture:
            raise DataError(f"{mixture.name}: another mixture was chosen meanwhile; press Separate again")
        session.keep(folder, [*paths, *page, archive])
    return Stems(
        files={path.stem: path.name for path in paths},
        archive=archive.name,
        report=page[0].name if page else None,
        warnings=tuple(_without_folder(warning.message, folder) for warning in caught),
    )


def _write_all(
    folder: Path, passage: Passage, order: Order, mixture: Upload, examples: Sequence[Upload]
) -> tuple[list[Path], list[Path]]:
    """Write the stems, and beside them, if it is wanted, the page that ``hiersep separate --report`` writes."""
    out, file_format = folder / stem_of(mixture.name), audio.FileFormat.of(order.kind, order.bits)
    paths = write_estimates(mixture.path, passage, out, file_format=file_format, residual=order.residual)
    if not order.report:
        return paths, []
    from hiersep.report import report_folder  # takes a second, and not everyone wants one

    called = folder / "uploaded" / stem_of(mixture.name)  # by which the page is headed
    called.parent.mkdir()
    called.hardlink_to(mixture.path)
    query = examples[0].path if examples and isinstance(passage.model, QuerySeparator) else None
    return paths, [report_folder(called, out, query=query)]


class _Attentive(Passage):
    """A passage that goes no further when the visit has ended for which it is made."""

    def __init__(self, session: Session, model: Separator, **options: Any):
        super().__init__(model, **options)
        self._session = session

    def waveforms(self, mixture: npt.NDArray[Any] | Slices) -> Iterator[npt.NDArray[np.float32]]:
        """Estimate as any passage does."""
        for stretch in super().waveforms(mixture):
            if self._session.ended:
                raise DataError("this visit has ended; load the page again")
            yield stretch


def find_condition(network: Separator, mixture: Upload, examples: Sequence[Upload], span: str) -> torch.Tensor | None:
    """Find what a network is asked by that is asked by examples, which may be a span of the mixture.

    Raises:
        ConfigError: If the span is none.
        DataError: If there is no example, or one is silent.
    """
    if not isinstance(network, QuerySeparator):
        return None
    likes: list[Any] = [upload.path for upload in examples]
    if span.strip():
        excerpt = Span.of(span)
        if excerpt.stop_s is not None and excerpt.stop_s - excerpt.start_s > MOST_EXAMPLE_S:
            raise ConfigError(f"example: expected at most {clock(MOST_EXAMPLE_S)} of the mixture, got {span}")
        likes.append(Excerpt(mixture.path, excerpt))
    if not likes:
        raise DataError("example: expected some seconds of the wanted sound alone, got none; choose a file, or a span")
    return find_anchor(network, likes)


def need_space(folder: Path, mixture: Upload, nodes: int) -> None:
    """Make sure that all results have room, once as they are and once in an archive.

    Raises:
        DataError: If they have not.
    """
    needed = 2 * nodes * mixture.sound.frames * mixture.sound.channels * _MOST_BYTES_PER_SAMPLE
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{mixture.name}: expected up to {size_text(needed)} of room for {nodes} nodes, got {size_text(free)}; "
            "choose fewer nodes"
        )


def pack(paths: Sequence[Path], archive: Path) -> Path:
    """Put files into an archive, in a folder named after it; sound hardly shrinks, so nothing is compressed."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in paths:
            file.write(path, f"{archive.stem}/{path.name}")
    return archive


def _without_folder(message: object, folder: Path) -> str:
    """Tell a warning without the place where this app keeps its files."""
    return str(message).replace(f"{folder}/", "")
