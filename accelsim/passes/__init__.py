"""Network to network: batching, precision, density."""
