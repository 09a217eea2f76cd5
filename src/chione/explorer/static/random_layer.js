// A dense layer h = W x + b with random weights that are never formed: it is met only in W X and, coming
// back, in W^T Delta, whose joint law is known. In rows, X = C Q with orthonormal Q, Delta = B E alike;
// xi and g are standard normal, s = sigma_w / sqrt(N), P projects off Q.
//
//   Gaussian    W X = s C xi,        W^T Delta = s (Delta xi^T) Q + s B P g
//   orthogonal  W X = sigma_w C U,   W^T Delta = sigma_w ((Delta U^T) Q + B' V)
//
// U is xi made orthonormal, B' belongs to what U leaves of Delta, V is P g made orthonormal. The law of
// both products together is that of W; an input that the others span has no rows of its own.

import { addTo, combined, inner, orthonormalise, projectOff } from "./orthonormal_rows.js";

export class RandomLayer {
  constructor({ width, sigma_w, sigma_b, orthogonal }, stream) {
    this.width = width;
    this.orthogonal = orthogonal;
    this.scale = orthogonal ? sigma_w : sigma_w / Math.sqrt(width);
    this.sigmaB = sigma_b;
    this.stream = stream;
  }

  normals(count) {
    return Array.from({ length: count }, () => this.stream.normals(new Float64Array(this.width)));
  }

  /** h of inputs of which only C is known, and what W made of each direction. */
  draw(c) {
    const xi = this.normals(c.length);
    c.forEach((row, i) => { if (row[i] === 0) xi[i].fill(0); });
    if (this.orthogonal) orthonormalise(xi);
    const out = combined(c, this.scale, xi);
    if (this.sigmaB > 0) {
      const [bias] = this.normals(1); // the same for all inputs
      for (const row of out) addTo(row, this.sigmaB, bias);
    }
    return { out, xi };
  }

  /** {out, back}: h of inputs (they become Q), and the way back for error signals, to call once. */
  apply(x) {
    const c = orthonormalise(x);
    const { out, xi } = this.draw(c);
    return { out, back: (deltas) => this.back(deltas, x, xi) };
  }

  back(deltas, q, xi) {
    const known = deltas.map((delta) => xi.map((row) => inner(row, delta)));
    const rest = deltas.map((delta) => delta.slice());
    if (this.orthogonal) projectOff(rest, xi);
    const b = orthonormalise(rest);
    const fresh = this.normals(deltas.length);
    projectOff(fresh, q);
    if (this.orthogonal) orthonormalise(fresh);
    const out = combined(b, this.scale, fresh);
    out.forEach((row, k) => q.forEach((direction, i) => addTo(row, this.scale * known[k][i], direction)));
    return out;
  }
}
