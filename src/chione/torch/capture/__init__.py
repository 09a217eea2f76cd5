"""A model as it runs: the tracer, the graph of its calls, what is measured on its tensors."""
