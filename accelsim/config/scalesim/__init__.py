"""SCALE-Sim's ``.cfg`` files: the forgiving reader, and the machine that a file describes."""
