"""How good an estimate is, in decibels. Batched torch; estimates before references.

*Conventions.* SI-SDR and SNR make signals zero-mean first, as nussl does. Channels are scored together, as one long
vector. Ratios lie within 120 dB of 0, so that one exact or empty output does not make a mean infinite. What has no
score is NaN, for the caller to count apart.

*Files.* `ratios`: SI-SDR, SNR, levels. `batch`: clips scored per item and node, those apart that say nothing of a
separator. `tracks`: whole songs by museval. `tree`: whether the outputs form a tree.
"""

from hiersep.metrics.batch import NOTHING_TO_SEPARATE_DB, BatchScores, score_batch
from hiersep.metrics.ratios import SILENT_DB, improvement, is_silent, relative_level_db, rms_db, si_sdr, snr
from hiersep.metrics.tracks import TrackScores, score_track, track_sdr
from hiersep.metrics.tree import Kinship, TreeScores, exceedance, score_tree, sum_error_db

__all__ = [
    "NOTHING_TO_SEPARATE_DB",
    "SILENT_DB",
    "BatchScores",
    "Kinship",
    "TrackScores",
    "TreeScores",
    "exceedance",
    "improvement",
    "is_silent",
    "relative_level_db",
    "rms_db",
    "score_batch",
    "score_track",
    "score_tree",
    "si_sdr",
    "snr",
    "sum_error_db",
    "track_sdr",
]
