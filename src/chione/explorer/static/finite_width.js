// The first correction to infinite width: how the mean square of a layer varies over networks.
//
// V' = chi_parallel^2 V + sigma_w^4 (E phi^4 - (E phi^2)^2)  [orthogonal: - 2 (sigma_w^2 E phi^2)^2],
// variance of the mean square = (2 q^2 + V) / n. Only plain layers have it here; else NaN.

export function firstVertex(map, network) {
  if (!map.plain) return NaN;
  return network.weights === "orthogonal" ? -2 * (map.w2 * network.q) ** 2 : 0;
}

export function finiteWidthStep(map, network, q, vertex) {
  if (!map.plain || q === 0) return NaN;
  const m = map.moments(q);
  const chi = map.lengthSlope(q);
  const source = map.w2 * map.w2 * (m.m4 - m.m2 * m.m2);
  const kept = network.weights === "orthogonal" ? 2 * (map.w2 * m.m2) ** 2 : 0;
  return chi * chi * vertex + source - kept;
}

export function bandOf(q, vertex, width) {
  const spread = Math.sqrt(Math.max(2 * q * q + vertex, 0) / width);
  return { low: Math.max(q - spread, 0), high: q + spread };
}
