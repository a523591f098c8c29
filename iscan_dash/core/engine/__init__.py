"""What the engines that score cells share: compiled kernels, progress and cancelling, and the cells they read."""
