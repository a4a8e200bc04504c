"""DRAM as a device: standards, address mappings, the controller of a channel, energy by command."""
