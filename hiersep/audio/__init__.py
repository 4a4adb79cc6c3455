"""The only door for audio: read, write, resample and measure it.

Arrays are float32, ``(channel, time)``, full scale 1.0 = 0 dBFS. Reading goes through libsndfile, and for a stream of
a container of several (``.stem.mp4``), or what libsndfile does not read, through ffmpeg; resampling through soxr,
loudness through pyloudnorm (ITU-R BS.1770-4). `blocks` has all of it for audio that is larger than memory.
"""

from hiersep.audio.blocks import Slices, file_blocks, fit_blocks, resample_blocks
from hiersep.audio.containers import need_ffmpeg
from hiersep.audio.header import AudioInfo
from hiersep.audio.loudness import loudness
from hiersep.audio.reading import SUFFIXES, decoded, info, read
from hiersep.audio.resampling import fit_length, resample
from hiersep.audio.writing import STEPS, FileFormat, Writer, write

__all__ = [
    "STEPS",
    "SUFFIXES",
    "AudioInfo",
    "FileFormat",
    "Slices",
    "Writer",
    "decoded",
    "file_blocks",
    "fit_blocks",
    "fit_length",
    "info",
    "loudness",
    "need_ffmpeg",
    "read",
    "resample",
    "resample_blocks",
    "write",
]
