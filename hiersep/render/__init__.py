"""Rendered data: MIDI files or composed songs played by soundfonts, as multitracks in Slakh2100's layout.

- `song`: parts and notes. `composer`: the seeded composer.
- `midi`: songs from MIDI files and to them.
- `doubling`: parts that a relative plays along. `soundfonts`, `orchestrate`: which sound plays a part.
- `synth`: FluidSynth. `effects`: what a studio does to a stem.
- `plan`: which song becomes which track. `multitrack`: one track. `run`: all of them.
"""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # where CI is set, pyfluidsynth prints which library it has found
    import pretty_midi  # noqa: F401  (which imports it)

from hiersep.render.plan import RenderSettings
from hiersep.render.run import RenderSummary, foresee, render
from hiersep.render.soundfonts import find_soundfonts

__all__ = ["RenderSettings", "RenderSummary", "find_soundfonts", "foresee", "render"]
