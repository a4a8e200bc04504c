"""Figures as they stand, frozen before a change that must not move them."""
