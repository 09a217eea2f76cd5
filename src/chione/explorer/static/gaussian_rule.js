// Gaussian moments of any function: Gauss-Legendre on panels that are geometric in |h| and split at
// the kinks. The nodes do not depend on q, only the weights exp(-h^2 / 2q) do.

import { compileFormula } from "./formula.js";
import { FormulaError } from "./formula_parser.js";
import { GAUSS_16, panelNodes, resolvedPanels } from "./panels.js";

const WIDEST_REACH = 600; // 13 standard deviations at the largest q
const SMALLEST_EDGE = 2e-5;
const MOST_PANELS_A_SIDE = 1600;
const LARGEST_Q = 2000;
const SMALLEST_Q = 1e-8;
const AWAY = 1; // from zero: there short lengths do not see how small phi is, and its rounding is left alone,
const ROUNDING = 1e7; // as that of x*(1 + tanh(x)) at x = -10
const SIGMAS = 9.5; // exp(-45) = 3e-20 lies beyond

// Edges that are geometric in |h|, so that a Gaussian of any width is smooth on each panel.
const GEOMETRIC_EDGES = (() => {
  const edges = [0];
  for (let h = SMALLEST_EDGE; h < WIDEST_REACH; h *= h < 0.01 ? 2 : 1.5) edges.push(h);
  return [...edges, WIDEST_REACH];
})();

// One value in the place of 0/0 at zero, as in sin(x)/x: the limits from both sides.
function withHoleFilled(phi) {
  if (!Number.isNaN(phi.value(0))) return phi;
  const limit = (f, side) => {
    // Neville's scheme to zero; two depths must agree
    const tableau = (count) => {
      const x = Array.from({ length: count }, (_, k) => side * 0.125 * (1 + Math.cos((Math.PI * (k + 0.5)) / count)));
      const y = x.map(f);
      for (let m = 1; m < count; m++) for (let k = 0; k < count - m; k++) y[k] = (x[k + m] * y[k] - x[k] * y[k + 1]) / (x[k + m] - x[k]);
      return y[0];
    };
    const [rough, fine] = [tableau(9), tableau(12)];
    return Math.abs(rough - fine) <= 1e-7 * Math.abs(fine) + 1e-9 ? fine : NaN;
  };
  const fill = (f) => { const at = (limit(f, 1) + limit(f, -1)) / 2; return (x) => (x === 0 ? at : f(x)); };
  return { ...phi, value: fill(phi.value), slope: fill(phi.slope) };
}

// The sentences with which the Python package refuses what is no activation.
function validated(phi) {
  const label = `The formula '${phi.text}'`;
  const sample = [0];
  for (let k = 0; k < 60; k++) sample.push(-30 + k + 0.0137);
  for (let k = 0; k < 60; k++) sample.push(9 * Math.sin(1.7 * k * k + 0.3));
  for (const x of sample) {
    const y = phi.value(x);
    if (Number.isNaN(y)) throw new FormulaError(`${label} returns NaN at ${Number(x.toPrecision(6))}; it must be defined for every real number.`);
    if (Math.abs(y) === Infinity && Math.abs(x) <= 4) throw new FormulaError(`${label} is infinite at ${Number(x.toPrecision(6))}; an activation must be finite.`);
  }
  return phi;
}

// Jumps of the value at the kinks: [{at, size}].
export function jumpsOf(phi, kinks) {
  const jumps = [];
  for (const at of kinks) {
    const step = 1e-9 * Math.max(Math.abs(at), 1e-3);
    const [a, b, c, d] = [-2, -1, 1, 2].map((k) => phi.value(at + k * step));
    const size = c - b, smooth = Math.abs(b - a) + Math.abs(d - c);
    // the root of abs(x) also moves a lot in 1e-9, but then it moves as much one step further
    if (Math.abs(size) > 1e3 * smooth && Math.abs(size) > 1e-7 * (Math.abs(b) + Math.abs(c))) jumps.push({ at, size });
  }
  return jumps;
}

// Whether E phi'^2 diverges at a kink: phi'^2 grows there like 1/distance or faster.
function steepAt(phi, at) {
  const size = Math.max(Math.abs(at), 1e-3);
  return [-1, 1].some((side) => {
    const [far, near] = [1e-6, 1e-9].map((d) => phi.slope(at + side * d * size) ** 2);
    return near > 1 && Number.isFinite(near) && Math.log(near / far) > 0.95 * Math.log(1e3);
  });
}

// All panels of one side from zero outwards, and how far they reach.
function sidePanels(phi, kinks, side, floor) {
  const inside = kinks.map((k) => side * k).filter((k) => k > 0 && k < WIDEST_REACH);
  const marks = [0, ...inside, AWAY, WIDEST_REACH].sort((a, b) => a - b);
  const wide = [0];
  let reach = WIDEST_REACH, unsure = 0, lost = false;
  for (let k = 0; k + 1 < marks.length && reach === WIDEST_REACH; k++) {
    if (marks[k + 1] === marks[k]) continue;
    // value and slope together: the slope often needs the finer panels
    const both = (h) => phi.value(side * h) + 0.618 * phi.slope(side * h);
    const part = resolvedPanels(both, marks[k], marks[k + 1], MOST_PANELS_A_SIDE - wide.length, { floor: marks[k] < AWAY ? floor : ROUNDING * floor, tolerance: 1e-10 });
    wide.push(...part.edges.slice(1));
    unsure = Math.max(unsure, part.unsure);
    if (!part.complete) { reach = wide[wide.length - 1]; lost = part.lost; }
  }
  const cuts = GEOMETRIC_EDGES.filter((h) => h > 0 && h < reach);
  const edges = [...new Set([...wide, ...cuts])].sort((a, b) => a - b);
  return { edges, reach, unsure, lost };
}

// Nodes h (ascending in |h| a side), weights, values and slopes of phi, once for all q.
function sampled(phi, sides, halved) {
  const h = [], w = [];
  for (const [side, { edges }] of [[-1, sides[0]], [1, sides[1]]]) {
    for (let k = 0; k + 1 < edges.length; k++) {
      const middle = (edges[k] + edges[k + 1]) / 2;
      for (const [a, b] of halved ? [[edges[k], middle], [middle, edges[k + 1]]] : [[edges[k], edges[k + 1]]]) {
        panelNodes(a, b).forEach((x, i) => { h.push(side * x); w.push(((b - a) / 2) * GAUSS_16.weights[i]); });
      }
    }
  }
  const nodes = Float64Array.from(h);
  return { nodes, weights: Float64Array.from(w), atZero: phi.value(0), values: nodes.map(phi.value), slopes: nodes.map(phi.slope) };
}

// Sums over the nodes at one q.
function momentsOn({ nodes, weights, values, slopes, atZero }, q) {
  let spread = 0, m2 = 0, m4 = 0, d2 = 0, stein = 0, mass = 0;
  const scale = 1 / Math.sqrt(2 * Math.PI * q), reach = 38 * Math.sqrt(q); // beyond, exp underflows
  for (let i = 0; i < nodes.length; i++) {
    const h = nodes[i];
    if (Math.abs(h) > reach) continue;
    const z2 = (h * h) / q, p = scale * weights[i] * Math.exp(-z2 / 2);
    const v2 = values[i] * values[i];
    mass += p;
    m2 += p * v2;
    spread += p * (values[i] - atZero) ** 2;
    m4 += p * v2 * v2;
    d2 += p * slopes[i] * slopes[i];
    stein += p * (z2 - 1) * v2;
  }
  return { m2, m4, d2, slope: stein / (2 * q), mass, spread };
}

// The part of E phi^4 that the panels next to their end still hold.
function tailShare({ nodes, weights, values }, q, reach) {
  let all = 0, tail = 0;
  for (let i = 0; i < nodes.length; i++) {
    const p = weights[i] * Math.exp((-nodes[i] * nodes[i]) / (2 * q)) * (values[i] ** 4 + 1e-300);
    all += p;
    if (Math.abs(nodes[i]) > 0.9 * reach) tail += p;
  }
  return tail / all;
}

// What the integrals of one function need: nodes, kinks, jumps, and the range of q.
export function gaussianRule(source) {
  const phi = validated(withHoleFilled(typeof source === "string" ? compileFormula(source) : source));
  const kinks = phi.kinks();
  const label = `The formula '${phi.text}'`;
  let scale = 0;
  for (let k = -40; k <= 40; k++) scale = Math.max(scale, Math.abs(phi.value(k / 10 + 0.0137)));
  if (!(scale > 0)) throw new FormulaError(`${label} is zero for all x below 4 in size; an activation must change with x.`);
  const floor = 1e-13 * scale;
  const sides = [-1, 1].map((side) => sidePanels(phi, kinks, side, floor));
  const reach = Math.min(sides[0].reach, sides[1].reach);
  if (reach < 4) {
    const why = sides.some((s) => s.lost) ? "grows without bound" : "oscillates or breaks too quickly";
    throw new FormulaError(`${label} ${why} near x = ${Number(reach.toPrecision(3))}; its Gaussian means cannot be computed here.`);
  }
  const fine = sampled(phi, sides, false);
  const jumps = jumpsOf(phi, kinks);
  const rough = jumps.length > 0 || kinks.some((at) => steepAt(phi, at));
  let high = Math.min(LARGEST_Q, (reach / SIGMAS) ** 2);
  while (high > SMALLEST_Q && !(tailShare(fine, high, reach) < 1e-17)) high *= 0.8;
  const rule = { phi, kinks, jumps, rough, reach, fine, halved: sampled(phi, sides, true) };
  let low = SMALLEST_Q;
  // where phi is flat around zero, short lengths see its far ends only, and at last nothing
  const usable = (q) => {
    const [a, b] = [fine, rule.halved].map((nodes) => momentsOn(nodes, q));
    const seen = b.m2 > 1e-120 && b.spread > 1e-120 && (rough || b.d2 > 1e-120);
    return seen && Math.abs(a.spread - b.spread) < 1e-7 * b.spread && momentsByRule(rule, q).error < 1e-7;
  };
  while (low < high && !usable(low)) low *= 1.25;
  if (!(high > 0.05)) {
    throw new FormulaError(`${label} grows too fast: its Gaussian means exist only for lengths below ${Number(high.toPrecision(2))}.`);
  }
  if (!(low < high)) {
    const still = momentsOn(fine, 1).spread === 0;
    throw new FormulaError(still
      ? `${label} does not change with x; an activation must.`
      : `${label} changes too abruptly: its Gaussian means cannot be computed here.`);
  }
  return { ...rule, range: [low, high] };
}

// {m2, m4, d2, slope, error} at one q by summation; `error` relative, from halved panels.
export function momentsByRule(rule, q) {
  const rough = momentsOn(rule.fine, q), fine = momentsOn(rule.halved, q);
  const off = (key) => Math.abs(rough[key] - fine[key]) / Math.abs(fine[key] || 1);
  const slopeOff = (Math.abs(rough.slope - fine.slope) * q) / fine.m2;
  const error = Math.max(off("m2"), off("m4"), rule.rough ? 0 : off("d2"), slopeOff, Math.abs(fine.mass - 1)) + 2e-14;
  return { m2: fine.m2, m4: fine.m4, d2: rule.rough ? Infinity : fine.d2, slope: fine.slope, error };
}

// The same sums on the plain panels, as quick as tables need them.
export function quickMoments(rule, q) {
  return momentsOn(rule.fine, q);
}
