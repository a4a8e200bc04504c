"""Searches for a design: optimisers that spend a budget of runs over the space of a sweep."""
