// The critical line, explicit in q: sigma_w^2 = 1 / E phi'^2, sigma_b^2 = q - sigma_w^2 E phi^2 >= 0.

import { EPSILON } from "./estimates.js";

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
