"""Second moments through a network at 50 digits: an oracle that shares nothing with the theory.

Every group of channels has full matrices over all sites; activations are those whose kernels are
elementary (ReLU, leaky ReLU, absolute value, erf, the identity). The layers are read as data.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp

from chione import networks as cn

DIGITS = 50


@dataclass
class Group:
    """Channels with common moments: width, K, m, Theta."""

    width: int
    k: mp.matrix
    m: list
    t: mp.matrix


class State:
    """Groups of channels over the sites, positions fastest."""

    def __init__(self, groups, positions):
        self.groups = groups
        self.positions = positions

    @property
    def n(self):
        return self.groups[0].k.rows

    @property
    def width(self):
        return sum(g.width for g in self.groups)

    def mean(self, of):
        """Width-weighted mean of matrices or vectors of the groups."""
        total = self.width
        parts = [(mp.mpf(g.width) / total, of(g)) for g in self.groups]
        if isinstance(parts[0][1], list):
            return [sum(w * x[i] for w, x in parts) for i in range(self.n)]
        out = parts[0][1] * parts[0][0]
        for w, x in parts[1:]:
            out = out + x * w
        return out


def make(n, f):
    return (
        mp.matrix(n, n) if f is None else mp.matrix([[f(i, j) for j in range(n)] for i in range(n)])
    )


def had(a, b):
    return make(a.rows, lambda i, j: a[i, j] * b[i, j])


# ---- kernels ------------------------------------------------------------------------------------


def relu_kernels(q1, q2, k):
    r = mp.sqrt(q1 * q2)
    c = max(min(k / r, mp.mpf(1)), mp.mpf(-1))
    th = mp.acos(c)
    return r / (2 * mp.pi) * (mp.sin(th) + (mp.pi - th) * c), (mp.pi - th) / (2 * mp.pi)


def leaky_kernels(a):
    """x = relu(x) - relu(-x): phi = relu(x) - a relu(-x)."""

    def both(q1, q2, k):
        k1, s1 = relu_kernels(q1, q2, k)
        k2, s2 = relu_kernels(q1, q2, -k)
        return (1 + a * a) * k1 - 2 * a * k2, (1 + a * a) * s1 + 2 * a * s2

    return both


def abs_kernels(q1, q2, k):
    k1, s1 = relu_kernels(q1, q2, k)
    k2, s2 = relu_kernels(q1, q2, -k)
    return 2 * (k1 + k2), 2 * (s1 - s2)


def erf_kernels(q1, q2, k):
    d = mp.sqrt((1 + 2 * q1) * (1 + 2 * q2))
    return 2 / mp.pi * mp.asin(2 * k / d), 4 / mp.pi / mp.sqrt(d * d - 4 * k * k)


def line_kernels(q1, q2, k):
    return k, mp.mpf(1)


KERNELS = {
    "relu": (relu_kernels, lambda q: mp.sqrt(q / (2 * mp.pi))),
    "abs": (abs_kernels, lambda q: mp.sqrt(2 * q / mp.pi)),
    "leaky_relu(slope=0.25)": (
        leaky_kernels(mp.mpf("0.25")),
        lambda q: mp.mpf("0.75") * mp.sqrt(q / (2 * mp.pi)),
    ),
    "erf": (erf_kernels, lambda q: mp.mpf(0)),
    "linear": (line_kernels, lambda q: mp.mpf(0)),
}


def activated(group, name):
    kernels, mean = KERNELS[name]
    n = group.k.rows
    found = [
        [kernels(group.k[i, i], group.k[j, j], group.k[i, j]) for j in range(n)] for i in range(n)
    ]
    k, s = (make(n, lambda i, j, w=w: found[i][j][w]) for w in (0, 1))
    m = [mean(group.k[i, i]) for i in range(n)]
    return Group(group.width, k, m, had(group.t, s)), s


# ---- layers: each gives the new state and a map of lists of gradients, one for each group --------


def through(layers, state):
    back = []
    for layer in layers:
        state, home = RULES[type(layer)](layer, state)
        back.append(home)

    def pull(ps):
        for home in reversed(back):
            ps = home(ps)
        return ps

    return state, pull


def affine(state, out, gain, sb2, reads=None):
    """Fresh weights over taps: reads[o] is the list of positions of output o, None beyond."""
    k, t, n = state.mean(lambda g: g.k), state.mean(lambda g: g.t), state.n
    p = state.positions
    inputs = n // p
    reads = reads or [[i] for i in range(p)]
    sites = [[None if s is None else a * p + s for s in r] for a in range(inputs) for r in reads]

    def forward(x):
        return make(
            len(sites),
            lambda i, j: sum(
                (
                    x[a, b]
                    for a, b in zip(sites[i], sites[j], strict=True)
                    if a is not None and b is not None
                ),
                mp.mpf(0),
            ),
        )

    new_k = forward(k) * gain
    new_k = make(len(sites), lambda i, j: new_k[i, j] + sb2)
    new_t = forward(t) * gain + new_k
    group = Group(out, new_k, [mp.mpf(0)] * len(sites), new_t)
    ratio = mp.mpf(out) / state.width
    count = len(state.groups)

    def home(ps):
        back = mp.matrix(n, n)
        for i, one in enumerate(sites):
            for j, two in enumerate(sites):
                for a, b in zip(one, two, strict=True):
                    if a is not None and b is not None:
                        back[a, b] += ps[0][i, j]
        return [back * (ratio * gain)] * count

    return State([group], len(reads)), home


def dense(layer, state):
    out = layer.out or state.width
    gain = mp.mpf(layer.sigma_w) ** 2
    if layer.form == "spectral_norm":
        gain /= (1 + mp.sqrt(mp.mpf(out) / state.width)) ** 2
    return affine(state, out, gain, mp.mpf(layer.sigma_b) ** 2)


def attention(layer, state):
    """With scores that vanish: weights of masks and biases alone."""
    assert layer.sigma_q * layer.sigma_k == 0
    n, p, (g,) = state.n, state.positions, state.groups
    vb, so = mp.mpf(layer.sigma_b) ** 2, mp.mpf(layer.sigma_o) ** 2
    sv = mp.mpf(layer.sigma_v) ** 2
    heads = []
    for h in range(1, layer.heads + 1 if layer.alibi else 2):
        slope = mp.mpf(2) ** (mp.mpf(-8 * h) / layer.heads) if layer.alibi else mp.mpf(0)
        w = mp.matrix(n, n)
        for i in range(n):
            a, t = divmod(i, p)
            most = layer.visible[a] if layer.visible else p
            seen = [s for s in range(most) if s <= t or layer.mask == "none"]
            e = [mp.exp(-slope * abs(t - s)) for s in seen]
            for s, one in zip(seen, e, strict=True):
                w[i, a * p + s] = one / mp.fsum(e)
        heads.append(w)

    def averaged(x):
        out = mp.matrix(n, n)
        for w in heads:
            out += w * x * w.T
        return out * (so / len(heads))

    values = make(n, lambda i, j: sv * g.k[i, j] + vb)
    inside = make(n, lambda i, j: values[i, j] + sv * g.t[i, j])
    k, t = averaged(values), averaged(inside)
    k = make(n, lambda i, j: k[i, j] + vb)
    width = layer.out or state.width
    after = State([Group(width, k, [mp.mpf(0)] * n, k + t)], p)

    def back(ps):
        out = mp.matrix(n, n)
        for w in heads:
            out += w.T * ps[0] * w
        return [out * (so * sv / len(heads) * mp.mpf(width) / state.width)]

    return after, back


def convolution(layer, state):
    """One axis."""
    p, k, s, d = state.positions, layer.kernel, layer.stride, layer.dilation
    gain = mp.mpf(layer.sigma_w) ** 2 / k
    reads = []
    if layer.transposed:
        gain *= s
        for o in range((p - 1) * s + k):
            reads.append(
                [
                    (o - j) // s if (o - j) % s == 0 and 0 <= (o - j) // s < p else None
                    for j in range(k)
                ]
            )
    elif layer.weights == "delta_orthogonal":
        reads, gain = [[s * o] for o in range(-(-p // s))], gain * k
    else:
        for o in range(-(-p // s)):
            taps = [s * o + d * (b - (k - 1) // 2) for b in range(k)]
            if layer.padding == "circular":
                reads.append([t % p for t in taps])
            else:
                reads.append([t if 0 <= t < p else None for t in taps])
    return affine(state, layer.out or state.width, gain, mp.mpf(layer.sigma_b) ** 2, reads)


def nonlinearity(layer, state):
    done = [activated(g, layer.activation.name) for g in state.groups]
    return State([g for g, _ in done], state.positions), lambda ps: [
        had(p, s) for p, (_, s) in zip(ps, done, strict=True)
    ]


def norm(layer, state):
    n, p = state.n, state.positions
    q = state.mean(lambda g: [g.k[i, i] for i in range(n)])
    centre = state.mean(lambda g: g.m)
    if layer.form == "rms":
        centre = [mp.mpf(0)] * n
    if layer.form == "group":
        q, centre = ([sum(x[i - i % p : i - i % p + p]) / p for i in range(n)] for x in (q, centre))
    s = [mp.sqrt(q[i] - centre[i] ** 2 + mp.mpf(layer.eps)) for i in range(n)]
    gain = mp.mpf(layer.gain)
    factor = make(n, lambda i, j: gain**2 / (s[i] * s[j]))

    def one(g):
        k = make(
            n,
            lambda i, j: (
                factor[i, j]
                * (g.k[i, j] - g.m[i] * centre[j] - centre[i] * g.m[j] + centre[i] * centre[j])
                + mp.mpf(layer.bias) ** 2
            ),
        )
        m = [gain * (g.m[i] - centre[i]) / s[i] for i in range(n)]
        theta = had(g.t, factor)
        theta = make(n, lambda i, j: theta[i, j] + mp.mpf(layer.bias) ** 2)
        return Group(g.width, k, m, theta)

    return State([one(g) for g in state.groups], p), lambda ps: [had(x, factor) for x in ps]


def scaled(state, a):
    a = mp.mpf(a)
    return State(
        [Group(g.width, g.k * a**2, [a * x for x in g.m], g.t * a**2) for g in state.groups],
        state.positions,
    )


def summed(states):
    out = states[0]
    for state in states[1:]:
        out = State([added(out.groups[0], state.groups[0])], out.positions)
    return out


def added(x, y):
    def k(i, j):
        return x.k[i, j] + y.k[i, j] + x.m[i] * y.m[j] + y.m[i] * x.m[j]

    m = [u + v for u, v in zip(x.m, y.m, strict=True)]
    return Group(x.width, make(x.k.rows, k), m, x.t + y.t)


def residual(layer, state):
    one, back_one = through(layer.shortcut, state)
    two, back_two = through(layer.branch, state)
    a, b = mp.mpf(layer.skip), mp.mpf(layer.scale)

    def home(ps):
        first = back_one([p * a**2 for p in ps])
        second = back_two([p * b**2 for p in ps])
        return [x + y for x, y in zip(first, second, strict=True)]

    return summed([scaled(one, a), scaled(two, b)]), home


def parallel(layer, state):
    done = [through(branch, state) for branch in layer.branches]
    states = [s for s, _ in done]
    if layer.combine == "concat":
        sizes = [len(s.groups) for s in states]

        def home(ps):
            out, start = None, 0
            for (_, back), size in zip(done, sizes, strict=True):
                part = back(ps[start : start + size])
                start += size
                out = part if out is None else [x + y for x, y in zip(out, part, strict=True)]
            return out

        return State([g for s in states for g in s.groups], states[0].positions), home
    if layer.combine == "product":
        one, two = (s.groups[0] for s in states)
        m = [x * y for x, y in zip(one.m, two.m, strict=True)]
        group = Group(one.width, had(one.k, two.k), m, had(one.t, two.k) + had(one.k, two.t))

        def home(ps):
            first = done[0][1]([had(ps[0], two.k)])
            second = done[1][1]([had(ps[0], one.k)])
            return [x + y for x, y in zip(first, second, strict=True)]

        return State([group], states[0].positions), home
    share = mp.mpf(1) / len(states) if layer.combine == "mean" else mp.mpf(1)

    def home(ps):
        out = None
        for _, back in done:
            part = back([p * share**2 for p in ps])
            out = part if out is None else [x + y for x, y in zip(out, part, strict=True)]
        return out

    return summed([scaled(s, share) for s in states]), home


def repeat(layer, state):
    return through(layer.layers * layer.times, state)


def dropout(layer, state):
    n, p, keep = state.n, state.positions, mp.mpf(layer.keep)
    shares = {
        "independent": lambda i, j: i == j,
        "positions": lambda i, j: i // p == j // p,
        "all": lambda i, j: True,
    }[layer.share]
    f = make(n, lambda i, j: 1 / keep if shares(i, j) else mp.mpf(1))
    groups = [Group(g.width, had(g.k, f), g.m, had(g.t, f)) for g in state.groups]
    return State(groups, p), lambda ps: [had(x, f) for x in ps]


def noise(layer, state):
    s2 = mp.mpf(layer.sigma) ** 2
    groups = [
        Group(g.width, make(state.n, lambda i, j, g=g: g.k[i, j] + (s2 if i == j else 0)), g.m, g.t)
        for g in state.groups
    ]
    return State(groups, state.positions), lambda ps: ps


def gate(layer, state):
    out, sb2 = layer.hidden or state.width, mp.mpf(layer.sigma_b) ** 2
    u, back_u = affine(state, out, mp.mpf(layer.sigma_u) ** 2, sb2)
    v, back_v = affine(state, out, mp.mpf(layer.sigma_v) ** 2, sb2)
    opened, s = activated(u.groups[0], layer.activation.name)
    kv, tv = v.groups[0].k, v.groups[0].t
    group = Group(
        out, had(opened.k, kv), [mp.mpf(0)] * state.n, had(opened.t, kv) + had(opened.k, tv)
    )

    def home(ps):
        first = back_u([had(had(ps[0], kv), s)])
        second = back_v([had(ps[0], opened.k)])
        return [x + y for x, y in zip(first, second, strict=True)]

    return State([group], state.positions), home


def maxout(layer, state):
    """Two pieces: E max max' = [c + (2/pi)(sqrt(1 - c^2) + c asin c)] sqrt(q q') / 2."""
    h, back = affine(
        state, layer.out or state.width, mp.mpf(layer.sigma_w) ** 2, mp.mpf(layer.sigma_b) ** 2
    )
    g = h.groups[0]

    def at(i, j):
        r = mp.sqrt(g.k[i, i] * g.k[j, j])
        c = max(min(g.k[i, j] / r, mp.mpf(1)), mp.mpf(-1))
        value = r / 2 * (c + 2 / mp.pi * (mp.sqrt(1 - c * c) + c * mp.asin(c)))
        return value, 1 - mp.acos(c) / mp.pi

    found = [[at(i, j) for j in range(h.n)] for i in range(h.n)]
    k, win = (make(h.n, lambda i, j, w=w: found[i][j][w]) for w in (0, 1))
    m = [mp.sqrt(g.k[i, i] / mp.pi) for i in range(h.n)]
    return State([Group(g.width, k, m, had(g.t, win))], h.positions), lambda ps: back(
        [had(ps[0], win)]
    )


def pooling(layer, state):
    p = state.positions
    k = p if layer.kernel is None else layer.kernel
    s = k if layer.stride is None else layer.stride
    windows = [[s * o + b for b in range(k)] for o in range((p - k) // s + 1)]
    inputs = state.n // p
    sites = [[a * p + t for t in w] for a in range(inputs) for w in windows]
    if layer.reduce == "average":
        matrix = mp.matrix(len(sites), state.n)
        for i, w in enumerate(sites):
            for t in w:
                matrix[i, t] = mp.mpf(1) / k
        groups = [
            Group(
                g.width,
                matrix * g.k * matrix.T,
                [sum(g.m[t] for t in w) / k for w in sites],
                matrix * g.t * matrix.T,
            )
            for g in state.groups
        ]
        return State(groups, len(windows)), lambda ps: [matrix.T * x * matrix for x in ps]
    (g,) = state.groups
    n = len(sites)

    def delta(i, j):
        (a, b), (c, d) = sites[i], sites[j]
        return g.k[a, c] - g.k[a, d] - g.k[b, c] + g.k[b, d]

    def both(i, j):
        (a, b), (c, d) = sites[i], sites[j]
        total = g.k[a, c] + g.k[a, d] + g.k[b, c] + g.k[b, d]
        value, sign = abs_kernels(delta(i, i), delta(j, j), delta(i, j))
        return (total + value) / 4, sign

    found = [[both(i, j) for j in range(n)] for i in range(n)]
    k_new = make(n, lambda i, j: found[i][j][0])
    chance = [make(n, lambda i, j, w=w: (1 + w * found[i][j][1]) / 4) for w in (1, -1)]
    m = [mp.sqrt(delta(i, i) / (2 * mp.pi)) for i in range(n)]
    t = make(
        n,
        lambda i, j: sum(
            chance[x != y][i, j] * g.t[sites[i][x], sites[j][y]] for x in (0, 1) for y in (0, 1)
        ),
    )

    def home(ps):
        out = mp.matrix(state.n, state.n)
        for i in range(n):
            for j in range(n):
                for x in (0, 1):
                    for y in (0, 1):
                        out[sites[i][x], sites[j][y]] += ps[0][i, j] * chance[x != y][i, j]
        return [out]

    return State([Group(g.width, k_new, m, t)], len(windows)), home


def flatten(layer, state):
    (g,) = state.groups
    p, n = state.positions, state.n
    inputs = n // p

    def trace(x):
        return make(inputs, lambda a, b: sum(x[a * p + t, b * p + t] for t in range(p)) / p)

    m = [sum(g.m[a * p : a * p + p]) / p for a in range(inputs)]

    def home(ps):
        return [make(n, lambda i, j: ps[0][i // p, j // p] if i % p == j % p else mp.mpf(0))]

    return State([Group(g.width * p, trace(g.k), m, trace(g.t))], 1), home


def position(layer, state):
    (g,) = state.groups
    p, n, sigma = state.positions, state.n, mp.mpf(layer.sigma)
    if layer.form == "learned":
        same = make(n, lambda i, j: sigma**2 if i % p == j % p else mp.mpf(0))
        return State([Group(g.width, g.k + same, g.m, g.t + same)], p), lambda ps: ps
    w = [mp.mpf(layer.base) ** (-mp.mpf(2 * j) / g.width) for j in range(g.width // 2)]
    wave = [
        sigma / g.width * sum(mp.sin(x * (i % p)) + mp.cos(x * (i % p)) for x in w)
        for i in range(n)
    ]
    k = make(
        n,
        lambda i, j: (
            g.k[i, j]
            + sigma**2 / g.width * sum(mp.cos(x * (i % p - j % p)) for x in w)
            + g.m[i] * wave[j]
            + wave[i] * g.m[j]
        ),
    )
    m = [g.m[i] + wave[i] for i in range(n)]
    return State([Group(g.width, k, m, g.t)], p), lambda ps: ps


def scale(layer, state):
    return scaled(state, layer.factor), lambda ps: [p * mp.mpf(layer.factor) ** 2 for p in ps]


def recurrent(layer, state):
    """The rnn cell, entry by entry: each pair of times asks for the pair one step earlier."""
    p, n = state.positions, state.n
    sw2, su2, sb2 = (mp.mpf(s) ** 2 for s in (layer.sigma_w, layer.sigma_u, layer.sigma_b))
    kernels, mean = KERNELS[layer.activation.name]
    kx, tx = state.mean(lambda g: g.k), state.mean(lambda g: g.t)
    start = layer.start or [[0] * (n // p)] * (n // p)
    width = layer.size or state.width
    memo = {}

    def joint(i, j):
        return layer.tied or i % p == j % p

    def before(i, j):
        """K and Theta of both states one step earlier."""
        if i % p and j % p:
            return at(i - 1, j - 1)[:2]
        first = mp.mpf(start[i // p][j // p]) if i % p == j % p == 0 else mp.mpf(0)
        return first, mp.mpf(0)

    def sent(i, j):
        """K and Theta of the pre-activations."""
        if not joint(i, j):
            return mp.mpf(0), mp.mpf(0)
        k, t = before(i, j)
        k = sw2 * k + su2 * kx[i, j] + 2 * sb2
        return k, k + sw2 * t + su2 * tx[i, j]

    def at(i, j):
        if (i, j) not in memo:
            k, t = sent(i, j)
            k, slope = kernels(sent(i, i)[0], sent(j, j)[0], k)
            memo[i, j] = k, t * slope, slope
        return memo[i, j]

    leaving = list(range(n)) if layer.sequence else list(range(p - 1, n, p))
    k, t, slope = (make(n, lambda i, j, w=w: at(i, j)[w]) for w in range(3))
    m = [mean(sent(i, i)[0]) for i in range(n)]

    def home(ps):
        def arrived(i, j):
            out = mp.mpf(0)
            if i in leaving and j in leaving:
                out = ps[0][leaving.index(i), leaving.index(j)]
            if (i + 1) % p and (j + 1) % p and joint(i, j):
                out += sw2 * arrived(i + 1, j + 1) * slope[i + 1, j + 1]
            return out

        ratio = mp.mpf(width) / state.width

        def entered(i, j):
            return ratio * su2 * arrived(i, j) * slope[i, j] if joint(i, j) else mp.mpf(0)

        return [make(n, entered)] * len(state.groups)

    def chosen(x):
        return make(len(leaving), lambda i, j: x[leaving[i], leaving[j]])

    group = Group(width, chosen(k), [m[i] for i in leaving], chosen(t))
    return State([group], p if layer.sequence else 1), home


# a function of each kind's word
RULES = {kind: globals()[kind.word] for kind in cn.KINDS if kind.word in globals()}


def entering(network):
    gram = network.input.second_moments()
    n = len(gram)
    k = make(n, lambda i, j: mp.mpf(float(gram[i, j])))
    group = Group(network.input.width, k, [mp.mpf(0)] * n, mp.matrix(n, n))
    return State([group], network.input.shape.positions)


@mp.workdps(DIGITS)
def solve(network):
    """States after each outermost layer, the last one last, and the gradient at the input for
    independent and for shared cotangents."""
    states, homes = [entering(network)], []
    for layer in network.layers:
        state, home = RULES[type(layer)](layer, states[-1])
        states.append(state)
        homes.append(home)
    last = states[-1]
    n = last.n
    grads = []
    for gram in (make(n, lambda i, j: mp.mpf(int(i == j))), make(n, lambda i, j: mp.mpf(1))):
        ps = [gram] * len(last.groups)
        for home in reversed(homes):
            ps = home(ps)
        grads.append(ps[0])
    return states, grads
