// The kernel of two correlated Gaussians in polar coordinates. With u1 = rho cos(beta + theta/2) and
// u2 = rho cos(beta - theta/2), c = cos theta, the circle means
//     B(rho, theta) = 1/(2 pi) int (phi(u1) - phi(u2))^2 / 2 d beta
// do not depend on q, and m2 - E phi(u1) phi(u2) = int B(rho, theta) exp(-rho^2 / 2q) rho d rho / q.

import { GAUSS_16, joinedPanels, resolvedPanels } from "./panels.js";

const RADII_GRADING = 2.3; // ratio of neighbouring radii
const FIRST_EDGES = [1, 4, 16, 64, 256]; // so that no wide panel steps over what happens near zero
const SMALLEST_RADIUS = 2e-5;
const WIDEST_ANGLE = 1.6;
const MOST_WAVES = 14; // panels of phi a side: beyond, the cost of a circle grows too high

// Panels of phi alone, resolved against its size next to zero: a coordinate P(h) that grows by one
// over each of them, and the reach to which there are few enough of them.
export function panelCoordinate(rule) {
  const { phi, kinks, reach } = rule;
  let scale = 0;
  for (let k = -10; k <= 10; k++) scale = Math.max(scale, Math.abs(phi.value(k / 10 + 0.0137)));
  const fineness = { floor: 0.1 * scale, tolerance: 1e-7, narrowest: 1e-4 };
  const sides = [-1, 1].map((side) => {
    const inside = kinks.map((k) => side * k).filter((k) => k > 0 && k < reach);
    const marks = [0, ...inside, ...FIRST_EDGES.filter((h) => h < reach), reach].sort((a, b) => a - b);
    const edges = [0], f = (h) => phi.value(side * h);
    for (let k = 0; k + 1 < marks.length && edges.length < 40 * MOST_WAVES; k++) {
      const part = resolvedPanels(f, marks[k], marks[k + 1], 40 * MOST_WAVES, fineness);
      edges.push(...part.edges.slice(1));
    }
    return Float64Array.from(joinedPanels(f, edges, inside, fineness));
  });
  const limit = Math.min(...sides.map((edges) => edges[Math.min(edges.length - 1, MOST_WAVES)]));
  const at = (h) => {
    const edges = sides[h < 0 ? 0 : 1], size = Math.abs(h);
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
  return { at, reach: Math.min(reach, limit), work: 0 };
}

// B(rho, theta), by Gauss-Legendre in beta between the kinks of u1 and u2, on panels that resolve phi.
function circleMean(rule, coordinate, rho, half) {
  const value = rule.phi.value;
  const cuts = [0, Math.PI];
  for (const kink of rule.kinks) {
    if (Math.abs(kink) >= rho) continue;
    const angle = Math.acos(kink / rho);
    for (const raw of [angle - half, angle + half]) {
      const folded = Math.abs(raw > Math.PI ? 2 * Math.PI - raw : raw);
      if (folded > 0 && folded < Math.PI) cuts.push(folded);
    }
  }
  cuts.sort((a, b) => a - b);
  const pending = [];
  // on a small circle phi is nearly straight, and one panel has nodes enough
  const widest = coordinate.at(rho) - coordinate.at(-rho) < 0.2 ? Math.PI : WIDEST_ANGLE;
  for (let k = cuts.length - 2; k >= 0; k--) if (cuts[k + 1] > cuts[k]) pending.push(cuts[k], cuts[k + 1]);
  let sum = 0;
  while (pending.length) {
    const b = pending.pop(), a = pending.pop();
    if (b - a > 1e-9 && (b - a > widest || tooWide(coordinate, rho, a + half, b + half) || tooWide(coordinate, rho, a - half, b - half))) {
      const middle = (a + b) / 2;
      pending.push(middle, b, a, middle);
      continue;
    }
    coordinate.work++;
    const centre = (a + b) / 2, halfWidth = (b - a) / 2;
    for (let i = 0; i < 16; i++) {
      const beta = centre + halfWidth * GAUSS_16.nodes[i];
      const d = value(rho * Math.cos(beta + half)) - value(rho * Math.cos(beta - half));
      sum += halfWidth * GAUSS_16.weights[i] * d * d;
    }
  }
  return sum / (2 * Math.PI);
}

// Whether rho cos runs over more than one panel of phi between two angles.
function tooWide(coordinate, rho, a, b) {
  const ca = rho * Math.cos(a), cb = rho * Math.cos(b);
  let low = Math.min(ca, cb), high = Math.max(ca, cb);
  if (a < 0 && b > 0) high = rho;
  if (a < Math.PI && b > Math.PI) low = -rho;
  return coordinate.at(high) - coordinate.at(low) > 1.0000001;
}

// Radii and their weights for rho d rho. Beyond the kink k the variable is t = sqrt(rho^2 - k^2), in
// which arccos(k / rho) is smooth; it is cut where two lines of kinks cross.
function radiiOf(rule, coordinate, theta, reach) {
  const sizes = [...new Set(rule.kinks.map(Math.abs))].filter((k) => k > 0 && k < reach).sort((a, b) => a - b);
  const crossings = [];
  for (const a of rule.kinks) {
    for (const b of rule.kinks) {
      const rho = Math.sqrt(a * a + b * b - 2 * a * b * Math.cos(theta)) / Math.sin(theta);
      if (rho > 0 && rho < reach) crossings.push(a === b ? Math.abs(a) / Math.cos(theta / 2) : rho);
    }
  }
  const starts = [0, ...sizes], radii = [], weights = [];
  starts.forEach((start, m) => {
    const stop = m + 1 < starts.length ? starts[m + 1] : reach;
    const toT = (rho) => Math.sqrt((rho - start) * (rho + start));
    const last = toT(stop), marks = new Set([0, last]);
    for (const rho of crossings) if (rho > start && rho < stop) marks.add(toT(rho));
    for (let t = start ? 0.25 * start : SMALLEST_RADIUS; t < last; t *= RADII_GRADING) marks.add(t);
    const edges = [...marks].sort((a, b) => a - b);
    const pending = [];
    for (let k = edges.length - 2; k >= 0; k--) pending.push([edges[k], edges[k + 1]]);
    while (pending.length) {
      const [a, b] = pending.pop();
      const [ra, rb] = [Math.hypot(a, start), Math.hypot(b, start)];
      const spread = Math.max(coordinate.at(rb) - coordinate.at(ra), coordinate.at(-ra) - coordinate.at(-rb));
      if (spread > 1.0000001 && b - a > 1e-9 * b) {
        pending.push([(a + b) / 2, b], [a, (a + b) / 2]);
        continue;
      }
      for (let i = 0; i < 16; i++) {
        const t = (a + b) / 2 + ((b - a) / 2) * GAUSS_16.nodes[i];
        radii.push(Math.hypot(t, start));
        weights.push(((b - a) / 2) * GAUSS_16.weights[i] * t);
      }
    }
  });
  return { radii, weights };
}

// The circle means of one angle: gap(q) = sum of weights exp(-rho^2 / 2q) means / q.
export function circleMeans(rule, coordinate, theta, reach = coordinate.reach) {
  const { radii, weights } = radiiOf(rule, coordinate, theta, reach);
  const half = theta / 2;
  const products = Float64Array.from(radii, (rho, j) => weights[j] * circleMean(rule, coordinate, rho, half));
  return { squares: Float64Array.from(radii, (rho) => rho * rho), products };
}

// exp(-rho^2 / 2q) / q for all q; the radii do not depend on the angle where phi has no kinks but 0.
export function radialWeights({ squares }, q) {
  return q.map((value) => squares.map((s) => Math.exp(-s / (2 * value)) / value));
}

export function gapFromWeights({ products }, row) {
  let sum = 0;
  for (let j = 0; j < products.length; j++) sum += products[j] * row[j];
  return sum;
}

export function gapFromCircles({ squares, products }, q) {
  let sum = 0;
  for (let j = 0; j < squares.length; j++) {
    const exponent = squares[j] / (2 * q);
    if (exponent < 700) sum += products[j] * Math.exp(-exponent);
  }
  return sum / q;
}
