"""One rendered track in Slakh2100's layout.

Stems are normalised to -13 LUFS and turned up or down by their voices' levels; then one gain per track puts the
mixture's peak at -1 dBFS. The mixture is the sum of the stems as they are written, to the last bit of the 16.
"""

from __future__ import annotations

import math
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pretty_midi
import yaml
from joblib import Parallel, delayed

from hiersep import audio
from hiersep.files import atomic_path
from hiersep.render.effects import apply_effects
from hiersep.render.midi import write_midi
from hiersep.render.orchestrate import KINDS, inst_class
from hiersep.render.synth import synthesize

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from hiersep.render.orchestrate import Voice
    from hiersep.render.plan import Plan, RenderSettings, TrackPlan
    from hiersep.render.song import Part

    Samples = npt.NDArray[np.float32]

STEM_LUFS = -13.0
PEAK_DBFS = -1.0
SILENT_PEAK = 1e-5  # a stem below is not written
SILENT_LUFS = -70.0  # loudness given for a stem that is not written: the absolute gate of BS.1770
FULL_SCALE = 32768
_NAMESPACE = uuid.UUID("6f1a2a52-6a1c-5d0e-9a52-3f6b0c0a7f11")


def render_stem(
    part: Part, voice: Voice | None, frames: int, sample_rate: int, *, effects_seed: tuple[int, ...] | None = None
) -> Samples | None:
    """Play a part and bring it to its loudness.

    Args:
        part: What is played.
        voice: The sound and its level; None: none.
        frames: Length wanted.
        sample_rate: In Hz.
        effects_seed: Decides the effects; None: none.

    Returns:
        Samples before the track's gain; None where nothing is heard.

    Shape:
        output: (frames,).

    Raises:
        DataError: If the soundfont cannot be read or lacks the preset.
    """
    if voice is None:
        return None
    samples = synthesize(part, voice, frames, sample_rate)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < SILENT_PEAK:
        return None
    samples /= np.float32(peak)  # near the target, so that the gates of the measurement stay where they are
    if effects_seed is not None:
        samples = apply_effects(samples, sample_rate, part.kind, np.random.default_rng(effects_seed))
    loudness = audio.loudness(samples[None], sample_rate)
    if math.isinf(loudness):
        return None
    samples *= np.float32(10 ** ((STEM_LUFS + voice.level_db - loudness) / 20))
    return samples


def _overall_gain(stems: list[Samples]) -> float:
    """Give the gain that puts the peak of the stems' sum at -1 dBFS, or less where a stem alone would clip."""
    if not stems:
        return 1.0
    mixture_peak = float(np.abs(np.sum(stems, axis=0)).max())
    stem_peak = max(float(np.abs(stem).max()) for stem in stems)
    limits = [10 ** (PEAK_DBFS / 20) / mixture_peak] if mixture_peak > 0 else []
    return min([*limits, (1 - 1 / FULL_SCALE) / stem_peak])


def _write_pcm16(path: Path, steps: npt.NDArray[np.int32], sample_rate: int) -> None:
    audio.write(path, steps / FULL_SCALE, sample_rate)  # exact: soundfile lets libsndfile scale by 2 ** 15


def write_stem(path: Path, samples: Samples, gain: float, sample_rate: int) -> npt.NDArray[np.int32]:
    """Write a stem as 16 bits.

    Args:
        path: Where to.
        samples: As `render_stem` gives them.
        gain: The track's.
        sample_rate: In Hz.

    Returns:
        What is written, in steps of the 16 bits.

    Shape:
        samples: (frames,); output: (frames,).
    """
    steps: npt.NDArray[np.int32] = np.rint(samples * np.float32(gain * FULL_SCALE)).astype(np.int32)
    _write_pcm16(path, steps, sample_rate)
    return steps


def _write_audio(folder: Path, stems: list[Samples | None], gain: float, frames: int, settings: RenderSettings) -> None:
    (folder / "stems").mkdir()
    mixture = np.zeros(frames, np.int32)
    for index, stem in enumerate(stems):
        if stem is not None:
            mixture += write_stem(
                folder / "stems" / f"S{index:02d}.{settings.format}", stem, gain, settings.sample_rate
            )
    _write_pcm16(folder / f"mix.{settings.format}", mixture, settings.sample_rate)


def _stem_metadata(part: Part, voice: Voice | None, *, rendered: bool) -> dict[str, Any]:
    if voice is not None:
        program, loudness = voice.program, round(STEM_LUFS + voice.level_db, 2)
    else:
        program = KINDS[part.kind][0] if part.kind in KINDS else int(part.kind.removeprefix("program_"))
        loudness = SILENT_LUFS
    return {
        "audio_rendered": rendered,
        "inst_class": inst_class(program),
        "integrated_loudness": loudness if rendered else SILENT_LUFS,
        "is_drum": part.is_drum,
        "midi_program_name": "Drums" if part.is_drum else pretty_midi.program_to_instrument_name(program),
        "midi_saved": True,
        "plugin_name": voice.plugin_name if voice is not None else "none",
        "program_num": program,
    }


def render_track(folder: Path, track: TrackPlan, plan: Plan, *, threads: int = 1) -> None:
    """Render one track and put its folder in place when it is whole.

    Args:
        folder: Where; what stands there is replaced.
        track: Which.
        plan: What it belongs to.
        threads: Stems played at the same time; the bytes do not depend on it.

    Raises:
        DataError: If the folder cannot be written, or a soundfont or MIDI file has gone bad since it was planned.
    """
    settings = plan.settings
    arrangement = plan.arrange(track)
    song, voices = arrangement.song, arrangement.voices
    frames = round(song.duration * settings.sample_rate)
    stems: list[Samples | None] = Parallel(n_jobs=threads, require="sharedmem")(
        delayed(render_stem)(
            part,
            voice,
            frames,
            settings.sample_rate,
            effects_seed=plan.seed(track, 1 + index) if settings.effects else None,
        )
        for index, (part, voice) in enumerate(zip(song.parts, voices, strict=True))
    )
    gain = _overall_gain([stem for stem in stems if stem is not None])
    metadata = {
        "UUID": str(uuid.uuid5(_NAMESPACE, f"{settings.seed}/{track.source.name}/{track.rendering}")),
        "audio_dir": "stems",
        "lmd_midi_dir": track.source.name,
        "midi_dir": "MIDI",
        "normalization_factor": STEM_LUFS,
        "normalized": True,
        "overall_gain": gain,
        "stems": {
            f"S{index:02d}": _stem_metadata(part, voice, rendered=stem is not None)
            for index, (part, voice, stem) in enumerate(zip(song.parts, voices, stems, strict=True))
        },
        "target_peak": PEAK_DBFS,
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_midi(temporary, song, voices)
        _write_audio(temporary, stems, gain, frames, settings)
        (temporary / "metadata.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")


def count_stems(folder: Path, suffix: str) -> int | None:
    """Count the stems of a finished track that have audio; None where the track is not there or not whole.

    Args:
        folder: The track's.
        suffix: Of its audio files: ``flac`` or ``wav``.
    """
    try:
        metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
        stems = {name: bool(stem["audio_rendered"]) for name, stem in metadata["stems"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return None
    files = [folder / f"mix.{suffix}", folder / "all_src.mid"]
    files += [folder / "MIDI" / f"{name}.mid" for name in stems]
    files += [folder / "stems" / f"{name}.{suffix}" for name, rendered in stems.items() if rendered]
    return sum(stems.values()) if all(file.is_file() for file in files) else None
