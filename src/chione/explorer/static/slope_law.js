// The law of t = phi'(h)^2 under h ~ N(0, q), and its moment function next to the real axis.
//
//   M(w) = E t/(w - t),  P(w) = E w/(w - t) = 1 + M,  each summed directly,
//   Q(w) = dM / dlog w = -E w t/(w - t)^2.
// Panels on which w comes close to the values of t are halved, and the halves kept.

import { GAUSS_16, panelNodes, resolvedPanels } from "./panels.js";

const LAW_SIGMAS = 9; // exp(-40) = 4e-18 lies beyond
const LAW_EDGES = [-9, -6, -4, -2.5, -1.2, 0, 1.2, 2.5, 4, 6, 9];
const DEEPEST_HALVING = 90;

function lawPanel(phi, q, a, b) {
  const nodes = panelNodes(a, b), scale = (b - a) / 2 / Math.sqrt(2 * Math.PI * q);
  const t = nodes.map((h) => phi.slope(h) ** 2);
  const p = nodes.map((h, i) => scale * GAUSS_16.weights[i] * Math.exp((-h * h) / (2 * q)));
  let low = Infinity, high = 0;
  for (const v of t) { low = Math.min(low, v); high = Math.max(high, v); }
  // the ends of the panel lie a little beyond its nodes
  const margin = 0.02 * (high - low);
  return { a, b, t, p, low: Math.max(0, low - margin), high: high + margin, halves: null };
}

export function slopeLaw(phi, q) {
  const s = Math.sqrt(q), reach = LAW_SIGMAS * s;
  const inside = phi.kinks().filter((k) => Math.abs(k) < reach);
  const marks = [...new Set([...LAW_EDGES.map((z) => z * s), ...inside])].sort((a, b) => a - b);
  const panels = [], atoms = new Map();
  let most = 1200;
  for (let k = 0; k + 1 < marks.length; k++) {
    const slope = (h) => phi.slope(h) ** 2;
    const { edges, complete } = resolvedPanels(slope, marks[k], marks[k + 1], most, { floor: 1e-9, tolerance: 1e-12 });
    if (!complete) return { status: "The slope of the activation breaks too often for its spectrum." };
    most -= edges.length - 1;
    edges.sort((a, b) => a - b);
    for (let j = 0; j + 1 < edges.length; j++) {
      const panel = lawPanel(phi, q, edges[j], edges[j + 1]);
      const [first] = panel.t, even = panel.t.every((v) => Math.abs(v - first) <= 4e-16 * first);
      if (!even) panels.push(panel);
      else atoms.set(first, (atoms.get(first) ?? 0) + panel.p.reduce((sum, v) => sum + v, 0));
    }
  }
  const ends = [...panels.map((p) => p.high), ...atoms.keys()];
  let top = 0;
  for (const panel of panels) for (const v of panel.t) top = Math.max(top, v);
  for (const v of atoms.keys()) top = Math.max(top, v);
  // whether the slope grows without bound: then the law ends where its panels end, not by itself
  const ends9 = [-1, 1].map((side) => [reach, 0.7 * reach].map((h) => phi.slope(side * h) ** 2));
  const open = ends9.some(([far, near]) => far > 1.05 * near && far > 0.9 * top);
  let mean = 0;
  for (const panel of panels) for (let i = 0; i < 16; i++) mean += panel.p[i] * panel.t[i];
  for (const [t, p] of atoms) mean += p * t;
  return { phi, q, kinks: inside, panels, atoms: [...atoms].map(([t, p]) => ({ t, p })), top, hull: Math.max(top, ...ends), open, mean, status: "ok" };
}

function halvesOf(law, panel) {
  const middle = (panel.a + panel.b) / 2;
  panel.halves ??= [lawPanel(law.phi, law.q, panel.a, middle), lawPanel(law.phi, law.q, middle, panel.b)];
  return panel.halves;
}

// Sums at w = x + iy into `out`: M, P, Q as pairs, and the mean angle of w - t where `angles`.
// `care` is the distance from the values of a panel, in their width, below which it is halved.
export function lawSums(law, x, y, out, care = 0.5, angles = false) {
  let mr = 0, mi = 0, pr = 0, pi = 0, qr = 0, qi = 0, angle = 0;
  const add = (t, p) => {
    const dr = x - t, n = dr * dr + y * y;
    const ur = dr / n, ui = -y / n;
    const wr = x * ur - y * ui, wi = x * ui + y * ur;
    const tr = t * ur, ti = t * ui;
    mr += p * tr;
    mi += p * ti;
    pr += p * wr;
    pi += p * wi;
    qr -= p * (tr * wr - ti * wi);
    qi -= p * (tr * wi + ti * wr);
    if (angles) angle += p * Math.atan2(y, dr);
  };
  for (const { t, p } of law.atoms) add(t, p);
  const waiting = law.panels.map((panel) => [panel, 0]);
  while (waiting.length) {
    const [panel, depth] = waiting.pop();
    const dx = x < panel.low ? panel.low - x : x > panel.high ? x - panel.high : 0;
    if (Math.hypot(dx, y) < care * (panel.high - panel.low) && depth < DEEPEST_HALVING) {
      const [left, right] = halvesOf(law, panel);
      waiting.push([left, depth + 1], [right, depth + 1]);
      continue;
    }
    for (let i = 0; i < 16; i++) add(panel.t[i], panel.p[i]);
  }
  out.m = [mr, mi];
  out.p = [pr, pi];
  out.q = [qr, qi];
  out.angle = angle;
  return out;
}
