// Random networks of finite width, inputs forward and error signals backward, without the weight
// matrices: see random_layer.js. Plain layers and streams have two inputs, of which the first one's
// gradient is followed; a transformer has all tokens of one input, each read out by itself.

import { phiOf } from "./formula.js";
import { isStream } from "./modes.js";
import { combined, inner, orthonormalise } from "./orthonormal_rows.js";
import { RandomLayer } from "./random_layer.js";
import { RandomStream } from "./random_stream.js";
import { sampledBlock } from "./sampled_blocks.js";

const MOST_SAMPLING = 3e6; // units times layers times networks, of plain layers: about two seconds
const FEWEST = 2; // networks, for a standard error
const TOO_LARGE = 1e250;

// C of inputs with mean square q each and correlation c of any two, in units of sqrt(n): by Cholesky
function inputTriangle(count, q, c) {
  const rows = Array.from({ length: count }, (_, i) => new Float64Array(i + 1));
  rows.forEach((row, i) => {
    for (let j = 0; j <= i; j++) {
      let left = i === j ? q : q * c;
      for (let k = 0; k < j; k++) left -= row[k] * rows[j][k];
      if (j < i) row[j] = rows[j][j] > 0 ? left / rows[j][j] : 0;
      else row[j] = left > 4e-16 * q ? Math.sqrt(left) : 0;
    }
  });
  return rows;
}

// Inputs with exactly these second moments in random directions, and a mean over the units of 0.
function centredInputs(triangle, width, stream) {
  const ones = new Float64Array(width).fill(1);
  const rows = [ones, ...triangle.map(() => stream.normals(new Float64Array(width)))];
  orthonormalise(rows);
  return combined(triangle, Math.sqrt(width), rows.slice(1));
}

class SampledNetwork {
  constructor(network, phi, seed) {
    this.network = network;
    this.phi = phi;
    this.stream = new RandomStream(seed);
    this.tokens = network.mode === "transformer" ? network.tokens : 0;
    this.followed = this.tokens || 1;
    this.backs = []; // from layer l + 1 to layer l
    this.last = null;
  }

  block() {
    return sampledBlock(this.network, this.phi, this.stream, this.followed);
  }

  firstLayer() {
    const { q, c, width, mode = "plain", sigma_w, sigma_b, weights } = this.network;
    const triangle = inputTriangle(this.tokens || 2, q, c);
    if (isStream(mode)) return this.block()(centredInputs(triangle, width, this.stream)).h;
    const layer = new RandomLayer({ width, sigma_w, sigma_b, orthogonal: weights === "orthogonal" }, this.stream);
    return layer.draw(triangle.map((row) => row.map((v) => v * Math.sqrt(width)))).out;
  }

  // Lengths and correlations of all layers, until something overflows: of two inputs the first one's
  // length, of tokens the means over all of them and over all neighbours.
  measured(h) {
    const squares = h.map((row) => inner(row, row));
    const cosines = h.slice(1).map((row, k) => inner(row, h[k]) / Math.sqrt(squares[k] * squares[k + 1]));
    const mean = (list) => list.reduce((sum, v) => sum + v, 0) / list.length;
    return { q: mean(this.tokens ? squares : squares.slice(0, 1)) / this.network.width, c: mean(cosines) };
  }

  forward() {
    const lengths = [], correlations = [];
    let h = this.firstLayer();
    for (;;) {
      const { q, c } = this.measured(h);
      lengths.push(q);
      correlations.push(c);
      if (!(q < TOO_LARGE) || lengths.length === this.network.depth) break;
      const one = this.block()(h);
      this.backs.push(one.back);
      h = one.h;
    }
    this.whole = lengths.length === this.network.depth && lengths.at(-1) < TOO_LARGE;
    return { lengths, correlations };
  }

  // Natural logarithm of the mean square error signal of every layer, relative to the last one.
  backward() {
    const { depth, width } = this.network;
    const out = new Float64Array(depth).fill(NaN);
    if (!this.whole) return out;
    let deltas = Array.from({ length: this.followed }, () => this.stream.normals(new Float64Array(width)));
    for (const delta of deltas) {
      const norm = Math.sqrt(inner(delta, delta));
      for (let i = 0; i < width; i++) delta[i] /= norm;
    }
    let log = 0;
    out[depth - 1] = 0;
    for (let l = depth - 2; l >= 0; l--) {
      deltas = this.backs[l](deltas);
      const size = deltas.reduce((sum, delta) => sum + inner(delta, delta), 0) / deltas.length;
      log += Math.log(size);
      out[l] = log;
      if (!(size > 0)) break;
      for (const delta of deltas) for (let i = 0; i < width; i++) delta[i] /= Math.sqrt(size);
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
    const size = Math.max(...values.map((v) => Math.abs(v - mean[l]))) || 1; // whose square may be too large
    const spread = values.reduce((sum, v) => sum + ((v - mean[l]) / size) ** 2, 0);
    error[l] = size * Math.sqrt(spread / (values.length - 1) / values.length);
  }
  return { mean, error };
}

// Of a layer or block, in those of a plain layer of the same width.
function workOf({ mode = "plain", tokens }) {
  if (mode === "prenorm") return 2;
  if (mode === "transformer") return tokens + tokens ** 2 / 40;
  return 1;
}

// Why no networks of this kind can be drawn, or null.
function obstacle({ mode = "plain", width, tokens, c }) {
  if (width < 4) return "Networks are drawn from a width of 4 on.";
  if (mode !== "transformer") return null;
  if (tokens < 2) return "Networks are drawn from two tokens on.";
  if (tokens >= width) return `Networks are drawn with fewer tokens than units, and these have ${tokens} and ${width}.`;
  const least = -1 / (tokens - 1);
  return c < least ? `${tokens} tokens cannot all have a correlation below ${least.toPrecision(3)} with each other.` : null;
}

function tooMuch(network) {
  const tokens = network.mode === "transformer" ? ` with ${network.tokens} tokens` : "";
  const layers = Math.floor(MOST_SAMPLING / (FEWEST * network.width * workOf(network)));
  const would = layers > 0 ? `at this width ${layers} layer${layers > 1 ? "s" : ""} would do` : "narrower ones would do";
  return `Networks as wide and deep as these${tokens} take too long to draw here: ${would}.`;
}

// {layer, q, c, gradient, count, status}: q, c and gradient are {mean, error} over the networks.
// `stopped` is asked between networks whether anybody still wants the answer.
export async function sampleNetworks(network, { count, seed, stopped = async () => false }) {
  const { depth, width, activation } = network;
  const nothing = (status) => ({ layer: [], count: 0, status });
  const words = obstacle(network);
  if (words !== null) return nothing(words);
  const networks = Math.min(count, Math.floor(MOST_SAMPLING / (width * depth * workOf(network))));
  if (networks < FEWEST) return nothing(tooMuch(network));
  const phi = phiOf(activation), lengths = [], correlations = [], gradients = [];
  for (let k = 0; k < networks; k++) {
    if (await stopped()) return nothing("cancelled");
    const one = new SampledNetwork(network, phi, seed * 7919 + k * 104729 + 1);
    const forward = one.forward();
    lengths.push(forward.lengths);
    correlations.push(forward.correlations);
    gradients.push(one.backward().map(Math.exp));
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
