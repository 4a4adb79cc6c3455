"""Find a checkpoint by what people call it: a path, a shipped network's name, or a name on the Hugging Face hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from hiersep import __version__
from hiersep.errors import CheckpointError, near_miss, printable
from hiersep.models.header import Header, read_header

SHIPPED = Path(__file__).with_name("pretrained")
SUFFIX = ".safetensors"
HUB_FILE = f"model{SUFFIX}"  # what a repository's weights are called by custom

_HUB = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?(:(?P<file>[\w./ -]+))?", re.ASCII
)
# A name that ends like a file's is a path, and a mistyped one is not asked for in the wide world.
_FILE_SUFFIXES = {SUFFIX, ".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".zip", ".npz", ".h5", ".onnx", ".gguf"}


class HubName(NamedTuple):
    """A checkpoint on the Hugging Face hub.

    Attributes:
        repository: ``user/model``.
        revision: A branch, tag or commit; None for the main branch.
        file: Path within the repository.
    """

    repository: str
    revision: str | None
    file: str


def locate(name: str | os.PathLike[str]) -> Path:
    """Find a checkpoint's file; what lies on the hub is downloaded, or taken from the hub's cache.

    Args:
        name: A path; a shipped name, see `list_pretrained`; or a hub name,
            ``user/model[@revision][:file.safetensors]``. What exists as a path is that path.

    Returns:
        Path of a file, or of nothing: that a path leads nowhere is said where it is read.

    Raises:
        CheckpointError: If no path, shipped network or hub file is called so, or the hub cannot be asked.
    """
    text = os.fspath(name)
    path = Path(text)
    shipped = _shipped()
    if text in shipped and not path.is_file():  # a folder of this name, of its results perhaps, does not hide it
        return shipped[text]
    if os.path.lexists(text) or (path.suffix in _FILE_SUFFIXES and ":" not in text):
        return path
    hub_name = parse_hub_name(text)
    if hub_name is not None:
        return _download(hub_name)
    known = f"shipped are {', '.join(shipped)}" if shipped else "none is shipped"
    raise CheckpointError(
        f"{printable(text)}: no such file, and no shipped network of this name{near_miss(text, shipped)}; {known}; on "
        "the Hugging Face hub they are called user/model"
    )


def list_pretrained() -> dict[str, str]:
    """List the shipped networks: names, each with a line that describes it.

    Raises:
        CheckpointError: If a shipped file is damaged.
    """
    return {name: _description(read_header(path)) for name, path in _shipped().items()}


def parse_hub_name(text: str) -> HubName | None:
    """Read ``user/model[@revision][:file.safetensors]``; None for what is no such name.

    Raises:
        CheckpointError: If it names a file that is no safetensors file, or lies outside of the repository.

    Example:
        >>> parse_hub_name("user/model@v1")
        HubName(repository='user/model', revision='v1', file='model.safetensors')
        >>> parse_hub_name("exp/first/model")
    """
    match = _HUB.fullmatch(text)
    if match is None:
        return None
    name = HubName(match["repository"], match["revision"], match["file"] or HUB_FILE)
    steps = {*name.file.split("/"), *(name.revision or "main").split("/")}
    if not name.file.endswith(SUFFIX) or steps & {"", ".", ".."}:
        raise CheckpointError(
            f"{text}: expected a file *{SUFFIX} within the repository, got {name.file}; no other is loaded"
        )
    return name


def _download(name: HubName) -> Path:
    """Fetch one file, or find it in the hub's cache."""
    import huggingface_hub
    from huggingface_hub import errors

    at = f"{name.repository}{f'@{name.revision}' if name.revision else ''}"
    try:
        path = huggingface_hub.hf_hub_download(
            name.repository,
            name.file,
            revision=name.revision,
            library_name="hiersep",
            library_version=__version__,
        )
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{at}: no such file here, and no such repository on the Hugging Face hub, or none that you may read; "
            "check the name, or log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{at}: the repository has no such revision; name a branch, tag or commit") from error
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{at}: no such file here, and the Hugging Face hub cannot be reached; go online, or download {name.file} "
            "elsewhere and name its path"
        ) from error
    except errors.EntryNotFoundError as error:
        raise CheckpointError(
            f"{at}: the repository holds no {name.file}; name the file, {name.repository}:FILE{SUFFIX}"
        ) from error
    except Exception as error:  # of the client, and of the HTTP client below it, which changes with its version
        raise CheckpointError(f"{at}: cannot be had from the Hugging Face hub ({printable(error)[:200]})") from error
    return Path(path)


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{SUFFIX}"))}


def _description(header: Header) -> str:
    """What its maker says of it, or else what it estimates."""
    arguments = header.about["arguments"]
    given = header.about["provenance"].get("description")
    outputs = arguments.get("nodes") or arguments.get("levels") or ["every level"]
    return printable(given or f"{header.about['network']}: {', '.join(map(str, outputs))}")
