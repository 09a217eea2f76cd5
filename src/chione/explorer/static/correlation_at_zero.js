// c*, 1 - c* and the slope there where lengths die (q* = 0), without biases.
//
// Deep layers are then the activation next to zero: linear, which keeps every correlation; a leaky
// ReLU, whose map touches c = 1; or a power x^p, p > 1, whose normalised kernel parts equal inputs
// by p^2 / (2p - 1). All three are read at the smallest length of the tables. Where an activation is
// zero around zero, a large value of one input hardly ever meets one of the other: c* = 0.

import { correlationRoot } from "./correlation_root.js";
import { EPSILON, estimate, missing } from "./estimates.js";

const SMALL = 1e-10; // of a length at which only the leading power is left
const BENT = 1e-6; // of the slope of the normalised kernel, between c = 0 and c = 1

export function correlationAtZero(map) {
  const small = map.lowest;
  if (small > SMALL) {
    if (map.gradient(0) === 0) return { c: estimate(0, 0), gap: estimate(1, 0), slope: estimate(0, 0) };
    return unknown("its smallest lengths are not in the tables");
  }
  const share = small / map.length(small); // as if lengths stayed: their ratio is 1
  const average = (gap) => {
    const p = map.pair(small, gap);
    return { factor: share * p.distance / (small * gap), slope: share * p.slope, error: p.error };
  };
  const chi = share * map.pair(small, 0).slope;
  const noise = 4 * average(1).error + 8 * EPSILON;
  if (map.noisy) return correlationRoot(average, noise, 0.5);
  if (Math.abs(average(1).slope / chi - 1) <= BENT) return unknown("every correlation is kept");
  if (chi <= 1 + BENT) return { c: estimate(1, 0), gap: estimate(0, 0), slope: estimate(1, 0) };
  return correlationRoot(average, noise, 0.5);
}

function unknown(why) {
  return { c: missing(why), gap: missing(why), slope: estimate(1, 0) };
}
