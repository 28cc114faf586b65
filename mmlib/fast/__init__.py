"""The same results sooner: what a chapter computes in the obvious way, reordered for speed.

A law of equality in ``tests/fast`` holds each of these equal to its chapter's function, and
the chapter has a section on why it is faster.
"""
