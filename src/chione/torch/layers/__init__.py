"""From calls of torch to layers of :mod:`chione.networks` and the tensors they were made of.

One file a kind, of the name it has in ``networks``; what only a traced model has (tables, sums of
tensors, other views of one) stands here too.
"""
