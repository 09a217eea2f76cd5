"""Where work is done: in this process, in threads, in processes, or on a cluster.

Simulations and sweeps hand a function and many tasks to one interface, and get the same results
from each engine.
"""

from chione.base.engines.choose import WORDS, engine
from chione.base.engines.cores import cores
from chione.base.engines.task import AbstractEngine, Done, Failure, in_order

__all__ = ["WORDS", "AbstractEngine", "Done", "Failure", "cores", "engine", "in_order"]
