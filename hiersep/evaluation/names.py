"""What the files of an evaluation's folder are called."""

CLIPS_NAME = "clips.json"
SCORES_NAME = "scores.csv"
RESULTS_NAME = "results.json"
TABLE_NAME = "results.md"
LEVELS_NAME = "levels.png"
INPUT_NAME = "improvement.png"
PARTS_NAME = ".evaluation"
