"""Formats and products after the papers, value by value: what sizes and kernels of the package are held against."""
