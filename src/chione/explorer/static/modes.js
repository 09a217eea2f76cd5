// What one layer, or one block, does to lengths, correlations and gradients, by mode.
//
// A map has: firstLength(q0), firstGap(q0, c0), length(q), lengthOf(q, moments), lengthSlope(q),
// gradient(q), pair(q, gap) and errors of these. pair gives {factor, slope, error}:
// q' (1 - c') = factor * q * (1 - c), and slope = d(q' c') / d(q c).

export const MODES = ["plain"];

export function blockOf(network, activation) {
  const w2 = network.sigma_w ** 2;
  const b2 = network.sigma_b ** 2;
  return plainMap(w2, b2, activation);
}

function gapKernel(activation, q, gap) {
  if (activation.kernelAtGap) return activation.kernelAtGap(q, gap);
  return activation.kernel(q, 1 - gap);
}

function plainMap(w2, b2, activation) {
  return {
    plain: true,
    w2,
    b2,
    lowest: activation.range[0],
    moments: (q) => activation.moments(q),
    firstLength: (q0) => w2 * q0 + b2,
    firstGap: (q0, c0) => w2 * q0 * (1 - c0) / (w2 * q0 + b2),
    length: (q) => w2 * activation.moments(q).m2 + b2,
    lengthOf: (q, m) => w2 * m.m2 + b2,
    lengthError: (q) => {
      const m = activation.moments(q);
      return w2 * m.m2 * m.error;
    },
    lengthSlope: (q) => w2 * activation.moments(q).slope,
    slopeError: (q) => {
      const m = activation.moments(q);
      const size = q > 0 ? Math.max(Math.abs(m.slope), m.m2 / q) : Math.abs(m.slope);
      return w2 * size * m.error;
    },
    gradient: (q) => w2 * activation.moments(q).d2,
    gradientError: (q) => {
      const m = activation.moments(q);
      return w2 * m.d2 * m.error;
    },
    pair: (q, gap) => {
      const k = gapKernel(activation, q, gap);
      return { factor: w2 * k.gap / (q * gap), slope: w2 * k.slope, error: k.error };
    },
  };
}
