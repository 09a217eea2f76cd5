// The fixed point of the correlations at a length, and the layers in which a perturbation falls by e.
//
// 1 - c' = sigma_w^2 [K(1) - K(c)] / q'

import { correlationAtZero } from "./correlation_at_zero.js";
import { correlationRoot } from "./correlation_root.js";
import { EPSILON, estimate, missing } from "./estimates.js";

const ROUNDED_SLOPE = 64 * EPSILON; // what a few roundings of the sigmas make of a slope of 1

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
  const noise = 2 * average(1).error + 4 * qError / q + 8 * EPSILON;
  const start = chi.value === Infinity ? 0.5 : Math.min(0.5, Math.max(1e-8, chi.value - 1));
  return correlationRoot(average, noise, start);
}

export function isCritical(e) {
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
