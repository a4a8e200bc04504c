"""Mutation fuzzing of everything that reads a user's file: each input gives a result or one line that explains."""
