"""accelsim: a cycle-level simulator of deep-learning accelerators."""

__version__ = "0.1.0"
