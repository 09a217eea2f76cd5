"""The maps of one layer of weights, and where they lead.

The length map and the correlation map at given sigma_w and sigma_b, their slopes and fixed points,
at one point or over a whole diagram, how fast these are approached (as an exponential or a power),
the map of mean and variance without weights, and the maps iterated over a depth.
"""
