"""freeprob."""
