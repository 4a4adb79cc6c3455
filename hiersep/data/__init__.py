"""Multitracks in, mixtures with exact submixes out.

A *reader* knows one data set's layout and yields `Track`s; the *catalog* measures every stem once; the
*sampling* picks excerpts; the *mixing* sums them, one matrix product per item; `HierarchicalMixtureDataset`
is the door to torch, nussl and asteroid.
"""
