r"""Recurrent layers, tied over time: all pairs of times travel together.

A site is an input a at a time t. Across channels :math:`W h_{t-1}`, t = 1, 2, ..., are jointly
Gaussian over all times, since the weights are the same at every step (Yang, Tensor Programs I):

.. math:: E\,(W h)_{at} (W h)_{bs} = \sigma_w^2 K^h_{a, t-1;\,b, s-1}, \qquad
   E\,(U x)_{at} (U x)_{bs} = \sigma_u^2 K^x_{at,\,bs}

plus :math:`\sigma_b^2` for the bias of each matrix, so twice that where both are added. Backward
:math:`W^T g` and :math:`U^T g` are Gaussian in the same way. An ``rnn`` closes in pairs of sites
(``recurrent_pairs.py``); in a ``gru`` or ``lstm`` the state enters channel by channel, which needs
a population of sampled channels (``recurrent_population.py``). Fresh weights at every step
(``tied=False``) leave out what is between different times.

Rows inside the layer, ``.state[t]`` with t counted from 0, hold the state h after step t + 1
(the tap ``h3`` of the reference simulations is ``.state[2]``), and the whole gradient of it.
"""

from __future__ import annotations

import numpy as np

from chione.networks import Recurrent
from chione.theory.layers.channels import settled
from chione.theory.layers.recurrent_pairs import through_pairs
from chione.theory.layers.recurrent_population import through_population
from chione.theory.layers.recurrent_sites import Chosen, Recurrence
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def recurrent(layer: Recurrent, stream: Stream, walk: Walker) -> Passed:
    """Through all steps of time."""
    settled(stream, walk)
    given = Recurrence.of(layer, stream, walk)
    through = through_pairs if layer.cell == "rnn" else through_population
    states, home, source = through(given, walk)
    steps = np.arange(stream.orbits.sites).reshape(given.inputs, given.times).T
    noted = [
        walk.noted(f".state[{t}]", states.stream(at, given.one_step), _unchanged)
        for t, at in enumerate(steps)
    ]
    leaving = steps.T.ravel() if layer.sequence else steps[-1]
    recipe = Chosen(source, leaving, stream.orbits.sites)
    after = states.stream(leaving, layer.after(stream.shape, walk.place)).with_(recipe=recipe)

    def pullback(g: Gradient) -> Gradient:
        if g.drawn is None:
            inside, at_input = home(given.placed(g, leaving))
        else:  # it depends on the channels
            (rows,) = recipe.back(g.drawn.crowd, g.drawn.rows)
            inside, at_input = source.home(g.drawn.crowd, rows)
        for note, at in reversed(list(zip(noted, steps, strict=True))):
            note(inside.gradient(at))
        return at_input.gradient(np.arange(stream.orbits.sites))

    return after, pullback


def _unchanged(g: Gradient) -> Gradient:
    return g
