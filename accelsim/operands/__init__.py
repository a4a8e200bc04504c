"""The numbers it runs on: seeded tensors, lazy handles, codecs."""
