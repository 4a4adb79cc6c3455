"""Bad input: what it is made of (`documents`, `contents`), where it comes in (`doors_*`), what is judged (`judging`).

A *door* is a place where a file or the words of a command line come in from outside. Cases are made in two ways: of a
valid document, by its grammar, of which values are then exchanged, dropped, doubled and nested; and of the bytes of a
valid file, which are flipped, cut and spliced.
"""
