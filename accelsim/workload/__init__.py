"""What is run: layers, tensors, networks and their importers."""
