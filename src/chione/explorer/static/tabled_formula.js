// The activation object of a typed formula, from the tables that formula_tables.js makes.

import { clenshaw, evaluatePieces, pieceOf } from "./chebyshev_pieces.js";

const LEADING = 1e-5; // of a moment, beside its leading power
const LOWEST_POWER = 1e-12;
export const ANGLE_COUNT = 18; // Chebyshev points on a piece of theta

// gap = m2 R s with s = (1 - c) / 2, or its root where phi jumps: R is smooth down to c = 1.
export function gapScale(jumps, theta) {
  const s = Math.sin(theta / 2);
  return jumps ? s : s * s;
}

// The angle of two inputs with 1 - c = left, accurate next to c = 1 and to c = -1.
export function angleOfGap(left) {
  const half = Math.sqrt(left / 2);
  return half < 0.8 ? 2 * Math.asin(half) : Math.PI - 2 * Math.asin(Math.sqrt(Math.max(0, (2 - left) / 2)));
}

// R and its derivative by theta at one (q, theta). The row of one q is kept: a map asks it often.
function kernelReader(kernel) {
  const { angles, qEdges, qCount, coefficients } = kernel;
  const pieces = angles.length - 1;
  let keptQ = NaN, row = new Float64Array(pieces * ANGLE_COUNT);
  return (q, theta) => {
    if (q !== keptQ) {
      const u = Math.log(q), k = pieceOf(qEdges, u);
      const t = (2 * u - qEdges[k] - qEdges[k + 1]) / (qEdges[k + 1] - qEdges[k]);
      const base = k * pieces * ANGLE_COUNT * qCount;
      for (let m = 0; m < row.length; m++) row[m] = clenshaw(coefficients, base + m * qCount, qCount, t);
      keptQ = q;
    }
    const j = pieceOf(angles, theta), width = angles[j + 1] - angles[j];
    const t = (2 * theta - angles[j] - angles[j + 1]) / width;
    // Clenshaw for the polynomial and for its derivative together
    let b0 = 0, b1 = 0, d0 = 0, d1 = 0;
    for (let m = ANGLE_COUNT - 1; m > 0; m--) {
      const nextD = 2 * b0 + 2 * t * d0 - d1;
      d1 = d0;
      d0 = nextD;
      const next = row[j * ANGLE_COUNT + m] + 2 * t * b0 - b1;
      b1 = b0;
      b0 = next;
    }
    return [row[j * ANGLE_COUNT] + t * b0 - b1, ((b0 + t * d0 - d1) * 2) / width];
  };
}

// The activation object of the page from the tables of the worker.
export function activationFromTables(tables) {
  const { moments: pieces, range, jumps, rough } = tables;
  const read = kernelReader(tables.kernel);
  const outside = (q) => !(q >= range[0] * (1 - 1e-12) && q <= range[1] * (1 + 1e-12));
  const inner = (q) => Math.min(Math.max(q, range[0]), range[1]);
  const clamped = (q) => Math.log(inner(q));
  const momentError = (u) => {
    const [low, high] = range.map(Math.log), { momentErrors } = tables;
    return momentErrors[Math.round(((momentErrors.length - 1) * (u - low)) / (high - low))];
  };
  const none = (names) => Object.fromEntries(names.map((name) => [name, NaN]));
  // Beyond the tables a function with straight ends a and b has E phi^2 = (a^2 + b^2) q / 2 and a rest
  // that grows as the root of q; what follows that rest is stated as the error.
  const beyond = (q) => {
    const [a, b] = tables.ends, square = (a * a + b * b) / 2, top = range[1], at = moments(top);
    const fade = Math.sqrt(top / q), rest = at.m2 / top - square;
    const m2 = q * (square + rest * fade), d2 = square + (at.d2 - square) * fade;
    const off = Math.abs(rest / square) + Math.abs(at.d2 / square - 1);
    return { m2, m4: at.m4 * (q / top) ** 2, d2, slope: square + (rest * fade) / 2, error: at.error + off * fade };
  };
  const follows = (q) => tables.ends !== null && !rough && q > range[1] && q < Infinity;
  // Below the tables moments go on as powers of q, those that they have at the low end.
  const below = (q) => {
    const [low] = range, at = moments(low), exponent = (at.slope * low) / at.m2;
    const power = Math.max(0, Math.round(2 * exponent) / 2), off = 2 * Math.abs(exponent - power);
    const share = (q / low) ** power; // 1 at q = 0 where phi is a constant there
    const steep = power > 1 ? (q / low) ** (power - 1) : 1;
    const slope = power > 1 || q === 0 ? steep * at.slope : (power * at.m2 * share) / q;
    return { m2: at.m2 * share, m4: at.m4 * share * share, d2: at.d2 * steep, slope, share, error: at.error + off };
  };
  const moments = (q) => {
    if (q >= 0 && q < range[0]) return below(q);
    if (outside(q) && follows(q)) return beyond(q);
    if (outside(q)) return none(["m2", "m4", "d2", "slope", "error"]);
    const u = clamped(q), m2 = Math.exp(evaluatePieces(pieces, 0, u));
    return {
      m2,
      m4: Math.exp(evaluatePieces(pieces, 1, u)),
      d2: rough ? Infinity : Math.exp(evaluatePieces(pieces, 2, u)),
      slope: (evaluatePieces(pieces, 3, u) * m2) / q,
      error: momentError(u),
    };
  };
  // `left` is 1 - c, which c itself rounds next to 1
  const kernelAtGap = (q, left) => {
    if (outside(q) && follows(q)) {
      // of straight ends the kernel at equal correlation grows as q
      const { gap, slope, error } = kernelAtGap(range[1], left), scaled = (gap * q) / range[1];
      const bent = 2 * beyond(range[1]).error; // how far from straight phi still is at the end of the tables
      return { value: beyond(q).m2 - scaled, gap: scaled, slope, error: error + bent };
    }
    if (q >= 0 && q < range[0]) {
      const { m2, share, error: off } = below(q), at = kernelAtGap(range[0], left), gap = at.gap * share;
      return { value: m2 - gap, gap, slope: share === 0 ? at.slope : (at.slope * share * range[0]) / q, error: at.error + off };
    }
    if (outside(q) || !(left >= 0 && left <= 2)) return none(["value", "gap", "slope", "error"]);
    const { m2, d2, error: off } = moments(q), inside = inner(q);
    if (left === 0) return { value: m2, gap: 0, slope: d2, error: off };
    const theta = angleOfGap(left), [r, bend] = read(inside, theta);
    const gap = m2 * r * gapScale(jumps, theta);
    // slope = d gap / d theta / (q sin theta); next to c = -1 it is taken a little inside
    const at = Math.min(theta, Math.PI - 1e-5), half = at / 2;
    const near = at === theta ? [r, bend] : read(inside, at);
    const slope = jumps
      ? (m2 * (near[1] * Math.sin(half) + (near[0] * Math.cos(half)) / 2)) / (q * Math.sin(at))
      : (m2 * (near[1] * Math.tan(half) + near[0])) / (2 * q);
    // phi(u1) - phi(u2) is known to rounding of phi
    const error = tables.kernel.errors[pieceOf(tables.kernel.angles, theta)] + off + 2e-15 * Math.sqrt(m2 / gap);
    return { value: m2 - gap, gap, slope, error };
  };
  const kernel = (q, c) => kernelAtGap(q, 1 - c);
  const { text, kinks, flat, even } = tables;
  // where only the leading power is left, it goes on further down
  const reach = [below(range[0]).error < LEADING ? Math.min(range[0], LOWEST_POWER) : range[0], range[1]];
  return { name: text, label: text, formula: text, kinks, jumps, rough, flat, even, range: reach, moments, kernel, kernelAtGap };
}
