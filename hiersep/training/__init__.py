"""Train a separator through asteroid's `System` and Lightning.

`experiment` keeps an experiment's folder; `loop` fits its network; `system` says what a step is; `clip` is AutoClip;
`data` makes the loaders; `callbacks` keeps the best network and the curve, and shows the time left.
"""
