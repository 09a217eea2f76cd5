"""What the next steps of an optimiser do to a model."""
