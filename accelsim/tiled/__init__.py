"""Tiled machines: a nest of loops over levels of memory, counted exactly. See docs/decisions/0073-nest.md."""
