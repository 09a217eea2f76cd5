// Which initialisation to use: of the catalogue from chione.gain (nearest depth), of a typed formula from
// its critical line.

import { criticalLine } from "./critical_line.js";

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
