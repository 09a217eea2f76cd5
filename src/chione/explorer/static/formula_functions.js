// The functions and operators that a formula may hold, with their derivatives: those of Python's
// reader, one rule each. `switches` says where a rule breaks: `of` is the quantity that decides.

import { CATALOGUE_FUNCTIONS } from "./catalogue_functions.js";
import { erfc, expMinusSquare, flooredRemainder, logAddExp, logisticSigmoid, normalCdf, normalDensity, normalizedSinc, roundHalfEven, sincSlope, TWO_OVER_SQRT_PI } from "./special_functions.js";

const identityOf = (u) => u;
const crossingAt = (...levels) => [{ of: identityOf, kind: "crossing", levels }];
const touchingAt = (...levels) => [{ of: identityOf, kind: "touching", levels }];
const stepping = (shift) => [{ of: (u) => u + shift, kind: "integers", levels: [] }];
const unaryRule = (value, slope, switches = []) => ({ arity: 1, value, slope, switches });
const binaryRule = (value, partials, switches = []) => ({ arity: 2, value, partials, switches });
const difference = [{ of: (a, b) => a - b, kind: "crossing", levels: [0] }];
const stepRule = (value, shift) => ({ ...unaryRule(value, () => 0, stepping(shift)), locallyConstant: true });

function arcRoot(u) {
  return Math.sqrt((1 - u) * (1 + u));
}

function powerOf(a, b) {
  if (b === 3) return a * a * a;
  return a === 1 ? 1 : Math.pow(a, b);
}

function powerPartials(a, b, constantExponent) {
  if (constantExponent) {
    if (b === 2) return [a * a, 2 * a, 0];
    if (b === 3) return [a * a * a, 3 * a * a, 0];
    return [powerOf(a, b), b === 0 ? 0 : b * Math.pow(a, b - 1), 0];
  }
  const f = powerOf(a, b);
  return [f, b * Math.pow(a, b - 1), f * Math.log(a)];
}

const maximumRule = binaryRule(Math.max, (a, b) => [Math.max(a, b), a >= b ? 1 : 0, a >= b ? 0 : 1], difference);
const minimumRule = binaryRule(Math.min, (a, b) => [Math.min(a, b), a <= b ? 1 : 0, a <= b ? 0 : 1], difference);

export const FORMULA_OPERATORS = {
  "+": binaryRule((a, b) => a + b, (a, b) => [a + b, 1, 1]),
  "-": binaryRule((a, b) => a - b, (a, b) => [a - b, 1, -1]),
  "*": binaryRule((a, b) => a * b, (a, b) => [a * b, b, a]),
  "/": binaryRule((a, b) => a / b, (a, b) => [a / b, 1 / b, -(a / b) / b], [{ of: (a, b) => b, kind: "touching", levels: [0] }]),
  "**": binaryRule(powerOf, powerPartials, [{ of: (a, b) => (Number.isInteger(b) && b >= 0 ? 1 : a), kind: "touching", levels: [0] }]),
  "%": binaryRule(flooredRemainder, (a, b) => [flooredRemainder(a, b), 1, -Math.floor(a / b)], [{ of: (a, b) => a / b, kind: "integers", levels: [] }]),
};

const OWN_FUNCTIONS = {
  exp2: unaryRule((u) => Math.pow(2, u), (u) => Math.LN2 * Math.pow(2, u)),
  expm1: unaryRule(Math.expm1, Math.exp),
  log: unaryRule(Math.log, (u) => 1 / u, touchingAt(0)),
  log2: unaryRule(Math.log2, (u) => Math.LOG2E / u, touchingAt(0)),
  log10: unaryRule(Math.log10, (u) => Math.LOG10E / u, touchingAt(0)),
  log1p: unaryRule(Math.log1p, (u) => 1 / (1 + u), touchingAt(-1)),
  sqrt: unaryRule(Math.sqrt, (u) => 0.5 / Math.sqrt(u), touchingAt(0)),
  cbrt: unaryRule(Math.cbrt, (u) => (u === 0 ? Infinity : Math.cbrt(u) / u / 3), touchingAt(0)),
  square: unaryRule((u) => u * u, (u) => 2 * u),
  tan: unaryRule(Math.tan, (u) => 1 + Math.tan(u) ** 2, [{ of: (u) => u / Math.PI + 0.5, kind: "integers", levels: [] }]),
  arcsin: unaryRule(Math.asin, (u) => 1 / arcRoot(u), touchingAt(-1, 1)),
  arccos: unaryRule(Math.acos, (u) => -1 / arcRoot(u), touchingAt(-1, 1)),
  sinh: unaryRule(Math.sinh, Math.cosh),
  cosh: unaryRule(Math.cosh, Math.sinh),
  arccosh: unaryRule(Math.acosh, (u) => 1 / Math.sqrt((u - 1) * (u + 1)), touchingAt(1)),
  arctanh: unaryRule(Math.atanh, (u) => 1 / ((1 - u) * (1 + u)), touchingAt(-1, 1)),
  atan: unaryRule(Math.atan, (u) => 1 / (1 + u * u)),
  asinh: unaryRule(Math.asinh, (u) => 1 / Math.hypot(1, u)),
  floor: stepRule(Math.floor, 0),
  ceil: stepRule(Math.ceil, 0),
  round: stepRule(roundHalfEven, 0.5),
  erfc: unaryRule(erfc, (u) => -TWO_OVER_SQRT_PI * expMinusSquare(u)),
  ndtr: unaryRule(normalCdf, normalDensity),
  sinc: unaryRule(normalizedSinc, sincSlope),
  max: maximumRule,
  min: minimumRule,
  maximum: maximumRule,
  minimum: minimumRule,
  hypot: binaryRule(Math.hypot, (a, b) => { const f = Math.hypot(a, b); return [f, a / f, b / f]; }, [{ of: Math.hypot, kind: "touching", levels: [0] }]),
  arctan2: binaryRule(
    Math.atan2,
    (a, b) => { const s = a * a + b * b; return [Math.atan2(a, b), b / s, -a / s]; },
    [{ of: (a) => a, kind: "touching", levels: [0] }],
  ),
  logaddexp: binaryRule(logAddExp, (a, b) => [logAddExp(a, b), logisticSigmoid(a - b), logisticSigmoid(b - a)]),
  clip: {
    arity: 3,
    value: (x, a, b) => Math.min(Math.max(x, a), b),
    switches: [
      { of: (x, a) => x - a, kind: "crossing", levels: [0] },
      { of: (x, a, b) => Math.max(x, a) - b, kind: "crossing", levels: [0] },
    ],
  },
  where: { arity: 3, value: (test, a, b) => (test !== 0 ? a : b) },
};

const fromCatalogue = Object.entries(CATALOGUE_FUNCTIONS).map(([name, { value, slope, kinks }]) => [
  name,
  unaryRule(value, slope, name === "abs" ? touchingAt(0) : kinks.length ? crossingAt(...kinks) : []),
]);

// Without a prototype, so that "constructor" is no function of a formula.
export const FORMULA_FUNCTIONS = Object.assign(Object.create(null), Object.fromEntries(fromCatalogue), OWN_FUNCTIONS);
