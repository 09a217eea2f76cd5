// Formulas that are sums of waves, phi(x) = sum c x^a e^(i w x), such as x + sin(x)**2: their kernels
// are known in closed form however far the waves reach. With G(a, b) = E u1^a u2^b e^(i (w u1 + v u2)),
//
//     G(0, 0) = exp(-q (w^2 + 2 c w v + v^2) / 2),
//     G(a + 1, b) = q (s + c t) G(a, b) + q a G(a - 1, b) + q c b G(a, b - 1),   s = i w, t = i v,
//
// by parts. The difference D = G at c = 1 less G at c keeps its digits by the recursion of its own.

import { FORMULA_FUNCTIONS } from "./formula_functions.js";

const MOST_WAVE_TERMS = 24;
const MOST_WAVE_POWER = 8;
const LINEAR_CALLS = { sin: 1, cos: 1, siren: 30 };

const keyOf = ({ power, rate }) => `${power}|${rate}`;

function merged(terms) {
  const found = new Map();
  for (const { power, rate, re, im } of terms) {
    const key = keyOf({ power, rate }), known = found.get(key) ?? { power, rate, re: 0, im: 0 };
    found.set(key, { power, rate, re: known.re + re, im: known.im + im });
  }
  const left = [...found.values()].filter(({ re, im }) => re !== 0 || im !== 0);
  return left.length <= MOST_WAVE_TERMS && left.every(({ power }) => power <= MOST_WAVE_POWER) ? left : null;
}

const constantTerm = (value) => [{ power: 0, rate: 0, re: value, im: 0 }];
const constantIn = (terms) => {
  if (terms === null || terms.some(({ power, rate }) => power || rate)) return undefined;
  return terms.length ? terms[0].re : 0;
};
const times = (a, b) => merged(a.flatMap((p) => b.map((r) => ({
  power: p.power + r.power, rate: p.rate + r.rate, re: p.re * r.re - p.im * r.im, im: p.re * r.im + p.im * r.re,
}))));
const scaledBy = (terms, k) => terms.map((t) => ({ ...t, re: k * t.re, im: k * t.im }));

function powerOfWaves(base, exponent) {
  if (!Number.isInteger(exponent) || exponent < 0 || exponent > MOST_WAVE_POWER) return null;
  let out = constantTerm(1);
  for (let k = 0; k < exponent && out !== null; k++) out = times(out, base);
  return out;
}

// sin or cos of a straight line k x + m
function waveOf(name, line) {
  if (line.some(({ power, rate }) => rate !== 0 || power > 1)) return null;
  const part = (power) => line.find((term) => term.power === power)?.re ?? 0;
  const rate = LINEAR_CALLS[name] * part(1), start = LINEAR_CALLS[name] * part(0);
  const [re, im] = [Math.cos(start) / 2, Math.sin(start) / 2];
  if (name === "cos") return merged([{ power: 0, rate, re, im }, { power: 0, rate: -rate, re, im: -im }]);
  return merged([{ power: 0, rate, re: im, im: -re }, { power: 0, rate: -rate, re: im, im: re }]);
}

function binaryWaves(operator, a, b) {
  if (a === null || b === null) return null;
  const k = constantIn(b);
  switch (operator) {
    case "+": return merged([...a, ...b]);
    case "-": return merged([...a, ...scaledBy(b, -1)]);
    case "*": return times(a, b);
    case "/": return k ? scaledBy(a, 1 / k) : null;
    case "**": return k === undefined ? null : powerOfWaves(a, k);
    default: return null;
  }
}

function callWaves({ callee, args, odd }) {
  const inner = args.map(wavesOf), name = callee.name;
  if (odd || inner.includes(null) || !Object.hasOwn(FORMULA_FUNCTIONS, name)) return null;
  if (FORMULA_FUNCTIONS[name].arity !== args.length) return null;
  const constants = inner.map(constantIn);
  if (!constants.includes(undefined)) return constantTerm(FORMULA_FUNCTIONS[name].value(...constants));
  if (Object.hasOwn(LINEAR_CALLS, name)) return waveOf(name, inner[0]);
  const powers = { linear: 1, square: 2, quadratic: 2, cubic: 3 };
  return Object.hasOwn(powers, name) ? powerOfWaves(inner[0], powers[name]) : null;
}

/** The terms {power, rate, re, im} of a formula's tree, or null where it is no such sum. */
export function wavesOf(tree) {
  switch (tree.kind) {
    case "number": return constantTerm(tree.value);
    case "name": return tree.name === "x" ? [{ power: 1, rate: 0, re: 1, im: 0 }] : constantTerm(Math[tree.name.toUpperCase()] ?? NaN);
    case "unary": {
      const inner = wavesOf(tree.operand);
      return tree.operator === "~" || inner === null ? null : scaledBy(inner, tree.operator === "-" ? -1 : 1);
    }
    case "binary": return binaryWaves(tree.operator, wavesOf(tree.left), wavesOf(tree.right));
    case "call": return callWaves(tree);
    default: return null;
  }
}

// D(a, b) of one pair of waves, real and imaginary part, with what its parts may have lost.
function pairDrop(one, two, q, left) {
  const { rate: w, power: a } = one, { rate: v, power: b } = two, c = 1 - left;
  const exponent = (-q * (w + v) ** 2) / 2, change = q * w * v * left;
  const whole = Math.exp(exponent), rest = Math.exp(-q * ((w - v) ** 2 / 2 + w * v * (2 - left)));
  const drop = Math.abs(change) < 1 ? -whole * Math.expm1(change) : whole - rest;
  // rows [re, im] of G(1) and of D, by powers of u1 and of u2
  const g = [], d = [];
  for (let m = 0; m <= a; m++) {
    g.push([]);
    d.push([]);
    for (let n = 0; n <= b; n++) {
      if (m === 0 && n === 0) { g[0].push([whole, 0]); d[0].push([drop, 0]); continue; }
      // one power less of the one that is raised, and of it (less) and of the other (cross) two less
      const up = m > 0, [i, j] = up ? [m - 1, n] : [m, n - 1];
      const [own, other] = up ? [w, v] : [v, w];
      const gi = g[i][j];
      const again = up ? (m > 1 ? [m - 1, m - 2, n] : null) : n > 1 ? [n - 1, m, n - 2] : null;
      const cross = up ? (n > 0 ? [n, m - 1, n - 1] : null) : null;
      const sum = (table, slope) => {
        const [re, im] = table[i][j];
        const out = [-q * slope * im, q * slope * re]; // times q i slope
        if (again) for (const k of [0, 1]) out[k] += q * again[0] * table[again[1]][again[2]][k];
        return out;
      };
      const nextG = sum(g, own + other), nextD = sum(d, own + c * other);
      nextD[0] += -q * left * other * gi[1];
      nextD[1] += q * left * other * gi[0];
      if (cross) {
        for (const k of [0, 1]) {
          const gAt = g[cross[1]][cross[2]][k], dAt = d[cross[1]][cross[2]][k];
          nextG[k] += q * cross[0] * gAt;
          nextD[k] += q * cross[0] * (c * dAt + left * gAt);
        }
      }
      g[m].push(nextG);
      d[m].push(nextD);
    }
  }
  return d[a][b];
}

/** {gap, error}: E phi^2 less the kernel at correlation 1 - left, and an estimate of its rounding. */
export function waveGap(terms, q, left) {
  let gap = 0, size = 0;
  for (let j = 0; j < terms.length; j++) {
    for (let k = j; k < terms.length; k++) {
      const one = terms[j], two = terms[k];
      const [re, im] = pairDrop(one, two, q, left);
      const [cr, ci] = [one.re * two.re - one.im * two.im, one.re * two.im + one.im * two.re];
      const part = (j === k ? 1 : 2) * (cr * re - ci * im);
      gap += part;
      size += Math.abs(part);
    }
  }
  return { gap, error: 32 * Number.EPSILON * size };
}
