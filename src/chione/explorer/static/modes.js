// What one layer, or one block, does to lengths, correlations and gradients, by mode.
//
//   plain        h' = W phi(h) + b
//   dropout      h' = W D phi(h) + b; D keeps a unit with probability 1 - p and divides by that
//   residual     h' = h + alpha (W phi(h) + b)
//   prenorm      h' = h + alpha (W2 phi(W1 norm(h) + b1) + b2)
//   transformer  the same behind h + alpha W_O mean over tokens of W_V norm(h): attention at
//                initialisation; then c is the correlation of two tokens of one input
//
// A map has firstLength(q0), firstGap(q0, c0), length(q), lengthOf(q, moments), lengthSlope(q),
// gradient(q) and pair(q, gap), with the errors of the first ones. pair gives {distance, slope,
// error}: distance = q' (1 - c'), and slope = d(q' c') / d(q c), which is the factor on the second
// moment of the gradients of two inputs.

export const MODES = ["plain", "residual", "prenorm", "transformer", "dropout"];

/** Whether every block adds to what it reads. */
export function isStream(mode) {
  return mode === "residual" || mode === "prenorm" || mode === "transformer";
}

export function blockOf(network, activation) {
  const w2 = network.sigma_w ** 2;
  const b2 = network.sigma_b ** 2;
  const alpha2 = (network.alpha ?? 1) ** 2;
  const mode = network.mode ?? "plain";
  if (mode === "residual") return residualMap(w2, b2, alpha2, activation);
  if (mode === "prenorm") return normedMap(w2, b2, alpha2, activation);
  if (mode === "transformer") {
    return transformerMap(w2, b2, alpha2, Math.max(1, network.tokens ?? 64), activation);
  }
  const kept = mode === "dropout" ? 1 - (network.dropout ?? 0) : 1;
  return denseMap(w2, b2, kept, activation);
}

export function gapKernel(activation, q, gap) {
  if (activation.kernelAtGap) return activation.kernelAtGap(q, gap);
  return activation.kernel(q, 1 - gap);
}

function denseMap(w2, b2, kept, activation) {
  const weight = w2 / kept;
  return {
    plain: kept === 1,
    noisy: kept < 1, // two copies of one input do not stay alike
    w2,
    b2,
    lowest: activation.range[0],
    moments: (q) => activation.moments(q),
    firstLength: (q0) => w2 * q0 + b2,
    firstGap: (q0, c0) => w2 * q0 * (1 - c0) / (w2 * q0 + b2),
    length: (q) => weight * activation.moments(q).m2 + b2,
    lengthOf: (q, m) => weight * m.m2 + b2,
    lengthError: (q) => {
      const m = activation.moments(q);
      return weight * m.m2 * m.error;
    },
    lengthSlope: (q) => weight * activation.moments(q).slope,
    slopeError: (q) => {
      const m = activation.moments(q);
      const size = q > 0 ? Math.max(Math.abs(m.slope), m.m2 / q) : Math.abs(m.slope);
      return weight * size * m.error;
    },
    gradient: (q) => (weight > 0 ? weight * activation.moments(q).d2 : 0), // also where phi jumps
    gradientError: (q) => {
      const m = activation.moments(q);
      return weight > 0 ? weight * m.d2 * m.error : 0;
    },
    pair: (q, gap) => {
      if (w2 === 0) return { distance: 0, slope: 0, error: 0 };
      const k = gap > 0 ? gapKernel(activation, q, gap) : { gap: 0, slope: activation.moments(q).d2, error: 0 };
      const lost = kept < 1 ? activation.moments(q).m2 * (1 - kept) / kept : 0;
      return { distance: w2 * (k.gap + lost), slope: w2 * k.slope, error: k.error };
    },
  };
}

function residualMap(w2, b2, alpha2, activation) {
  const branch = denseMap(w2, b2, 1, activation);
  const length = (q) => q + alpha2 * branch.length(q);
  return {
    ...branch,
    plain: false,
    branched: true,
    firstLength: length,
    firstGap: (q0, c0) => {
      const gap = 1 - c0;
      return (q0 * gap + alpha2 * branch.pair(q0, gap).distance) / length(q0);
    },
    firstFactor: (q0) => 1 + alpha2 * branch.gradient(q0),
    length,
    lengthOf: (q, m) => q + alpha2 * branch.lengthOf(q, m),
    lengthError: (q) => alpha2 * branch.lengthError(q),
    lengthSlope: (q) => 1 + alpha2 * branch.lengthSlope(q),
    slopeError: (q) => alpha2 * branch.slopeError(q),
    gradient: (q) => 1 + alpha2 * branch.gradient(q),
    gradientError: (q) => alpha2 * branch.gradientError(q),
    pair: (q, gap) => {
      const p = branch.pair(q, gap);
      return { distance: q * gap + alpha2 * p.distance, slope: 1 + alpha2 * p.slope, error: p.error };
    },
  };
}

// The branch reads a stream of mean square 1, so that it adds the same to every length.
function normedMap(w2, b2, alpha2, activation) {
  const inner = w2 + b2;
  const m = activation.moments(inner);
  const added = alpha2 * (w2 * m.m2 + b2);
  const through = alpha2 * w2 * w2;
  const backward = through > 0 ? through * m.d2 : 0; // also where phi jumps
  const pair = (q, gap) => {
    if (through === 0) return { distance: q * gap, slope: 1, error: 0 };
    const k = gap > 0 ? gapKernel(activation, inner, w2 * gap / inner) : { gap: 0, slope: m.d2, error: 0 };
    return {
      distance: q * gap + alpha2 * w2 * k.gap, slope: 1 + through * k.slope / q, error: k.error,
    };
  };
  const length = (q) => q + added;
  return {
    plain: false,
    branched: true,
    normed: true, // what reads the stream divides by its length
    w2,
    b2,
    lowest: activation.range[0],
    moments: (q) => activation.moments(q),
    firstLength: length,
    firstGap: (q0, c0) => pair(q0, 1 - c0).distance / length(q0),
    length,
    lengthOf: length,
    lengthError: () => added * m.error,
    lengthSlope: () => 1,
    slopeError: () => 0,
    gradient: (q) => 1 + backward / q,
    gradientError: (q) => backward * m.error / q,
    pair,
  };
}

// Attention whose weights are all 1 / T, then the normed branch.
function transformerMap(w2, b2, alpha2, tokens, activation) {
  const branch = normedMap(w2, b2, alpha2, activation);
  const mixed = alpha2 * w2 * w2;
  const middleLength = (q, gap) => q + mixed * (1 - gap * (tokens - 1) / tokens); // (1 + (T - 1) c) / T
  const middle = (q, gap) => {
    const length = middleLength(q, gap);
    return { q: length, gap: q * gap / length };
  };
  return {
    ...branch,
    tokens,
    // lengths depend on the correlation of tokens, so both are followed together
    step: (q, gap) => {
      const after = middle(q, gap);
      const p = branch.pair(after.q, after.gap);
      const next = branch.length(after.q);
      return { q: next, gap: p.distance / next, error: p.error };
    },
    lengthAt: (q, gap) => branch.length(middleLength(q, gap)),
    leastCorrelation: tokens > 1 ? -1 / (tokens - 1) : -1, // that any two of them can have
    firstLength: (q0) => branch.length(q0 + mixed),
    // second moments of the gradients of one token and of two, back through the block at (q, gap)
    back: (q, gap, alone, shared) => {
      const at = middle(q, gap);
      const own = alone * branch.gradient(at.q);
      const both = shared * branch.pair(at.q, at.gap).slope;
      const spread = mixed / q * (own + (tokens - 1) * both) / tokens;
      return [own + spread, both + spread];
    },
  };
}
