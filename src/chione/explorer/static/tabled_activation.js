// The moments and kernels of an activation of the catalogue, from its table.

import { AngleSeries, chebyshevSum, pieceAt } from "./angle_series.js";
import { LENGTH_TERMS } from "./packed_table.js";

const SLOPE_NOISE = 1e-11; // of a column over log q, as a difference at a distance of 1e-3

// the power that a moment tends to far out: a multiple of one half between those of x^-2 and x^4
function tailPower(slope) {
  return Math.min(Math.max(Math.round(2 * slope) / 2, -2), 4);
}

export function tabledActivation(entry, table) {
  const qLow = Math.exp(table.low);
  const qHigh = Math.exp(table.high);
  const momentError = entry.error.moments;
  const kernelError = entry.error.kernel;
  const values = new Float64Array(4);
  let last = null; // the length that was asked for last, compiled in the angle

  function columnsAt(x) {
    const piece = pieceAt(table, x);
    const y = (2 * x - piece.low - piece.high) / (piece.high - piece.low);
    for (let i = 0; i < 4; i++) values[i] = chebyshevSum(piece.columns[i], 0, LENGTH_TERMS, y);
    return values;
  }

  // How the logarithm of a column goes on beyond an end of the table: its slope tends to a multiple
  // of one half, exponentially in log q, as that of a moment does whose activation is a power there.
  function goesOn(value, slopeAt, end, far) {
    const inward = end === table.low ? 1 : -1;
    const slope = slopeAt(end);
    const limit = tailPower(slope);
    const left = slope - limit;
    // a power as it is: what is left is rounding, which would add up over hundreds of decades
    if (Math.abs(left) < SLOPE_NOISE) return { value: value + limit * far, error: 5 * Math.abs(left) };
    const before = slopeAt(end + inward) - limit;
    const rate = Math.log(before / left);
    const size = Math.abs(far);
    const fades = rate > 0.2 && rate < 3;
    const correction = fades ? left / rate * (1 - Math.exp(-rate * size)) : left * size;
    const error = Math.abs(left) * (fades ? 0.1 / rate : Math.min(size, 1e3));
    return { value: value + limit * far + Math.sign(far) * correction, error };
  }

  function beyondTable(x) {
    const end = x < table.low ? table.low : table.high;
    const far = x - end;
    const [log2, logN, log4] = columnsAt(end);
    const tiny = end === table.low ? 1e-3 : -1e-3;
    const steepOf = (at) => (columnsAt(at + tiny)[1] - columnsAt(at)[1]) / tiny;
    const square = goesOn(log2, (at) => columnsAt(at)[3], end, far);
    const steep = goesOn(logN, steepOf, end, far);
    const bend = square.error + steep.error;
    // what grows faster than any power, or dies so, has no value here
    if (!(bend < 10)) {
      const gone = far > 0 ? Infinity : 0;
      return { m2: gone, n: gone, m4: gone, slope: gone, error: 1 };
    }
    const m2 = Math.exp(square.value);
    const power = columnsAt(end)[3];
    const limit = tailPower(power);
    const slope = (limit + (power - limit) * Math.exp(-0.5 * Math.abs(far))) * m2 / Math.exp(x);
    return {
      m2, n: Math.exp(steep.value), m4: Math.exp(log4) * m2 * m2, slope,
      error: momentError + Math.min(square.error, 1) + Math.min(steep.error, 1),
    };
  }

  function plainMoments(q) {
    const x = Math.log(q);
    if (!(x >= table.low && x <= table.high)) return beyondTable(x);
    const [log2, logN, log4, power] = columnsAt(x);
    const m2 = Math.exp(log2);
    return {
      m2, n: Math.exp(logN), m4: Math.exp(log4 + 2 * log2), slope: power * m2 / q,
      error: momentError,
    };
  }

  function moments(q) {
    if (q === 0) {
      const m = beyondTable(table.low - 60);
      const power = columnsAt(table.low)[3];
      const gone = power > 1e-6; // a power of q: nothing is left at zero
      const flat = power > 1.5; // nor of the slope
      return {
        m2: gone ? 0 : m.m2,
        m4: gone ? 0 : m.m4,
        d2: flat ? 0 : table.jumps ? Infinity : m.n, // jumps elsewhere are out of reach
        slope: flat ? 0 : m.slope,
        error: m.error,
      };
    }
    const m = plainMoments(q);
    const d2 = table.jumps ? Infinity : m.n;
    return { m2: m.m2, m4: m.m4, d2, slope: m.slope, error: m.error };
  }

  function atLength(q) {
    if (last !== null && last.q === q) return last;
    const m = plainMoments(q);
    const x = Math.min(Math.max(Math.log(q), table.low), table.high);
    const piece = pieceAt(table, x);
    const y = (2 * x - piece.low - piece.high) / (piece.high - piece.low);
    last = { q, m, series: new AngleSeries(table, piece, y), scale: q * m.n };
    return last;
  }

  // E phi phi of two inputs of mean square q whose correlation is 1 - oneMinusC
  function kernelAtGap(q, oneMinusC) {
    const at = atLength(q);
    const theta = 2 * Math.asin(Math.sqrt(Math.min(1, 0.5 * oneMinusC)));
    const gap = oneMinusC === 0 ? 0 : at.scale * at.series.integral(theta);
    let slope = at.m.n * at.series.ratio(theta);
    if (table.jumps) slope /= Math.sin(theta);
    return { value: at.m.m2 - gap, gap, slope, error: kernelError + at.m.error };
  }

  return {
    name: entry.name,
    label: entry.label,
    formula: entry.formula,
    expression: entry.expression,
    kinks: entry.kinks,
    jumps: table.jumps,
    parity: table.parity,
    even: entry.even,
    flat: entry.flat,
    range: [qLow, qHigh],
    recommendations: entry.recommendations,
    moments,
    kernelAtGap,
    kernel: (q, c) => kernelAtGap(q, 1 - c),
  };
}
