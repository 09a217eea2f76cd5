// Fixed points of the lengths, q = V(q): all of them, and the one at which lengths from q settle.

import { EPSILON, LARGEST_LENGTH } from "./estimates.js";

const SCAN_STEP = 0.25; // of log q
const FIRST_STEPS = 20;
const MOST_STEPS = 300;

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
export function settle(map, points, q) {
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
