// Mean-field theory of one network: fixed points, correlations, curves over depth. No page here.
//
// q' = sigma_w^2 E phi^2 + sigma_b^2,  1 - c' = sigma_w^2 [K(1) - K(c)] / q',
// gradient factor of a layer: sigma_w^2 E phi'^2. Every number is {value, error, status}.

import { depthCurves, meanFactor } from "./depth_curves.js";
import { estimate, missing } from "./estimates.js";
import { correlationPicture, lengthPicture } from "./map_pictures.js";
import { meanField } from "./mean_field.js";
import { blockOf } from "./modes.js";
import { verdictOf } from "./verdict.js";

export function solve(network, activation) {
  const map = blockOf(network, activation);
  const found = meanField(map, network, activation);
  const depth = depthCurves(map, network);
  if (map.branched) {
    const words = "every block adds to the stream, so there is no fixed point";
    for (const key of ["qStar", "cStar", "oneMinusCStar", "xiQ", "xiC"]) found[key] = missing(words);
    const chi = meanFactor(map, network, depth);
    found.chiPerp = Number.isFinite(chi) ? estimate(chi, 1e-9 * chi, "mean over the blocks") : missing(words);
    found.message = "Every block adds to the stream, so there is no fixed point.";
  }
  const out = {
    ...found,
    depth,
    lengthMap: lengthPicture(map, network, found, depth),
    correlationMap: correlationPicture(map, found, depth),
  };
  out.verdict = verdictOf(network, activation, map, out);
  return out;
}
