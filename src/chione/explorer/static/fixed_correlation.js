// The fixed point of the correlations at a length, and the layers in which a perturbation falls by e.
//
// 1 - c' = sigma_w^2 [K(1) - K(c)] / q'

import { correlationAtZero } from "./correlation_at_zero.js";
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
