// Random networks of finite width, two inputs forward and one error signal backward, without the
// weight matrices: a layer uses W only through W X and W^T delta, whose joint law is known.
//
// With X = C Q (Q orthonormal rows that span the two activations) and xi Gaussian,
//   Gaussian    W X^T = s C xi,      W^T delta = s Q^T (xi delta) + P s |delta| g
//   orthogonal  W X^T = sigma_w C U, W^T delta = sigma_w (Q^T (U delta) + |delta - U^T U delta| v)
// where s = sigma_w / sqrt(N), U is xi made orthonormal, P projects off Q, g is Gaussian and v a random
// unit vector orthogonal to Q. A layer keeps C and the place of its numbers in the stream.

import { phiOf } from "./formula.js";
import { RandomStream } from "./random_stream.js";

const MOST_UNITS = 3e6; // units times layers times networks: about two seconds
const TOO_LARGE = 1e250;

function inner(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

// Lower triangular C with C C^T the Gram matrix; of parallel vectors the last entry is 0.
function triangle(g11, g12, g22) {
  const c11 = Math.sqrt(g11), c21 = c11 > 0 ? g12 / c11 : 0;
  const rest = g22 - c21 * c21;
  return [c11, c21, rest > 4e-16 * g22 ? Math.sqrt(rest) : 0];
}

// The two rows made orthonormal; with a positive diagonal they are uniform for Gaussian rows.
function orthonormalised(a, b) {
  const c = triangle(inner(a, a), inner(a, b), inner(b, b));
  for (let i = 0; i < a.length; i++) {
    a[i] /= c[0];
    b[i] = (b[i] - c[1] * a[i]) / c[2];
  }
}

class SampledNetwork {
  constructor(network, phi, seed) {
    const { width, sigma_w, sigma_b, weights, mode, dropout } = network;
    this.n = width;
    this.phi = phi;
    this.stream = new RandomStream(seed);
    this.backStream = new RandomStream(seed ^ 0x5bd1e995); // of error signals: independent of the layers
    this.orthogonal = weights === "orthogonal";
    this.scale = this.orthogonal ? sigma_w : sigma_w / Math.sqrt(width);
    this.sigmaB = sigma_b;
    this.keep = mode === "dropout" ? 1 - dropout : 1;
    this.layers = [];
    const row = () => new Float64Array(width);
    [this.h1, this.h2, this.x1, this.x2, this.xi1, this.xi2, this.fresh] = [row(), row(), row(), row(), row(), row(), row()];
    this.mask = row();
  }

  // The noise of a layer, its pre-activations, and its activations with their masks.
  drawLayer({ place, c }) {
    const { stream, scale, sigmaB, phi, keep, n } = this;
    stream.goTo(place);
    stream.normals(this.xi1);
    stream.normals(this.xi2);
    if (this.orthogonal) orthonormalised(this.xi1, this.xi2);
    const [a, b, d] = c.map((v) => v * scale);
    for (let i = 0; i < n; i++) {
      const bias = sigmaB > 0 ? sigmaB * stream.normal() : 0;
      this.h1[i] = a * this.xi1[i] + bias;
      this.h2[i] = b * this.xi1[i] + d * this.xi2[i] + bias;
    }
    for (let i = 0; i < n; i++) {
      const m1 = keep === 1 ? 1 : stream.uniform() < keep ? 1 / keep : 0;
      const m2 = keep === 1 ? 1 : stream.uniform() < keep ? 1 / keep : 0;
      this.mask[i] = m1;
      this.x1[i] = m1 * phi.value(this.h1[i]);
      this.x2[i] = m2 * phi.value(this.h2[i]);
    }
  }

  // Lengths and correlations of all layers, until something overflows.
  forward({ depth, q, c }) {
    let triangleHere = [Math.sqrt(this.n * q), c * Math.sqrt(this.n * q), Math.sqrt(this.n * q * Math.max(0, 1 - c * c))];
    const lengths = [], correlations = [];
    for (let l = 0; l < depth; l++) {
      const layer = { place: this.stream.position(), c: triangleHere };
      this.drawLayer(layer);
      this.layers.push(layer);
      const s11 = inner(this.h1, this.h1), s22 = inner(this.h2, this.h2);
      lengths.push(s11 / this.n);
      correlations.push(inner(this.h1, this.h2) / Math.sqrt(s11 * s22));
      triangleHere = triangle(inner(this.x1, this.x1), inner(this.x1, this.x2), inner(this.x2, this.x2));
      if (!(lengths[l] < TOO_LARGE) || !(triangleHere[0] < TOO_LARGE)) break;
    }
    return { lengths, correlations };
  }

  // Natural logarithm of the mean square error signal of every layer, relative to the last one.
  backward(depth) {
    const { n, backStream, scale } = this;
    const out = new Float64Array(depth).fill(NaN);
    if (this.layers.length < depth) return out;
    const delta = backStream.normals(new Float64Array(n));
    let log = 0;
    const norm = Math.sqrt(inner(delta, delta));
    for (let i = 0; i < n; i++) delta[i] /= norm;
    out[depth - 1] = 0;
    this.drawLayer(this.layers[depth - 1]);
    for (let l = depth - 1; l > 0; l--) {
      const [c11, c21, c22] = this.layers[l].c;
      // xi of layer l is still in the buffers; parallel inputs span one direction only
      const along = [inner(this.xi1, delta), c22 > 0 ? inner(this.xi2, delta) : 0];
      this.drawLayer(this.layers[l - 1]);
      const { x1: q1, x2: q2, fresh } = this; // turned into the orthonormal rows of X
      for (let i = 0; i < n; i++) {
        q1[i] = c11 > 0 ? q1[i] / c11 : 0;
        q2[i] = c22 > 0 ? (q2[i] - c21 * q1[i]) / c22 : 0;
      }
      backStream.normals(fresh);
      const [f1, f2] = [inner(fresh, q1), inner(fresh, q2)];
      for (let i = 0; i < n; i++) fresh[i] -= f1 * q1[i] + f2 * q2[i];
      // |delta| is 1 here
      const size = this.orthogonal
        ? Math.sqrt(Math.max(0, 1 - along[0] ** 2 - along[1] ** 2) / inner(fresh, fresh))
        : 1;
      let sum = 0;
      for (let i = 0; i < n; i++) {
        const back = scale * (along[0] * q1[i] + along[1] * q2[i] + size * fresh[i]);
        delta[i] = back * this.mask[i] * this.phi.slope(this.h1[i]);
        sum += delta[i] * delta[i];
      }
      log += Math.log(sum);
      out[l - 1] = log;
      if (!(sum > 0)) break;
      const root = Math.sqrt(sum);
      for (let i = 0; i < n; i++) delta[i] /= root;
    }
    return out;
  }
}

// Means over networks and their standard errors, layer by layer.
function meanAndError(rows, depth) {
  const mean = new Float64Array(depth).fill(NaN), error = new Float64Array(depth).fill(NaN);
  for (let l = 0; l < depth; l++) {
    const values = rows.map((row) => row[l]).filter((v) => v !== undefined && !Number.isNaN(v));
    if (values.length < rows.length) continue;
    mean[l] = values.reduce((sum, v) => sum + v, 0) / values.length;
    const spread = values.reduce((sum, v) => sum + (v - mean[l]) ** 2, 0);
    error[l] = Math.sqrt(spread / (values.length - 1) / values.length);
  }
  return { mean, error };
}

// {layer, q, c, gradient, count, status}: q, c and gradient are {mean, error} over the networks.
// `stopped` is asked between networks whether anybody still wants the answer.
export async function sampleNetworks(network, { count, seed, stopped = async () => false }) {
  const { depth, width, mode, activation } = network;
  const nothing = (status) => ({ layer: [], count: 0, status });
  if (mode !== undefined && mode !== "plain" && mode !== "dropout") {
    return nothing("Sampled networks are drawn for dense layers, with or without dropout, only.");
  }
  const networks = Math.min(count, Math.floor(MOST_UNITS / (width * depth)));
  if (networks < 2) return nothing("Networks as wide and deep as these take too long to draw here.");
  if (width < 4) return nothing("Networks are drawn from a width of 4 on.");
  const phi = phiOf(activation), lengths = [], correlations = [], gradients = [];
  for (let k = 0; k < networks; k++) {
    if (await stopped()) return nothing("cancelled");
    const one = new SampledNetwork(network, phi, seed * 7919 + k * 104729 + 1);
    const forward = one.forward(network);
    lengths.push(forward.lengths);
    correlations.push(forward.correlations);
    gradients.push(one.backward(depth).map(Math.exp));
  }
  return {
    layer: Array.from({ length: depth }, (_, l) => l + 1),
    q: meanAndError(lengths, depth),
    c: meanAndError(correlations, depth),
    gradient: meanAndError(gradients, depth),
    count: networks,
    status: "ok",
  };
}
