"""Watching a training: signals, gradients and updates beside step 0 and theory."""
