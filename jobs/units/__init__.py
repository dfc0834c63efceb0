"""What each stage does with one unit: the I/O around the kernels of `pipeline/`."""
