"""Networks that take a mixture apart along a hierarchy, and the masks that bound them.

`separator` is what they share; `path` is the source-specific separator (SSS), all levels of one path; `query` finds the
path by an example (QBE); `tree` estimates every node at once. `constraints` makes a parent hold at least what its child
holds; `oracle` has the ideal and the time-invariant masks; `checkpoint` stores and loads networks, `anchors` what a
query network made of examples; `nussl_modules` lets nussl train separators.
"""
