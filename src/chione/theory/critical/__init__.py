"""Where susceptibilities are one: critical points and their classes, the edge of chaos.

With the affine changes that give an activation a critical point, the usual schemes as sigmas, and
the terms of a `Recommendation`, in which all of them are compared.
"""
