// Lengths, correlations and gradients of layers 1 to L, as `chione.trajectory` has them.

import { EPSILON, LARGEST_LENGTH } from "./estimates.js";
import { bandOf, finiteWidthStep, firstVertex } from "./finite_width.js";

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
    shared = alone === Infinity ? 0 : both / alone;
    out.log10Gradient[l] = out.log10Gradient[l + 1] + Math.log10(alone);
    out.gradient[l] = 10 ** out.log10Gradient[l];
  }
  return out;
}

// Factor on the mean square gradient a block, the mean from the first block to the last; of a single
// block that from its input.
export function meanFactor(map, network, depth) {
  const L = depth.chi.length;
  if (L > 1) return 10 ** (depth.log10Gradient[0] / (L - 1));
  return map.back ? map.back(network.q, 1 - network.c, 1, 0)[0] : map.gradient(network.q);
}
