"""The row of a filter that does not listen: one gain per node and frequency, fitted on the training songs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from hiersep.data.dataset import HierarchicalMixtureDataset
from hiersep.data.sampling import SALIENT_DB
from hiersep.errors import DataError
from hiersep.evaluation.clips import finest
from hiersep.metrics import rms_db
from hiersep.models.oracle import fit_static_masks
from hiersep.stft import STFT

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hiersep.config import EvaluationConfig
    from hiersep.models.separator import Separator


def fit_static(
    model: Separator,
    folder: str | os.PathLike[str],
    nodes: Sequence[str],
    settings: EvaluationConfig,
    *,
    device: str = "cpu",
) -> dict[str, torch.Tensor]:
    """Fit the static masks of nodes on clips of the split ``train``, each where it is known and salient.

    The finest nodes take turns in the clips, so that rare ones are heard too. A node that is salient nowhere there gets
    a mask of ones: of a sound that it never heard, a filter knows nothing.

    Args:
        model: The network, for its hierarchy, rate and STFT.
        folder: The data set, unless the settings name another for this.
        nodes: Whose masks.
        settings: How many clips, how long, by which seed.
        device: Where the transforms run.

    Shape:
        output: (1, freq, 1) per node.

    Raises:
        DataError: If the data set has no split ``train``, or is damaged meanwhile.
    """
    splits = settings.splits if settings.static_data is None else None
    place = folder if settings.static_data is None else settings.static_data
    try:
        dataset = HierarchicalMixtureDataset(
            place,
            model.hierarchy,
            split="train",
            splits=splits,
            target=list(nodes),
            salient=finest(model.hierarchy, nodes, place),
            balanced=True,
            duration=settings.duration,
            sample_rate=int(model.sample_rate),
            channels=settings.channels,
            num_mixtures=settings.num_static,
            seed=settings.seed,
        )
    except DataError as error:
        raise DataError(f"static masks, which are fitted on training songs: {error}; or name a data set that has them "
                        "(static_data, --static-data)") from error  # fmt: skip
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=1)
    bar = tqdm(loader, desc="Fitting static masks", unit="clip", disable=None)
    stft = STFT(model.stft.n_fft, model.stft.hop_length).to(device)

    def heard(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        sources = batch["sources"].to(device)
        return batch["mix"].to(device), sources, batch["known"].to(device) & (rms_db(sources) > SALIENT_DB)

    with torch.inference_mode():
        masks = fit_static_masks(map(heard, bar), stft).nan_to_num(nan=1.0)  # (node, 1, freq, 1)
    _refuse_damage(dataset)
    return dict(zip(dataset.nodes, masks, strict=True))


def _refuse_damage(dataset: HierarchicalMixtureDataset) -> None:
    """Refuse masks that were fitted to files while these were damaged."""
    for catalog in dataset.catalogs:
        if catalog.named:
            raise DataError(
                f"{catalog.folder}: {len(catalog.named)} files were damaged while static masks were fitted to them; "
                "bring them back, and run the same command again"
            )
