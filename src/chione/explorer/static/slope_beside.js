// E phi'^2 of an activation that jumps, without its jumps: what back-propagation follows, which passes
// over them. Between kinks the slope is smooth; Gauss-Legendre on panels of a standard deviation.

import { phiOf } from "./formula.js";
import { GAUSS_16, panelNodes } from "./panels.js";

const BESIDE_SIGMAS = 9; // exp(-40) = 4e-18 lies beyond
const followed = new Map(); // name -> {phi, kinks}: the search for kinks takes its time

function followedOf(name) {
  if (!followed.has(name)) {
    const phi = phiOf(name);
    followed.set(name, { phi, kinks: phi.kinks() });
  }
  return followed.get(name);
}

export function squareSlopeBeside(name, q) {
  const { phi, kinks } = followedOf(name), sigma = Math.sqrt(q);
  if (!(sigma > 0 && sigma < Infinity)) return NaN;
  const cuts = kinks.map((kink) => kink / sigma).filter((z) => Math.abs(z) < BESIDE_SIGMAS);
  for (let z = -BESIDE_SIGMAS; z <= BESIDE_SIGMAS; z++) cuts.push(z);
  cuts.sort((a, b) => a - b);
  let sum = 0;
  for (let k = 0; k + 1 < cuts.length; k++) {
    const half = (cuts[k + 1] - cuts[k]) / 2;
    if (half === 0) continue;
    panelNodes(cuts[k], cuts[k + 1]).forEach((z, i) => {
      sum += half * GAUSS_16.weights[i] * Math.exp((-z * z) / 2) * phi.slope(sigma * z) ** 2;
    });
  }
  return sum / Math.sqrt(2 * Math.PI);
}
