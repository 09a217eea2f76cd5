// Fixed points, slopes, depth scales and the phase of one network; what `chione.mean_field` says.

import { EPSILON, estimate, missing } from "./estimates.js";
import { depthScale, fixedCorrelation, isCritical } from "./fixed_correlation.js";
import { fixedLengths, settle } from "./fixed_lengths.js";

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

export function chiAt(map, q, error) {
  const value = map.gradient(q);
  if (value === Infinity) return estimate(Infinity, 0, "infinite: the activation jumps");
  return estimate(value, map.gradientError(q) + changeOf((x) => map.gradient(x), q, error));
}

export function parallelAt(map, q, error) {
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

export function withoutPoint(map, points, activation) {
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
