// The fields that colour the diagram of order and chaos.

import { depthCurves, meanFactor } from "./depth_curves.js";
import { LARGEST_LENGTH } from "./estimates.js";
import { depthScale, fixedCorrelation } from "./fixed_correlation.js";
import { fixedLengths, settle } from "./fixed_lengths.js";
import { chiAt, parallelAt, withoutPoint } from "./mean_field.js";
import { blockOf, isStream } from "./modes.js";

const STREAM_LAYERS = 30; // of a stream in a cell
export const NO_STREAM_FIELD = "Streams of blocks have none.";
const SETTLED = 1e-4; // of a factor's logarithm

// What a field of streams is, which have no fixed point; "" where the field is what it is elsewhere.
export function streamNote(network, field) {
  if (!isStream(network.mode)) return "";
  const blocks = Math.min(network.depth, STREAM_LAYERS);
  if (field === "chi_perp") return network.mode === "transformer" && network.depth > blocks ? `Over the first ${blocks} blocks.` : "";
  if (field === "q_star" || field === "c_star") return `After ${blocks} block${blocks > 1 ? "s" : ""}.`;
  return field === "chi_parallel" ? "" : NO_STREAM_FIELD;
}

export const DIAGRAM_FIELDS = ["chi_perp", "q_star", "c_star", "xi_c", "xi_q", "chi_parallel"];

// One field at every (sigma_w, sigma_b), row by row of sigma_b; NaN where it has no value.
export function diagram(network, activation, field, sigmaW, sigmaB) {
  if (!DIAGRAM_FIELDS.includes(field)) {
    throw new Error(`field must be one of ${DIAGRAM_FIELDS.join(", ")}, not ${field}.`);
  }
  const out = new Float32Array(sigmaW.length * sigmaB.length);
  let k = 0;
  for (const b of sigmaB) {
    for (const w of sigmaW) {
      out[k++] = cellOf({ ...network, sigma_w: w, sigma_b: b }, activation, field);
    }
  }
  return out;
}

// The geometric mean of the gradient's factors. They settle as the stream grows; once their drift moves
// the mean by no more than SETTLED, the rest of the blocks has the last one's.
function meanGradient(map, first, steps) {
  let q = first;
  let sum = 0;
  let before = NaN;
  let steady = 0;
  for (let l = 0; l < steps; l++) {
    const factor = Math.log(map.gradient(q));
    const next = map.length(q);
    const left = steps - 1 - l;
    sum += factor;
    steady = Math.abs(factor - before) * left * left < 2 * SETTLED * steps ? steady + 1 : 0;
    if (steady > 2) {
      if (Math.log(next) + Math.log(next / q) * left > Math.log(LARGEST_LENGTH)) return NaN;
      return Math.exp((sum + factor * left) / steps);
    }
    if (!(next <= LARGEST_LENGTH)) return NaN;
    before = factor;
    q = next;
  }
  return Math.exp(sum / steps);
}

// A stream that grows has no fixed point: its figures are those over the depth.
function streamCell(map, network, activation, field) {
  if (field === "chi_perp" && !map.step) {
    if (network.depth === 1) return map.gradient(network.q);
    return meanGradient(map, map.firstLength(network.q), network.depth - 1);
  }
  if (field === "chi_parallel") return withoutPoint(map, [], activation).chiParallel.value;
  if (field === "xi_c" || field === "xi_q") return NaN;
  const depth = depthCurves(map, { ...network, depth: Math.min(network.depth, STREAM_LAYERS) });
  if (field === "q_star") return depth.q.at(-1);
  if (field === "c_star") return depth.c.at(-1);
  return meanFactor(map, network, depth);
}

function cellOf(network, activation, field) {
  const map = blockOf(network, activation);
  if (map.branched) return streamCell(map, network, activation, field);
  const { identity, points } = fixedLengths(map, activation);
  const start = map.firstLength(network.q);
  const point = identity ? { q: start, error: 0 } : settle(map, points, start).point;
  if (point === null) {
    if (field !== "chi_perp" && field !== "chi_parallel") return NaN;
    const limit = withoutPoint(map, points, activation);
    return field === "chi_perp" ? limit.chiPerp.value : limit.chiParallel.value;
  }
  if (field === "q_star") return point.q;
  if (field === "chi_parallel") return map.lengthSlope(point.q);
  if (field === "xi_q") return depthScale(parallelAt(map, point.q, 0)).value;
  const chi = chiAt(map, point.q, point.error);
  if (field === "chi_perp") return chi.value;
  const correlation = fixedCorrelation(map, point.q, chi);
  return field === "c_star" ? correlation.c.value : depthScale(correlation.slope).value;
}
