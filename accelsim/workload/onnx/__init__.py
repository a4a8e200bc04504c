"""ONNX graphs as connected networks: reading, sizes, shapes that follow from constants, operators."""
