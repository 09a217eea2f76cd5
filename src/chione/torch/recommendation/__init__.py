"""Which sigmas an activation wants, in the terms of PyTorch."""
