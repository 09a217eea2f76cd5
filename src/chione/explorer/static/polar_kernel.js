// The kernel of two correlated Gaussians in polar coordinates. With u1 = rho cos(beta + theta/2) and
// u2 = rho cos(beta - theta/2), c = cos theta, the circle means
//     B(rho, theta) = 1/(2 pi) int (phi(u1) - phi(u2))^2 / 2 d beta
// do not depend on q, and m2 - E phi(u1) phi(u2) = int B(rho, theta) exp(-rho^2 / 2q) rho d rho / q.

import { GRADED_POWER } from "./panel_coordinate.js";
import { GAUSS_16 } from "./panels.js";

const RADII_GRADING = 2.3; // ratio of neighbouring radii
const SMALLEST_RADIUS = 2e-5;
const WIDEST_ANGLE = 1.6;
const NEAREST_REACH = 1.5;
const TRIED_ANGLES = [0.06, 0.5, 1.4, 2.5];
const STEEP_GRADING = 5; // ratio of neighbouring panels beside a kink of infinite slope

// Where beta is cut: at the kinks of u1 and u2, and in growing steps beside those of infinite slope.
function anglesOfCuts(rule, { steep }, rho, half) {
  const cuts = [0, Math.PI], steepCuts = [];
  for (const kink of rule.kinks) {
    if (Math.abs(kink) >= rho) continue;
    const angle = Math.acos(kink / rho);
    for (const raw of [angle - half, angle + half]) {
      const folded = Math.abs(raw > Math.PI ? 2 * Math.PI - raw : raw);
      if (!(folded > 0 && folded < Math.PI)) continue;
      cuts.push(folded);
      if (steep.has(kink)) steepCuts.push(folded);
    }
  }
  for (const place of steepCuts) {
    let near = Math.min(place, Math.PI - place) * 2; // its own image beyond 0 or pi
    for (const other of steepCuts) if (other !== place) near = Math.min(near, Math.abs(other - place));
    for (let far = near / 2; far < WIDEST_ANGLE; far *= STEEP_GRADING) {
      for (const cut of [place - far, place + far]) if (cut > 0 && cut < Math.PI) cuts.push(cut);
    }
  }
  cuts.sort((a, b) => a - b);
  return { cuts, steepCuts };
}

// Panels of beta on which phi is resolved, three numbers each: its ends, and -1 or 1 where the slope is
// infinite at that end of it.
function panelsOfCircle(rule, coordinate, rho, half) {
  const { cuts, steepCuts } = anglesOfCuts(rule, coordinate, rho, half);
  const pending = [], found = [];
  // on a small circle phi is nearly straight, and one panel has nodes enough
  const widest = coordinate.at(rho) - coordinate.at(-rho) < 0.2 ? Math.PI : WIDEST_ANGLE;
  for (let k = cuts.length - 2; k >= 0; k--) if (cuts[k + 1] > cuts[k]) pending.push(cuts[k], cuts[k + 1]);
  while (pending.length) {
    const b = pending.pop(), a = pending.pop();
    const low = steepCuts.length > 0 && steepCuts.includes(a), high = steepCuts.length > 0 && steepCuts.includes(b);
    if (b - a > 1e-9 && (b - a > widest || (low && high) || tooWide(coordinate, rho, a + half, b + half) || tooWide(coordinate, rho, a - half, b - half))) {
      const middle = (a + b) / 2;
      pending.push(middle, b, a, middle);
      continue;
    }
    found.push(a, b, low ? -1 : high ? 1 : 0);
  }
  coordinate.work += found.length / 3;
  return found;
}

// Nodes t^6 and weights 6 t^5 dt on [0, 1].
const GRADED_NODES = GAUSS_16.nodes.map((node) => ((1 + node) / 2) ** GRADED_POWER);
const GRADED_WEIGHTS = GAUSS_16.weights.map((weight, i) => GRADED_POWER * ((1 + GAUSS_16.nodes[i]) / 2) ** (GRADED_POWER - 1) * weight);

// B(rho, theta), by Gauss-Legendre in beta, or in t with beta = a + (b - a) t^6 beside infinite slopes.
function circleMean(rule, coordinate, rho, half) {
  const value = rule.phi.value, panels = panelsOfCircle(rule, coordinate, rho, half);
  let sum = 0;
  for (let k = 0; k < panels.length; k += 3) {
    const a = panels[k], b = panels[k + 1], end = panels[k + 2];
    const nodes = end === 0 ? GAUSS_16.nodes : GRADED_NODES, weights = end === 0 ? GAUSS_16.weights : GRADED_WEIGHTS;
    const start = end === 0 ? (a + b) / 2 : end < 0 ? a : b, step = end === 0 ? (b - a) / 2 : end < 0 ? b - a : a - b;
    let part = 0;
    for (let i = 0; i < 16; i++) {
      const beta = start + step * nodes[i];
      const d = value(rho * Math.cos(beta + half)) - value(rho * Math.cos(beta - half));
      part += weights[i] * d * d;
    }
    sum += ((b - a) / 2) * part;
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
    const nears = coordinate.steep.has(stop) || coordinate.steep.has(-stop);
    for (let far = stop / 2; nears && far > 1e-4 * stop; far /= STEEP_GRADING) if (stop - far > start) marks.add(toT(stop - far));
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

// How many panels the circles of one angle have: what they cost.
export function circlesWork(rule, coordinate, theta, reach) {
  const before = coordinate.work;
  const { radii } = radiiOf(rule, coordinate, theta, reach);
  const step = Math.max(1, Math.floor(radii.length / 40)); // a sample of them
  let seen = 0;
  for (let j = 0; j < radii.length; j += step, seen++) panelsOfCircle(rule, coordinate, radii[j], theta / 2);
  const work = ((coordinate.work - before) * radii.length) / Math.max(seen, 1);
  coordinate.work = before;
  return work;
}

// The widest reach whose circles cost at most `most` panels an angle.
export function affordableReach(rule, coordinate, most) {
  const costs = (reach) => TRIED_ANGLES.some((theta) => circlesWork(rule, coordinate, theta, reach) > most);
  let reach = Math.min(NEAREST_REACH, coordinate.reach);
  if (costs(reach)) return 0;
  while (reach < coordinate.reach) {
    const next = Math.min(1.2 * reach, coordinate.reach);
    if (costs(next)) return reach;
    reach = next;
  }
  return reach;
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
