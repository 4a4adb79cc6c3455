"""Networks that take a mixture apart along a hierarchy, and the masks that bound them.

`path` is the source-specific separator (SSS): all levels of one path. `constraints` makes a parent hold at least
what its child holds; `oracle` has the ideal and the time-invariant masks; `checkpoint` stores and loads networks.
"""
