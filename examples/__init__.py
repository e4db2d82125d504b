"""Applications to run and to read."""
