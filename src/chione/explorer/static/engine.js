// Mean-field theory of one network: fixed points, correlations, curves over depth. No page here.
//
// q' = sigma_w^2 E phi^2 + sigma_b^2,  1 - c' = sigma_w^2 [K(1) - K(c)] / q',
// gradient factor of a layer: sigma_w^2 E phi'^2. Every number is {value, error, status}.

import { activationNames, loadActivation } from "./tables.js";
import { correlationAtZero } from "./correlation_at_zero.js";
import { EPSILON, estimate, missing } from "./estimates.js";
import { bandOf, finiteWidthStep, firstVertex } from "./finite_width.js";
import { blockOf } from "./modes.js";
import { verdictOf } from "./verdict.js";

export { activationNames, loadActivation };

const SCAN_STEP = 0.25; // of log q
const LARGEST_LENGTH = 1e300;
const ROUNDED_SLOPE = 64 * EPSILON; // what a few roundings of the sigmas make of a slope of 1
const FIRST_STEPS = 20;
const MOST_STEPS = 300;
const PATH_STEPS = 40;
const STREAM_LAYERS = 30; // of a stream in a cell of the diagram

// ---- one layer as a map ------------------------------------------------------------------------

// Variances of a network of equal dense layers; a mode other than plain has a map of its own.
export function layerMap(network, activation) {
  return blockOf(network, activation);
}

const scans = new WeakMap();

// Moments of an activation along log q, once each: what brackets of fixed points are read from.
function scanOf(activation) {
  if (!scans.has(activation)) {
    const low = Math.log(activation.range[0]);
    const high = Math.log(activation.range[1]);
    const n = Math.ceil((high - low) / SCAN_STEP) + 1;
    const q = new Float64Array(n);
    const moments = [];
    for (let i = 0; i < n; i++) {
      q[i] = i === n - 1 ? activation.range[1] : Math.exp(low + i * SCAN_STEP);
      moments.push(activation.moments(q[i]));
    }
    scans.set(activation, { q, moments });
  }
  return scans.get(activation);
}

// ---- fixed points of the lengths ---------------------------------------------------------------

// All roots of V(q) = q, rising, as {q, error, stability}; "identity" where every q is one.
export function fixedLengths(map, activation) {
  const scan = scanOf(activation);
  const n = scan.q.length;
  const gap = new Float64Array(n);
  const noise = new Float64Array(n);
  let still = true;
  for (let i = 0; i < n; i++) {
    const m = scan.moments[i];
    gap[i] = map.lengthOf(scan.q[i], m) / scan.q[i] - 1;
    noise[i] = (1 + Math.abs(gap[i])) * (m.error + 4 * EPSILON);
    if (Math.abs(gap[i]) > noise[i] + 4 * EPSILON) still = false;
  }
  const atZero = map.length(0);
  if (atZero === 0 && still) return { identity: true, points: [], gap };
  const points = [];
  if (atZero === 0) points.push(zeroPoint(map, gap));
  // V is above the diagonal at half its value at zero, which may lie below the table
  const start = 0.5 * atZero;
  const first = gap.findIndex((g, i) => Math.abs(g) > noise[i]);
  if (start > 0 && start < scan.q[0] && first >= 0 && gap[first] < 0) {
    points.push(lengthCrossing(map, start, scan.q[first], 1));
  }
  let before = -1;
  for (let i = 0; i < n; i++) {
    if (Math.abs(gap[i]) <= noise[i]) continue;
    if (before >= 0) {
      const sign = Math.sign(gap[before]);
      if (Math.sign(gap[i]) !== sign) {
        points.push(lengthCrossing(map, scan.q[before], scan.q[i], sign));
      } else if (Math.min(Math.abs(gap[i]), Math.abs(gap[before])) < 0.2) {
        points.push(...lengthTouching(map, scan.q[before], scan.q[i], sign));
      }
    }
    before = i;
  }
  const far = beyondScan(map, scan.q[n - 1], gap[n - 1]);
  if (far !== null) points.push(far);
  return { identity: false, points, gap };
}

function zeroPoint(map, gap) {
  const chi = map.lengthSlope(0);
  let stable = chi < 1 - 4 * EPSILON;
  if (Math.abs(chi - 1) <= 1e-12) {
    // decided by what V does just above zero
    const seen = gap.find((g) => Math.abs(g) > 1e-11);
    stable = seen === undefined || seen < 0;
  }
  return { q: 0, error: 0, stability: stable ? "stable" : "unstable" };
}

// Newton in log q, kept inside its bracket
function lengthCrossing(map, low, high, sign) {
  let a = Math.log(low);
  let b = Math.log(high);
  let x = 0.5 * (a + b);
  for (let step = 0; step < 60; step++) {
    const q = Math.exp(x);
    const v = map.length(q);
    const f = sign * (v / q - 1);
    if (f > 0) a = x;
    else b = x;
    const slope = sign * (map.lengthSlope(q) - v / q);
    let next = x - f / slope;
    if (!(next > a && next < b)) next = 0.5 * (a + b);
    const moved = Math.abs(next - x);
    x = next;
    if (moved <= 4 * EPSILON * Math.max(1, Math.abs(x)) || b - a <= 4 * EPSILON) break;
  }
  const q = Math.exp(x);
  return { q, error: lengthError(map, q), stability: sign > 0 ? "stable" : "unstable" };
}

function lengthError(map, q) {
  const off = map.lengthError(q) + 4 * EPSILON * q;
  return off / Math.max(Math.abs(1 - map.lengthSlope(q)), Math.sqrt(EPSILON));
}

// Two roots, or a double one, between neighbours of one sign: V comes near the diagonal and leaves.
function lengthTouching(map, low, high, sign) {
  const slopeAt = (q) => sign * (map.lengthSlope(q) - map.length(q) / q);
  if (!(slopeAt(low) < 0 && slopeAt(high) > 0)) return [];
  let a = Math.log(low);
  let b = Math.log(high);
  for (let step = 0; step < 60 && b - a > 4 * EPSILON; step++) {
    const x = 0.5 * (a + b);
    if (slopeAt(Math.exp(x)) < 0) a = x;
    else b = x;
  }
  const q = Math.exp(0.5 * (a + b));
  const gap = sign * (map.length(q) - q);
  const noise = 4 * (map.lengthError(q) + EPSILON * q);
  if (Math.abs(gap) <= noise) {
    const kind = sign > 0 ? "attracts from below" : "attracts from above";
    return [{ q, error: q * Math.sqrt(noise / q), stability: kind }];
  }
  if (gap > 0) return [];
  return [lengthCrossing(map, low, q, sign), lengthCrossing(map, q, high, -sign)];
}

// Beyond the table a map that is a straight line there meets the diagonal once, or not.
function beyondScan(map, q, gap) {
  if (!(gap > 0)) return null;
  const slope = map.lengthSlope(q);
  if (!(slope < 1)) return null;
  const at = q + (map.length(q) - q) / (1 - slope);
  if (!(at > q && at < 1e12)) return null;
  const moved = Math.abs(map.lengthSlope(Math.min(at, 10 * q)) - slope);
  const error = at * (moved + map.lengthError(q) / q) / (1 - slope);
  return error < 1e-3 * at ? { q: at, error, stability: "stable" } : null;
}

// The attracting point at which lengths from q settle, and whether they get there.
function settle(map, points, q) {
  const attracting = points.filter((p) => p.stability !== "unstable");
  if (attracting.length === 0) return { point: null, reached: false };
  let step = 0;
  let signs = 0;
  for (let i = 0; i < MOST_STEPS; i++) {
    const next = map.length(q);
    if (!(next <= LARGEST_LENGTH)) return { point: attracting.at(-1), reached: false };
    const moved = next - q;
    if (i > 0 && Math.sign(moved) !== Math.sign(step)) signs++;
    step = moved;
    q = next;
    if (Math.abs(step) <= 1e-14 * q) break;
    if (i === FIRST_STEPS && signs === 0) break; // one way all along
  }
  if (Math.abs(step) <= 1e-12 * q) {
    let near = attracting[0];
    for (const p of attracting) if (Math.abs(p.q - q) < Math.abs(near.q - q)) near = p;
    if (Math.abs(near.q - q) <= 1e-6 * Math.max(near.q, q)) return { point: near, reached: true };
  }
  const ahead = step > 0
    ? attracting.find((p) => p.q > q)
    : attracting.filter((p) => p.q <= q).at(-1);
  return ahead === undefined
    ? { point: attracting.at(-1), reached: false }
    : { point: ahead, reached: true };
}

// ---- correlations ------------------------------------------------------------------------------

// c*, 1 - c* and the slope there, of a map with chi_perp = chi at length q
export function fixedCorrelation(map, q, chi, qError = 0) {
  if (q === 0) return correlationAtZero(map);
  if (!map.noisy && (!(chi.value > 1) || isCritical(chi))) {
    return { c: estimate(1, 0), gap: estimate(0, 0), slope: chi };
  }
  const average = (gap) => {
    const p = map.pair(q, gap);
    return { factor: p.distance / (q * gap), slope: p.slope, error: p.error };
  };
  const last = average(1);
  const noise = 2 * last.error + 4 * qError / q + 8 * EPSILON;
  if (last.factor - 1 >= -noise) {
    return {
      c: estimate(0, noise / Math.max(1 - last.slope, EPSILON)),
      gap: estimate(1, noise / Math.max(1 - last.slope, EPSILON)),
      slope: estimate(last.slope, noise),
    };
  }
  let a = 0;
  let b = 1;
  let gap = chi.value === Infinity ? 0.5 : Math.min(0.5, Math.max(1e-8, chi.value - 1));
  let found = average(gap);
  for (let step = 0; step < 80; step++) {
    const f = found.factor - 1;
    if (f > 0) a = gap;
    else b = gap;
    let next = gap - f * gap / (found.slope - found.factor);
    if (!(next > a && next < b)) next = a > 0 ? Math.sqrt(a * b) : 0.01 * b;
    const moved = Math.abs(next - gap);
    gap = next;
    found = average(gap);
    if (moved <= 4 * EPSILON * gap || b - a <= 2 * EPSILON * b) break;
  }
  const size = noise * gap / Math.max(1 - found.slope, EPSILON);
  return {
    c: estimate(1 - gap, size + EPSILON),
    gap: estimate(gap, size + 4 * EPSILON * gap),
    slope: estimate(found.slope, noise * Math.max(1, Math.abs(found.slope)) * 4),
  };
}

function isCritical(e) {
  return Math.abs(e.value - 1) <= Math.max(2 * e.error, ROUNDED_SLOPE);
}

// Layers in which a perturbation falls by e
export function depthScale(slope) {
  if (slope.status !== "ok") return missing(slope.status);
  const size = Math.abs(slope.value);
  if (!Number.isFinite(size)) return missing("infinite slope");
  if (size <= slope.error) return estimate(0, -1 / Math.log(slope.error), "instant");
  if (isCritical(slope)) return missing("critical");
  if (size > 1) return missing("does not decay");
  const log = Math.log(size);
  return estimate(-1 / log, slope.error / (size * log * log) + 4 * EPSILON / Math.abs(log));
}

// ---- one network -------------------------------------------------------------------------------

export function solve(network, activation) {
  const map = layerMap(network, activation);
  const found = meanField(map, network, activation);
  const depth = depthCurves(map, network);
  if (map.branched) {
    const words = "every block adds to the stream, so there is no fixed point";
    for (const key of ["qStar", "cStar", "oneMinusCStar", "xiQ", "xiC"]) found[key] = missing(words);
    const chi = meanFactor(depth);
    found.chiPerp = Number.isFinite(chi) ? estimate(chi, 1e-9 * chi, "mean over the blocks") : missing(words);
    found.message = "Every block adds to the stream, so there is no fixed point.";
  }
  const out = {
    ...found,
    depth,
    lengthMap: lengthPicture(map, network, found, depth),
    correlationMap: correlationPicture(map, found, depth),
  };
  out.verdict = verdictOf(network, activation, map, out);
  return out;
}

// Fixed points, slopes, depth scales and the phase; what `chione.mean_field` says.
export function meanField(map, network, activation) {
  const { identity, points } = fixedLengths(map, activation);
  const start = map.firstLength(network.q);
  if (identity) {
    const q = start > 0 ? start : 1;
    return described(map, { q, error: 2 * EPSILON * q, stability: "every length stays" }, [], true);
  }
  const { point, reached } = settle(map, points, start);
  const all = points.map((p) => ({ ...p, stable: p.stability === "stable" }));
  if (point === null) return withoutPoint(map, all, activation);
  return described(map, point, all, reached);
}

function described(map, point, points, reached) {
  const q = point.q;
  const chiPerp = chiAt(map, q, point.error);
  const chiParallel = parallelAt(map, q, point.error);
  // where a layer adds noise, gradients of one input and distances of two have factors of their own
  const correlation = fixedCorrelation(map, q, chiPerp, point.error);
  let phase = chiPerp.value > 1 ? "chaotic" : "ordered";
  if (chiPerp.value !== Infinity && isCritical(chiPerp)) phase = "critical";
  const fixedPoints = points.map((p) => ({
    ...p, chiParallel: parallelAt(map, p.q, p.error).value, chiPerp: map.gradient(p.q),
  }));
  return {
    status: "ok",
    message: point.stability === "every length stays"
      ? "Every length is a fixed point: the length map is the identity."
      : reached ? "" : "From this input lengths diverge; smaller inputs settle.",
    fixedPoints,
    continuum: point.stability === "every length stays",
    reached,
    qStar: estimate(q, point.error),
    cStar: correlation.c,
    oneMinusCStar: correlation.gap,
    chiPerp,
    chiParallel,
    xiQ: depthScale(chiParallel),
    xiC: depthScale(correlation.slope),
    phase,
  };
}

function chiAt(map, q, error) {
  const value = map.gradient(q);
  if (value === Infinity) return estimate(Infinity, 0, "infinite: the activation jumps");
  return estimate(value, map.gradientError(q) + changeOf((x) => map.gradient(x), q, error));
}

function parallelAt(map, q, error) {
  const value = map.lengthSlope(q);
  return estimate(value, map.slopeError(q) + changeOf((x) => map.lengthSlope(x), q, error));
}

// what an error of q makes of f(q)
function changeOf(f, q, error) {
  if (!(q > 0) || !(error > 0)) return 0;
  const step = 1e-4 * q;
  const change = Math.abs(f(q + step) - f(q - step)) / (2 * step) * error;
  return Number.isFinite(change) ? change : 0;
}

function withoutPoint(map, points, activation) {
  const high = activation.range[1];
  const grows = map.length(high) > high;
  const status = grows ? "divergent" : "none";
  const slope = map.lengthSlope(high);
  const straight = Math.abs(slope / map.lengthSlope(high / 3) - 1) < 0.05;
  const limit = (f, errorOf) => {
    const at = 1e12 * high;
    const far = f(at);
    const known = grows && straight && Number.isFinite(far);
    return known ? estimate(far, 2 * Math.abs(far - f(1e9 * high)) + errorOf(at)) : missing(status);
  };
  return {
    status,
    message: grows
      ? "No length attracts: lengths grow without bound."
      : "The length map has no attracting fixed point.",
    fixedPoints: points,
    continuum: false,
    reached: false,
    growth: grows ? (straight ? slope : Infinity) : NaN,
    qStar: missing(status),
    cStar: missing(status),
    oneMinusCStar: missing(status),
    chiPerp: limit((q) => map.gradient(q), (q) => map.gradientError(q)),
    chiParallel: limit((q) => map.lengthSlope(q), (q) => map.slopeError(q)),
    xiQ: missing(status),
    xiC: missing(status),
    phase: status,
  };
}

// ---- curves over the layers --------------------------------------------------------------------

// Lengths, correlations and gradients of layers 1 to L, as `chione.trajectory` has them.
export function depthCurves(map, network) {
  if (map.step) return tokenCurves(map, network);
  const L = Math.max(1, Math.round(network.depth));
  const nan = () => new Float64Array(L).fill(NaN);
  const out = {
    layer: Float64Array.from({ length: L }, (_, l) => l + 1),
    q: nan(), c: nan(), oneMinusC: nan(), chi: nan(), gradient: nan(), log10Gradient: nan(),
    low: nan(), high: nan(), qError: nan(), cError: nan(), status: "ok",
  };
  let q = map.firstLength(network.q);
  let gap = map.firstGap(network.q, network.c);
  let qError = 4 * EPSILON * q;
  let cError = 8 * EPSILON * gap;
  let vertex = firstVertex(map, network);
  let rests = null;
  let l = 0;
  for (; l < L; l++) {
    out.q[l] = q;
    out.qError[l] = qError;
    out.oneMinusC[l] = gap;
    out.c[l] = 1 - gap;
    out.cError[l] = cError + EPSILON;
    if (q === 0) break;
    out.chi[l] = map.gradient(q);
    const band = bandOf(q, vertex, network.width);
    out.low[l] = band.low;
    out.high[l] = band.high;
    if (l + 1 === L) break;
    const next = map.length(q);
    if (!(next <= LARGEST_LENGTH)) {
      out.status = "divergent";
      break;
    }
    const pair = (gap > 0 || map.noisy) && next > 0
      ? rests !== null && rests.q === q && rests.gap === gap ? rests.pair : map.pair(q, gap)
      : null;
    rests = { q, gap, pair };
    vertex = finiteWidthStep(map, network, q, vertex);
    const slope = map.lengthSlope(q);
    qError = Math.abs(slope) * qError + map.lengthError(q) + 2 * EPSILON * next;
    if (pair !== null) {
      gap = pair.distance / next;
      cError = Math.abs(pair.slope) * cError * q / next;
      cError += gap * (pair.error + 2 * qError / next + 8 * EPSILON);
    }
    q = next;
  }
  let sum = 0;
  const last = Math.min(l, L - 1);
  for (let k = L - 1; k >= 0; k--) {
    if (k < L - 1) sum += Math.log10(out.chi[k]);
    out.log10Gradient[k] = sum;
    out.gradient[k] = 10 ** sum;
  }
  if (last < L - 1) {
    out.gradient.fill(NaN, 0, L - 1);
    out.log10Gradient.fill(NaN, 0, L - 1);
  }
  return out;
}

// The same where lengths depend on correlations: tokens of one input, each read out by itself.
function tokenCurves(map, network) {
  const L = Math.max(1, Math.round(network.depth));
  const nan = () => new Float64Array(L).fill(NaN);
  const out = {
    layer: Float64Array.from({ length: L }, (_, l) => l + 1),
    q: nan(), c: nan(), oneMinusC: nan(), chi: nan(), gradient: nan(), log10Gradient: nan(),
    low: nan(), high: nan(), qError: nan(), cError: nan(), status: "ok",
  };
  let at = { q: network.q, gap: 1 - network.c, error: 0 };
  for (let l = 0; l < L; l++) {
    at = map.step(at.q, at.gap);
    out.q[l] = at.q;
    out.oneMinusC[l] = at.gap;
    out.c[l] = 1 - at.gap;
    out.qError[l] = at.q * (at.error + 4 * EPSILON) * (l + 1);
    out.cError[l] = at.gap * (at.error + 4 * EPSILON) * (l + 1) + EPSILON;
  }
  // gradients behind block l + 1 come back through that block, which reads what layer l has
  out.chi[L - 1] = map.back(out.q[L - 1], out.oneMinusC[L - 1], 1, 0)[0];
  out.gradient[L - 1] = 1;
  out.log10Gradient[L - 1] = 0;
  let shared = 0; // of two tokens, relative to one
  for (let l = L - 2; l >= 0; l--) {
    const [alone, both] = map.back(out.q[l], out.oneMinusC[l], 1, shared);
    out.chi[l] = alone;
    shared = both / alone;
    out.log10Gradient[l] = out.log10Gradient[l + 1] + Math.log10(alone);
    out.gradient[l] = 10 ** out.log10Gradient[l];
  }
  return out;
}

// ---- pictures of both maps ---------------------------------------------------------------------

function lengthPicture(map, network, found, depth) {
  const path = [];
  for (let l = 0; l + 1 < depth.q.length && l < PATH_STEPS; l++) {
    if (Number.isFinite(depth.q[l + 1])) path.push([depth.q[l], depth.q[l + 1]]);
  }
  let top = Math.max(found.qStar.value || 0, depth.q[0], ...path.slice(0, 6).map((p) => p[1]));
  if (!(top > 0 && top < 1e12)) top = 1;
  top *= 1.25;
  const n = 121;
  const q = new Float64Array(n);
  const image = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    q[i] = top * i / (n - 1);
    image[i] = map.length(q[i]);
  }
  return { q, image, path };
}

// The map at q* (or at the last length), and the path that a pair takes on this very map.
function correlationPicture(map, found, depth) {
  const known = depth.q.filter((v) => Number.isFinite(v) && v > 0);
  const q = found.qStar.value > 0 ? found.qStar.value : known.length ? known.at(-1) : 1;
  const next = map.length(q);
  const n = 101;
  const c = new Float64Array(n);
  const image = new Float64Array(n);
  const step = (gap) => gap === 0 && !map.noisy ? 0 : map.pair(q, gap).distance / next;
  for (let i = 0; i < n; i++) {
    c[i] = -1 + 2 * i / (n - 1);
    image[i] = 1 - step(1 - c[i]);
  }
  const path = [];
  let gap = depth.oneMinusC[0];
  for (let i = 0; i < PATH_STEPS && Number.isFinite(gap); i++) {
    const after = step(gap);
    path.push([1 - gap, 1 - after]);
    if (Math.abs(after - gap) < 1e-9) break;
    gap = after;
  }
  return { q, c, image, path };
}

// ---- the critical line -------------------------------------------------------------------------

// Explicit in q: sigma_w^2 = 1 / E phi'^2, sigma_b^2 = q - sigma_w^2 E phi^2, where that is >= 0.
export function criticalLine(activation, mode = "plain") {
  const out = { sigma_w: [], sigma_b: [], q: [] };
  if (mode !== "plain") return out;
  const push = (w, b, q) => {
    out.sigma_w.push(w);
    out.sigma_b.push(b);
    out.q.push(q);
  };
  const at = (q) => {
    const m = activation.moments(q);
    const w2 = 1 / m.d2;
    return { q, w2, b2: q - w2 * m.m2, noise: 8 * (m.error + EPSILON) * q };
  };
  const low = Math.max(Math.log(activation.range[0]), -23);
  const high = Math.log(activation.range[1]);
  let before = null;
  for (let x = low; x <= high + 1e-9; x += 0.05) {
    const p = at(Math.exp(x));
    const inside = p.w2 > 0 && Number.isFinite(p.w2) && p.b2 >= -p.noise;
    if (before !== null && inside !== before.inside) {
      const end = branchEnd(at, Math.log(before.p.q), Math.log(p.q), before.inside);
      if (before.inside) {
        push(Math.sqrt(end.w2), 0, end.q);
        push(NaN, NaN, NaN);
      } else push(Math.sqrt(end.w2), 0, end.q);
    }
    if (inside) push(Math.sqrt(p.w2), Math.sqrt(Math.max(p.b2, 0)), p.q);
    before = { p, inside };
  }
  return out;
}

// where sigma_b^2 leaves zero, to rounding
function branchEnd(at, a, b, insideAtA) {
  for (let step = 0; step < 60; step++) {
    const middle = 0.5 * (a + b);
    if ((at(Math.exp(middle)).b2 >= 0) === insideAtA) a = middle;
    else b = middle;
  }
  return at(Math.exp(insideAtA ? a : b));
}

// ---- fields of the diagram ---------------------------------------------------------------------

export const DIAGRAM_FIELDS = ["chi_perp", "q_star", "c_star", "xi_c", "xi_q", "chi_parallel"];

// One field at every (sigma_w, sigma_b), row by row of sigma_b; NaN where it has no value.
export function diagram(network, activation, field, sigmaW, sigmaB) {
  if (!DIAGRAM_FIELDS.includes(field)) {
    throw new Error(`field must be one of ${DIAGRAM_FIELDS.join(", ")}, not ${field}.`);
  }
  const out = new Float32Array(sigmaW.length * sigmaB.length);
  let k = 0;
  for (const b of sigmaB) {
    for (const w of sigmaW) {
      out[k++] = cellOf({ ...network, sigma_w: w, sigma_b: b }, activation, field);
    }
  }
  return out;
}

// A stream that grows has no fixed point: its figures are those over the depth.
function streamCell(map, network, field) {
  if (field === "chi_perp" && !map.step) {
    let q = map.firstLength(network.q);
    let sum = 0;
    for (let l = 0; l < network.depth; l++) {
      sum += Math.log(map.gradient(q));
      q = map.length(q);
      if (!(q <= LARGEST_LENGTH)) return NaN;
    }
    return Math.exp(sum / network.depth);
  }
  const depth = depthCurves(map, { ...network, depth: Math.min(network.depth, STREAM_LAYERS) });
  if (field === "q_star") return depth.q.at(-1);
  if (field === "c_star") return depth.c.at(-1);
  return field === "chi_perp" ? meanFactor(depth) : NaN;
}

// factor on the mean square gradient a block, the mean over all of them
function meanFactor(depth) {
  return 10 ** ((depth.log10Gradient[0] + Math.log10(depth.chi[0])) / depth.chi.length);
}

function cellOf(network, activation, field) {
  const map = layerMap(network, activation);
  if (map.branched) return streamCell(map, network, field);
  const { identity, points } = fixedLengths(map, activation);
  const start = map.firstLength(network.q);
  const point = identity ? { q: start, error: 0 } : settle(map, points, start).point;
  if (point === null) {
    if (field !== "chi_perp" && field !== "chi_parallel") return NaN;
    const limit = withoutPoint(map, points, activation);
    return field === "chi_perp" ? limit.chiPerp.value : limit.chiParallel.value;
  }
  if (field === "q_star") return point.q;
  if (field === "chi_parallel") return map.lengthSlope(point.q);
  if (field === "xi_q") return depthScale(parallelAt(map, point.q, 0)).value;
  const chi = chiAt(map, point.q, point.error);
  if (field === "chi_perp") return chi.value;
  const correlation = fixedCorrelation(map, point.q, chi);
  return field === "c_star" ? correlation.c.value : depthScale(correlation.slope).value;
}

// ---- which initialisation to use ---------------------------------------------------------------

// From chione.gain for the catalogue (nearest depth); for a typed formula from its critical line.
// null where nothing can be recommended.
export function recommended(activation, depth) {
  const known = activation.recommendations ?? [];
  if (known.length > 0) {
    let best = known[0];
    for (const r of known) {
      if (Math.abs(Math.log(r.depth / depth)) < Math.abs(Math.log(best.depth / depth))) best = r;
    }
    return best.exists ? { ...best, status: "ok" } : null;
  }
  const line = criticalLine(activation);
  let best = null;
  for (let i = 0; i < line.q.length; i++) {
    const q = line.q[i];
    if (!(q > 0)) continue;
    const m = activation.moments(q);
    const chi = line.sigma_w[i] ** 2 * m.slope;
    const cost = Math.max(Math.log(Math.max(chi, 1)) * depth, 0) + 0.1 * Math.abs(Math.log(q));
    if (best === null || cost < best.cost) {
      best = { cost, sigma_w: line.sigma_w[i], sigma_b: line.sigma_b[i], q, depth };
    }
  }
  if (best === null) return null;
  return { ...best, status: "ok", reason: "A point of the edge of chaos where lengths stay." };
}
