"""What the value of a token means: one module per mode."""
