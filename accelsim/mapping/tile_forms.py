"""The closed forms of a tile's cycles that `tile_kernel` knows, by number; its docstrings say what follows in a row."""

PRODUCT, STREAM, FOLDS = 0, 1, 2
COLUMNS = 10
"""Integers of a row, zeros at its end."""
