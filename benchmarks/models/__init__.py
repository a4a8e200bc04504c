"""Real ONNX files on accelsim: those that packages ship, and exports of torch and torchvision."""
