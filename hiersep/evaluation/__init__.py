"""Score a separator so that the score means something.

Beside the network stand, on the same clips, the *mixture* itself, the *static* mask (one gain per frequency, fitted on
the training split: what a fixed filter reaches) and the *oracles* (masks that know the answer). A network's worth is
what it adds to the static row.

*Scored clips.* A clip is scored at a level only where the levels differ: the node is salient (RMS above -30 dBFS), and
so are both remainders, its parent in the hierarchy minus the node, and the mixture minus its topmost ancestor (above
-40 dBFS). All other clips are counted apart, by reason.

*Files.* `clips`: which clips. `items`: their audio. `static`: the filter. `scoring`: a batch. `lines`: what is kept of
a clip and a node. `run`: all of them, in parallel. `summary`: figures. `tables`: Markdown. `results`: the folder.
`comparison`: one network against another. `songs`, `song_scores`, `song_tables`: whole songs, as MUSDB18's results are
given. `workers`: processes.
"""

from hiersep.evaluation.comparison import compare
from hiersep.evaluation.lines import ROWS, Line
from hiersep.evaluation.results import evaluate, read_results
from hiersep.evaluation.song_tables import song_table
from hiersep.evaluation.songs import score_songs
from hiersep.evaluation.summary import Evaluation
from hiersep.evaluation.tables import HEADINGS, comparison_table, notes, table, table_rows

__all__ = [
    "HEADINGS",
    "ROWS",
    "Evaluation",
    "Line",
    "compare",
    "comparison_table",
    "evaluate",
    "notes",
    "read_results",
    "score_songs",
    "song_table",
    "table",
    "table_rows",
]
