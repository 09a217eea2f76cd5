// The blocks of modes.js at finite width: signals in rows (inputs, or tokens of one input) to {h, back};
// back takes gradients of as many of the first rows as are followed.

import { isStream } from "./modes.js";
import { addTo, inner } from "./orthonormal_rows.js";
import { RandomLayer } from "./random_layer.js";

function applied(f, row) {
  const out = new Float64Array(row.length);
  for (let i = 0; i < row.length; i++) out[i] = f(row[i]);
  return out;
}

function timesSlopes(rows, slopes) {
  rows.forEach((row, k) => { for (let i = 0; i < row.length; i++) row[i] *= slopes[k][i]; });
  return rows;
}

// rows += factor of the others, a new row each
function plus(rows, factor, others) {
  return rows.map((row, k) => {
    const out = row.slice();
    addTo(out, factor, others[k]);
    return out;
  });
}

/** h' = W D phi(h) + b. */
export function denseBlock(phi, layer, keep, stream, followed) {
  return (h) => {
    const slopes = [];
    const x = h.map((row, k) => {
      const out = applied(phi.value, row);
      if (k < followed) slopes.push(applied(phi.slope, row));
      for (let i = 0; keep < 1 && i < row.length; i++) {
        const mask = stream.uniform() < keep ? 1 / keep : 0;
        out[i] *= mask;
        if (k < followed) slopes[k][i] *= mask;
      }
      return out;
    });
    const { out, back } = layer.apply(x);
    return { h: out, back: (deltas) => timesSlopes(back(deltas), slopes) };
  };
}

/** h' = h + alpha branch(h). */
export function residualBlock(alpha, branch) {
  return (h) => {
    const inside = branch(h);
    const back = (g) => plus(g, alpha, inside.back(g));
    return { h: plus(h, alpha, inside.h), back };
  };
}

/** The blocks one behind the other. */
export function chained(...blocks) {
  return (h) => {
    const backs = [];
    for (const block of blocks) {
      const one = block(h);
      h = one.h;
      backs.push(one.back);
    }
    return { h, back: (g) => backs.reduceRight((given, back) => back(given), g) };
  };
}

/** W h + b. */
export function affineBlock(layer) {
  return (h) => {
    const { out, back } = layer.apply(h.map((row) => row.slice()));
    return { h: out, back };
  };
}

/** (h - mean) / standard deviation, unit by unit of one row; a gradient loses its parts along 1 and z. */
export function normBlock() {
  return (h) => {
    const size = [];
    const z = h.map((row) => {
      const n = row.length, mean = row.reduce((sum, v) => sum + v, 0) / n;
      const out = applied((v) => v - mean, row);
      const deviation = Math.sqrt(inner(out, out) / n);
      size.push(deviation);
      for (let i = 0; i < n; i++) out[i] /= deviation;
      return out;
    });
    const back = (g) => g.map((row, k) => {
      const n = row.length, mean = row.reduce((sum, v) => sum + v, 0) / n, along = inner(row, z[k]) / n;
      return row.map((v, i) => (v - mean - along * z[k][i]) / size[k]);
    });
    return { h: z, back };
  };
}

/** Every token gets W_O W_V of the mean over all tokens: attention whose weights are all alike. */
export function attentionBlock(values, out) {
  const both = chained(affineBlock(values), affineBlock(out));
  return (h) => {
    const tokens = h.length, mean = new Float64Array(h[0].length);
    for (const row of h) addTo(mean, 1 / tokens, row);
    const { h: [mixed], back } = both([mean]);
    const shared = (g) => {
      const sum = new Float64Array(mean.length);
      for (const row of g) addTo(sum, 1 / tokens, row);
      const [each] = back([sum]);
      return g.map(() => each);
    };
    return { h: h.map(() => mixed), back: shared };
  };
}

/** The block of a network's mode, whose weights are new at each call. */
export function sampledBlock(network, phi, stream, followed) {
  const { mode = "plain", width, sigma_w, sigma_b, alpha, dropout } = network;
  const orthogonal = network.weights === "orthogonal";
  const dense = () => new RandomLayer({ width, sigma_w, sigma_b, orthogonal }, stream);
  const activated = denseBlock(phi, dense(), mode === "dropout" ? 1 - dropout : 1, stream, followed);
  if (!isStream(mode)) return activated;
  if (mode === "residual") return residualBlock(alpha, activated);
  const normed = residualBlock(alpha, chained(normBlock(), affineBlock(dense()), activated));
  if (mode === "prenorm") return normed;
  const matrix = () => new RandomLayer({ width, sigma_w, sigma_b: 0, orthogonal: false }, stream);
  return chained(residualBlock(alpha, chained(normBlock(), attentionBlock(matrix(), matrix()))), normed);
}
