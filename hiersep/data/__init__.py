"""Multitracks in, mixtures with exact submixes out.

- What a data set is: `tracks`, and `readers`, each of which knows one layout.
- What was heard in it: `catalog` opens one; `indexing` measures it (`measuring`, `journal`, `cache`, `parallel`) and
  says what it found (`findings`); `store` keeps the samples at hand, `reading` reads excerpts; `coverage` counts nodes.
- What a mixture is made of: `events`, the spec. `labels` say what is known, `sampling` and `queries` pick excerpts,
  `mixers` (`remixing`, `distributions`) take parts from other songs, `mixtures` joins them to one draw.
- Its audio: `mixing`, one matrix product per item, and `augmentation`.
- On disk: `recipe`, `annotation` and `restoring` (JAMS), `folders`, `writing`.
- `dataset`: `HierarchicalMixtureDataset`, the door to torch, nussl and asteroid.
"""
