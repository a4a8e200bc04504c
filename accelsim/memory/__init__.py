"""Buffers, transfers, the double-buffer timeline and DRAM."""
