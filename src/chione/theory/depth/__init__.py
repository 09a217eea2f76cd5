"""Networks of L layers at infinite width, and the first correction to it.

Curves of lengths, correlations and gradients, kernels (NNGP, NTK), laws at large depth,
fluctuations at finite width; and with them whether a network of this depth trains, and which
initialisation to use at this depth and width.
"""
