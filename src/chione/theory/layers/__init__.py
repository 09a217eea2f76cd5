"""The theory of layer kinds: what each kind does to the second moments that travel through it.

:class:`~.stream.Stream` is the state, :func:`~.rule.forward` a rule found by the type of the
layer, one file a kind, and :func:`~.walk.propagate` the loop, forward and backward.
"""
