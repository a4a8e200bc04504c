"""Acceptance: every measurable promise, measured and printed with its figure."""
