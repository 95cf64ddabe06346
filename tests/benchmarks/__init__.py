"""Benchmarks: `python -m tests.benchmarks NAME...` prints ratios beside a peer of the same run.

A module of this package registers functions with `@benchmark("name")`; each prints what it found.
Without a NAME the names are listed; a NAME that is the beginning of several runs them all. Absolute
times drift from machine to machine and from minute to minute: both sides are measured by turns.
"""
