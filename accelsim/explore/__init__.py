"""Exploration around one simulation: sweeps, searches for a design, searches for a precision."""
