"""The seeded composer: songs with a form and a cast of 5-10 parts in some twenty styles.

Not music to be proud of, but with what matters for learning: instruments of one family sound together for much of
a song, parts drop out and come back, and no two songs share a cast, a groove or a tune.

- `styles` (and ``styles.yaml``): who plays what, how fast, in which metre.
- `harmony`: keys, chords, voicings. `form`: sections, bars, and who plays in them.
- `rhythm`: rhythms, drums, basses. `patterns`: everyone else. `expression`: what a player does to a written note.
- `compose`: a song from a seed.
"""

from hiersep.render.composer.compose import compose

__all__ = ["compose"]
