"""Sweeps: the points of a file, how they run, the store that keeps them, and what is chosen of it."""
