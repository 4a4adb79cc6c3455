"""Train a separator through asteroid's `System` and Lightning.

`experiment` keeps an experiment's folder; `loop` fits its network; `system` says what a step is, and `means` what an
epoch was; `stages` say what is learned when; `clip` is AutoClip; `data` makes the loaders; `callbacks` keep the best
network and the curve, lower the rate, and show the time left; `state` is saved and gone on from; `tensorboard` shows
curves, pictures and sound; `processes` says who does what where several train together.
"""
