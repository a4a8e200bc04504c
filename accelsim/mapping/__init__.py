"""Choosing a mapping: enumeration, objective, pinned files."""
