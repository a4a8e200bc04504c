"""Sweeps and search around one simulation."""
