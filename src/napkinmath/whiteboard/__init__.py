"""Closed forms: what a candidate can derive on a whiteboard, one module per family.

Every function here is plain arithmetic on its arguments, so it takes numbers, pandas columns and SymPy symbols alike.
Validation belongs to the specs that call them (:mod:`napkinmath.specs`).
"""
