"""Singular values of the Jacobian of a model, matrix-free."""
