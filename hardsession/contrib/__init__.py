"""Optional neighbours, one file each. None is imported unless the application uses it."""
