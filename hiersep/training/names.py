"""What the files of an experiment's folder are called."""

CHECKPOINT_NAME = "best.safetensors"
STATE_NAME = "last.ckpt"
SUMMARY_NAME = "training.json"
CURVE_NAME = "metrics.csv"
ENVIRONMENT_NAME = "environment.json"
TENSORBOARD_NAME = "tensorboard"
