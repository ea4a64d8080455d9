"""Whiteboard ledgers: each family's closed forms laid out as rows, in the order of execution.

:mod:`.rows` has the builder; every other module lays out one family.
"""
