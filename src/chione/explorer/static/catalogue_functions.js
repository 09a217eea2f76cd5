// The activations of chione's catalogue, with their default parameters: value, derivative, and
// the places where either jumps. Written as in the Python package, so that no digit is lost.

import { erf, expMinusSquare, logisticSigmoid, normalCdf, normalDensity, productError, sechSquared, TWO_OVER_SQRT_PI } from "./special_functions.js";

const SELU_ALPHA = 1.6732632423543772848170429916717;
const SELU_SCALE = 1.0507009873554804934193349852946;
const HALF_ROOT_PI = 0.5 * Math.sqrt(Math.PI);
const HALF_ROOT_PI_LOW = 7.268936996338665e-17; // sqrt(pi)/2 - the double next to it
const SIREN_RATE = 30;
const QUICK_RATE = 1.702;
const GELU_CUBIC = 0.044715;
const ROOT_8_OVER_PI = Math.sqrt(8 / Math.PI);

const clipTo = (z, low, high) => (z !== z ? z : z < low ? low : z > high ? high : z);
const leaky = (slope) => entry((z) => (z > 0 ? z : slope * z), (z) => (z > 0 ? 1 : slope), [0]);
const clipped = (low, high) =>
  entry((z) => clipTo(z, low, high), (z) => (z > low && z < high ? 1 : 0), [low, high]);
const exponentialUnit = (z) => (z > 0 ? z : Math.expm1(z));
const exponentialSlope = (z) => (z > 0 ? 1 : Math.exp(z));
const gatedBy = (rate) =>
  entry(
    (z) => z * logisticSigmoid(rate * z),
    (z) => logisticSigmoid(rate * z) * (1 + rate * z * logisticSigmoid(-rate * z)),
  );

function entry(value, slope, kinks = []) {
  return { value, slope, kinks };
}

function softplusOf(z) {
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
}

// tanh(softplus z) and its slope in powers of e^-|z|.
function mishGate(z) {
  const w = Math.exp(-Math.abs(z));
  if (z > 0) {
    const high = 1 + 2 * w * (1 + w);
    return [(1 + 2 * w) / high, (4 * w * w * (1 + w)) / (high * high)];
  }
  const low = w * (w + 2) + 2;
  return [(w * (w + 2)) / low, (4 * w * (1 + w)) / (low * low)];
}

// The argument v = 2u of the sigmoid in gelu_tanh and its slope; beyond 40 the gate is shut.
function tanhGate(x) {
  const z = clipTo(x, -40, 40), square = z * z;
  return [
    ROOT_8_OVER_PI * z * (1 + GELU_CUBIC * square),
    ROOT_8_OVER_PI * (1 + 3 * GELU_CUBIC * square),
  ];
}

// x - tanh x without cancellation, by the continued fraction of tanh.
function tanhshrinkOf(z) {
  if (Math.abs(z) >= 1.5) return z - Math.tanh(z);
  const square = z * z;
  let r = 0;
  for (let level = 14; level > 0; level--) r = square / (2 * level + 1 + r);
  return (z * r) / (1 + r);
}

function sirenPhase(z) {
  const phase = SIREN_RATE * z;
  return [phase, productError(SIREN_RATE, z, phase)];
}

export const CATALOGUE_FUNCTIONS = {
  linear: entry((z) => z, () => 1),
  relu: entry((z) => (z !== z ? z : z > 0 ? z : 0), (z) => (z > 0 ? 1 : 0), [0]),
  leaky_relu: leaky(0.01),
  prelu: leaky(0.25),
  abs: entry(Math.abs, Math.sign, [0]),
  relu6: clipped(0, 6),
  hardtanh: clipped(-1, 1),
  shifted_relu: entry((z) => Math.max(z, -1), (z) => (z > -1 ? 1 : 0), [-1]),
  squared_relu: entry(
    (z) => { const v = Math.max(z, 0); return v * v; },
    (z) => 2 * Math.max(z, 0),
    [0],
  ),
  tanh: entry(Math.tanh, sechSquared),
  erf: entry(erf, (z) => TWO_OVER_SQRT_PI * expMinusSquare(z)),
  erf_scaled: entry(
    (z) => erf(HALF_ROOT_PI * z),
    (z) => expMinusSquare(z, HALF_ROOT_PI, HALF_ROOT_PI_LOW),
  ),
  sigmoid: entry(logisticSigmoid, (z) => logisticSigmoid(z) * logisticSigmoid(-z)),
  hardsigmoid: entry(
    (z) => clipTo((z + 3) / 6, 0, 1),
    (z) => (Math.abs(z) < 3 ? 1 / 6 : 0),
    [-3, 3],
  ),
  softplus: entry(softplusOf, logisticSigmoid),
  gelu: entry((z) => z * normalCdf(z), (z) => normalCdf(z) + z * normalDensity(z)),
  gelu_tanh: entry(
    (z) => z * logisticSigmoid(tanhGate(z)[0]),
    (z) => {
      const [v, dv] = tanhGate(z);
      return logisticSigmoid(v) * (1 + z * dv * logisticSigmoid(-v));
    },
  ),
  quick_gelu: gatedBy(QUICK_RATE),
  silu: gatedBy(1),
  swish: gatedBy(1),
  hardswish: entry(
    (z) => z * clipTo((z + 3) / 6, 0, 1),
    (z) => (z >= 3 ? 1 : z > -3 ? (2 * z + 3) / 6 : 0),
    [-3, 3],
  ),
  mish: entry(
    (z) => z * mishGate(z)[0],
    (z) => { const [gate, slope] = mishGate(z); return gate + z * slope; },
  ),
  selu: entry(
    (z) => SELU_SCALE * (z > 0 ? z : SELU_ALPHA * Math.expm1(z)),
    (z) => SELU_SCALE * (z > 0 ? 1 : SELU_ALPHA * Math.exp(z)),
    [0],
  ),
  elu: entry(exponentialUnit, exponentialSlope, [0]),
  celu: entry(exponentialUnit, exponentialSlope, [0]),
  softsign: entry((z) => z / (1 + Math.abs(z)), (z) => 1 / ((1 + Math.abs(z)) * (1 + Math.abs(z))), [0]),
  arctan: entry(Math.atan, (z) => 1 / (1 + z * z)),
  arcsinh: entry(Math.asinh, (z) => 1 / Math.sqrt(1 + z * z)),
  sin: entry(Math.sin, Math.cos),
  cos: entry(Math.cos, (z) => -Math.sin(z)),
  siren: entry(
    (z) => { const [p, d] = sirenPhase(z); return Math.sin(p) + d * Math.cos(p); },
    (z) => { const [p, d] = sirenPhase(z); return SIREN_RATE * (Math.cos(p) - d * Math.sin(p)); },
  ),
  gaussian: entry((z) => expMinusSquare(z), (z) => -2 * z * expMinusSquare(z)),
  exp: entry(Math.exp, Math.exp),
  quadratic: entry((z) => z * z, (z) => 2 * z),
  cubic: entry((z) => z * z * z, (z) => 3 * z * z),
  step: entry((z) => (z > 0 ? 1 : 0), () => 0, [0]),
  sign: entry(Math.sign, () => 0, [0]),
  softshrink: entry(
    (z) => Math.sign(z) * Math.max(Math.abs(z) - 0.5, 0),
    (z) => (Math.abs(z) > 0.5 ? 1 : 0),
    [-0.5, 0.5],
  ),
  hardshrink: entry(
    (z) => (Math.abs(z) > 0.5 ? z : 0),
    (z) => (Math.abs(z) > 0.5 ? 1 : 0),
    [-0.5, 0.5],
  ),
  tanhshrink: entry(tanhshrinkOf, (z) => { const t = Math.tanh(z); return t * t; }),
  logsigmoid: entry((z) => -softplusOf(-z), (z) => logisticSigmoid(-z)),
};
