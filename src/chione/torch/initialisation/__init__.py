"""Set the weights of a model, and fill single tensors."""
