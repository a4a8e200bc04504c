"""Searches for a precision: widths by layer under budgets of energy, cycles and noise."""
