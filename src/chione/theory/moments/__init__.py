"""What Gaussian inputs make of an activation alone, without weights.

Its moments at a mean square q, closed, integrated or tabulated, the kernels of two inputs of
correlation c, and what it does next to zero, far from it and over all sizes.
"""
