// Panels of phi alone as a coordinate of the line, so that circles and radii know how finely to be cut.
//
// Next to a kink of infinite slope, as that of sqrt(abs(x)), no panel is fine enough. There one panel
// [k, k + w] counts as a whole, on which phi is a polynomial of t with x = k + w t^6: roots of second,
// third and sixth degree are whole powers of t.

import { joinedPanels, panelIsResolved, resolvedPanels } from "./panels.js";

export const GRADED_POWER = 6;
const FIRST_EDGES = [1, 4, 16, 64, 256]; // so that no wide panel steps over what happens near zero
const MOST_PANELS = 560;
const STEEP_SHARE = 1 / 100; // a panel beside a kink that is narrower in its segment tells of a root
const NARROWEST_GRADED = 1e-4;

// Where phi on one side of a kink is resolved in t: the width w, or 0 where plain panels do.
function gradedWidth(f, kink, stop, fineness) {
  const plain = resolvedPanels(f, Math.min(kink, stop), Math.max(kink, stop), MOST_PANELS, fineness).edges;
  const length = Math.abs(stop - kink), beside = Math.min(...plain.filter((h) => h !== kink).map((h) => Math.abs(h - kink)));
  if (beside > STEEP_SHARE * Math.min(length, 1)) return 0;
  const side = Math.sign(stop - kink);
  for (let w = Math.min(length, 1) / 2; w > NARROWEST_GRADED * length; w /= 2) {
    if (panelIsResolved((t) => f(kink + side * w * t ** GRADED_POWER), 0, 1, fineness)) return w;
  }
  return 0;
}

// Edges of the panels of one side from zero outwards, and the kinks where phi is steep.
function sideEdges(rule, side, fineness) {
  const { phi, kinks, reach } = rule, f = (h) => phi.value(side * h);
  const inside = kinks.map((k) => side * k).filter((k) => k >= 0 && k < reach);
  const marks = [...new Set([0, ...inside, ...FIRST_EDGES.filter((h) => h < reach), reach])].sort((a, b) => a - b);
  const edges = [0], steep = [], kept = new Set(inside);
  for (let k = 0; k + 1 < marks.length && edges.length < MOST_PANELS; k++) {
    const [low, high] = [marks[k], marks[k + 1]];
    const above = inside.includes(low) ? gradedWidth(f, low, high, fineness) : 0;
    const below = inside.includes(high) ? gradedWidth(f, high, low + above, fineness) : 0;
    if (above) steep.push(side * low);
    if (below) steep.push(side * high);
    const [a, b] = [low + above, high - below];
    if (above) kept.add(a), edges.push(a);
    edges.push(...resolvedPanels(f, a, b, MOST_PANELS, fineness).edges.slice(1));
    if (below) kept.add(b), edges.push(high);
  }
  return { edges: Float64Array.from(joinedPanels(f, edges, [...kept], fineness)), steep };
}

// {at, steep, work}: at(h) grows by one over each panel; `steep` are the kinks of infinite slope.
export function panelCoordinate(rule) {
  let scale = 0;
  for (let k = -10; k <= 10; k++) scale = Math.max(scale, Math.abs(rule.phi.value(k / 10 + 0.0137)));
  const fineness = { floor: 0.1 * scale, tolerance: 1e-7, narrowest: 1e-4 };
  const sides = [-1, 1].map((side) => sideEdges(rule, side, fineness));
  const at = (h) => {
    const { edges } = sides[h < 0 ? 0 : 1], size = Math.abs(h);
    let low = 0, high = edges.length - 1;
    if (size >= edges[high]) return h < 0 ? -high : high;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (size < edges[middle]) high = middle;
      else low = middle;
    }
    const place = low + (size - edges[low]) / (edges[low + 1] - edges[low]);
    return h < 0 ? -place : place;
  };
  // panels are known so far; beyond, nothing is
  const known = Math.min(...sides.map(({ edges }) => edges[edges.length - 1]));
  return { at, steep: new Set(sides.flatMap((one) => one.steep)), reach: Math.min(rule.reach, known), work: 0 };
}
