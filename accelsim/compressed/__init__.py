"""What machines that keep tensors without their zeros share. See docs/decisions/0081-compressed.md."""
