// c*, 1 - c* and the slope there where lengths die (q* = 0): deep layers are linear and keep every
// correlation, or have a kink at zero.

import { estimate, missing } from "./estimates.js";

export function correlationAtZero(map) {
  const small = map.lowest;
  const flat = map.gradient(0) === 0;
  if (flat && map.length(1e-9) > 1e-22) return { c: estimate(1, 0), gap: estimate(0, 0), slope: estimate(1, 0) };
  if (small > 1e-10 || flat) { // flat around zero
    const kept = missing("every correlation is kept");
    return { c: kept, gap: kept, slope: estimate(1, 0) };
  }
  const chi = map.gradient(small);
  const bent = Math.abs(map.pair(small, 1).slope / chi - 1) > 1e-6;
  const slope = estimate(1, 0);
  if (bent) return { c: estimate(1, 0), gap: estimate(0, 0), slope };
  return { c: missing("every correlation is kept"), gap: missing("every correlation is kept"), slope };
}
