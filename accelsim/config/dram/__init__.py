"""DRAM in machine files: standards, address mappings, and what a device stands for."""
