"""Other simulators on the same layers, in environments of their own."""
