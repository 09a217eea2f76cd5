// Gauss-Legendre nodes, and panels of the line on which sixteen of them resolve a function.

// Nodes and weights on [-1, 1] by Newton's method on the Legendre polynomial.
export function legendreRule(count) {
  const nodes = new Float64Array(count), weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = -Math.cos((Math.PI * (i + 0.75)) / (count + 0.5)), slope = 1;
    for (let step = 0; step < 8; step++) {
      let p = 1, before = 0;
      for (let k = 1; k <= count; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = (count * (x * p - before)) / (x * x - 1);
      x -= p / slope;
    }
    nodes[i] = x;
    weights[i] = 2 / ((1 - x * x) * slope * slope);
  }
  return { count, nodes, weights };
}

export const GAUSS_16 = legendreRule(16);

function legendre(degree, x) {
  let p = 1, before = 0;
  for (let k = 1; k <= degree; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
  return p;
}

// The last three Legendre coefficients of values at the 16 nodes, by quadrature.
const LEGENDRE_TAIL = [13, 14, 15].map((degree) =>
  GAUSS_16.nodes.map((x, i) => (degree + 0.5) * GAUSS_16.weights[i] * legendre(degree, x)));

// Places next to the ends, where no node lies, and what the interpolant makes there of the values.
const BESIDE_ENDS = [-0.998, 0.998].map((t) => ({
  t,
  row: GAUSS_16.nodes.map((x, i) => {
    let sum = 0;
    for (let k = 0; k < 16; k++) sum += (k + 0.5) * legendre(k, x) * legendre(k, t);
    return GAUSS_16.weights[i] * sum;
  }),
}));

function weighted(row, values) {
  let sum = 0;
  for (let i = 0; i < 16; i++) sum += row[i] * values[i];
  return sum;
}

const NARROWEST_PANEL = 1e-9; // relative to its place: what is not smooth there is left to the error

export function panelNodes(low, high) {
  const middle = (low + high) / 2, half = (high - low) / 2;
  return GAUSS_16.nodes.map((x) => middle + half * x);
}

// Whether f is a polynomial of degree 15 on the panel to `tolerance` of its largest value there. The
// rule integrates degree 31 exactly, so the square of f comes out to about the tolerance squared.
// "lost" where f is no number.
function panelState(f, low, high, { floor, tolerance }) {
  const values = panelNodes(low, high).map(f);
  let largest = floor;
  for (const v of values) {
    if (!(Math.abs(v) < 1e75)) return "lost";
    largest = Math.max(largest, Math.abs(v));
  }
  for (const row of LEGENDRE_TAIL) if (Math.abs(weighted(row, values)) > tolerance * largest) return "open";
  // a feature that is narrower than the nodes are apart hides from them next to an end
  for (const { t, row } of BESIDE_ENDS) {
    const direct = f((low + high) / 2 + ((high - low) / 2) * t);
    if (!(Math.abs(direct - weighted(row, values)) <= 1e3 * tolerance * largest)) return "open";
  }
  return "resolved";
}

export function panelIsResolved(f, low, high, fineness) {
  return panelState(f, low, high, fineness) === "resolved";
}

// Panels between `low` and `high` from the end nearer to zero outwards, at most `most`.
// Returns {edges, complete, lost}: edges from the start as far as it went.
export function resolvedPanels(f, low, high, most, fineness) {
  const { narrowest = NARROWEST_PANEL } = fineness;
  const outward = Math.abs(high) >= Math.abs(low) ? 1 : -1;
  const [start, stop] = outward > 0 ? [low, high] : [high, low];
  const edges = [start], waiting = [[start, stop]];
  let unsure = 0;
  while (waiting.length) {
    if (edges.length > most) return { edges, complete: false, lost: false, unsure };
    const [a, b] = waiting.pop();
    const state = panelState(f, Math.min(a, b), Math.max(a, b), fineness);
    const narrow = Math.abs(b - a) <= narrowest * Math.max(Math.abs(a), Math.abs(b), 1e-3);
    if (state === "lost" && narrow) return { edges, complete: false, lost: true, unsure };
    if (state === "resolved" || narrow) {
      if (state !== "resolved") unsure = Math.max(unsure, Math.abs(b - a));
      edges.push(b);
      continue;
    }
    waiting.push([(a + b) / 2, b], [a, (a + b) / 2]);
  }
  return { edges, complete: true, lost: false, unsure };
}

// Neighbouring panels joined where one panel resolves both, from zero outwards; `marks` stay.
export function joinedPanels(f, edges, marks, fineness) {
  const kept = [edges[0]];
  for (let k = 1; k < edges.length; k++) {
    const next = edges[k + 1];
    const start = kept[kept.length - 1];
    const joins = next !== undefined && !marks.includes(edges[k]) &&
      panelState(f, Math.min(start, next), Math.max(start, next), fineness) === "resolved";
    if (!joins) kept.push(edges[k]);
  }
  return kept;
}
