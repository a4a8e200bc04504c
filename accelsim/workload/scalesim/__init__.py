"""SCALE-Sim's topology and GEMM tables: the forgiving reader, what the rows look like, and the network of a table."""
