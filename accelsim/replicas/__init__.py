"""Other simulators' arithmetic, bugs included."""
