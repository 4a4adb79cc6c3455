"""Train a separator through asteroid's `System` and Lightning.

`loop` runs an experiment from a configuration; `system` says what a step is; `clip` is AutoClip; `data` makes the
loaders; `callbacks` keeps the best network and shows the time left.
"""
