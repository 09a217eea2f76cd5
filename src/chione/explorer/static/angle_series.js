// The slope kernel of one length as Chebyshev series in the angle of two inputs, and its integral.

import { gaussLegendre } from "./gauss_legendre.js";
import { ANGLE_TERMS, LENGTH_TERMS } from "./packed_table.js";

const HALF_PI = 0.5 * Math.PI;
const RULE = gaussLegendre(20);

export function chebyshevSum(c, start, n, x) {
  let b1 = 0;
  let b2 = 0;
  for (let k = n - 1; k > 0; k--) {
    const b = 2 * x * b1 - b2 + c[start + k];
    b2 = b1;
    b1 = b;
  }
  return x * b1 - b2 + c[start];
}

export function pieceAt(table, x) {
  let a = 0;
  let b = table.pieces.length - 1;
  while (a < b) {
    const middle = (a + b) >> 1;
    if (x > table.pieces[middle].high) a = middle + 1;
    else b = middle;
  }
  return table.pieces[a];
}

// Weights that make of the coefficients of a piece of the angle its integral times sin, once each.
function wholeWeights(piece, jumps) {
  if (piece.whole === null) {
    piece.whole = piece.near.map((_, k) => {
      const half = 0.5 * (piece.angles[k + 1] - piece.angles[k]);
      const out = new Float64Array(ANGLE_TERMS);
      for (let i = 0; i < RULE.points.length; i++) {
        const y = RULE.points[i];
        const t = piece.angles[k] + half * (y + 1);
        const weight = half * RULE.weights[i] * (jumps ? 1 : Math.sin(t));
        let before = 1;
        let now = y;
        out[0] += weight;
        for (let j = 1; j < ANGLE_TERMS; j++) {
          out[j] += weight * now;
          const next = 2 * y * now - before;
          before = now;
          now = next;
        }
      }
      return out;
    });
  }
  return piece.whole;
}

// A part of the series is contracted over the lengths when it is asked for.
export class AngleSeries {
  constructor(table, piece, x) {
    this.table = table;
    this.piece = piece;
    this.near = new Array(piece.near.length).fill(null);
    this.far = new Array(piece.near.length).fill(null);
    this.sums = null; // integrals from 0 to the ends of the pieces, up to a right angle
    this.farSums = null; // and from there on
    this.basis = new Float64Array(LENGTH_TERMS);
    this.basis[0] = 1;
    this.basis[1] = x;
    for (let k = 2; k < LENGTH_TERMS; k++) {
      this.basis[k] = 2 * x * this.basis[k - 1] - this.basis[k - 2];
    }
  }

  contract(block) {
    const out = new Float64Array(ANGLE_TERMS);
    for (let j = 0, at = 0; j < ANGLE_TERMS; j++) {
      let sum = 0;
      for (let i = 0; i < LENGTH_TERMS; i++) sum += block[at++] * this.basis[i];
      out[j] = sum;
    }
    return out;
  }

  nearPart(k) {
    if (this.near[k] === null) this.near[k] = this.contract(this.piece.near[k]);
    return this.near[k];
  }

  farPart(k) {
    if (this.far[k] === null) {
      this.far[k] = this.table.parity === 0
        ? this.contract(this.piece.far[k])
        : this.nearPart(k).map((v) => v * this.table.parity);
    }
    return this.far[k];
  }

  place(t) {
    const angles = this.piece.angles;
    let k = 0;
    while (k < angles.length - 2 && t > angles[k + 1]) k++;
    return k;
  }

  // R / N at an angle (times sin where the activation jumps)
  ratio(theta) {
    const beyond = theta > HALF_PI;
    const t = beyond ? Math.PI - theta : theta;
    const k = this.place(t);
    return this.within(beyond ? this.farPart(k) : this.nearPart(k), k, t);
  }

  within(part, k, t) {
    const a = this.piece.angles[k];
    const b = this.piece.angles[k + 1];
    return chebyshevSum(part, 0, ANGLE_TERMS, (2 * t - a - b) / (b - a));
  }

  // integral of the ratio times sin from 0 to theta
  integral(theta) {
    if (theta <= HALF_PI) {
      const k = this.place(theta);
      let sum = 0;
      for (let i = 0; i < k; i++) sum += this.wholePiece(this.nearPart(i), i);
      return sum + this.partPiece(this.nearPart(k), k, this.piece.angles[k], theta);
    }
    const t = Math.PI - theta;
    const k = this.place(t);
    let sum = 0;
    for (let i = 0; i < this.near.length; i++) sum += this.wholePiece(this.nearPart(i), i);
    for (let i = this.near.length - 1; i > k; i--) sum += this.wholePiece(this.farPart(i), i);
    return sum + this.partPiece(this.farPart(k), k, t, this.piece.angles[k + 1]);
  }

  wholePiece(part, k) {
    const weights = wholeWeights(this.piece, this.table.jumps)[k];
    let sum = 0;
    for (let j = 0; j < ANGLE_TERMS; j++) sum += weights[j] * part[j];
    return sum;
  }

  partPiece(part, k, from, to) {
    const half = 0.5 * (to - from);
    let sum = 0;
    for (let i = 0; i < RULE.points.length; i++) {
      const t = from + half * (RULE.points[i] + 1);
      sum += RULE.weights[i] * this.within(part, k, t) * (this.table.jumps ? 1 : Math.sin(t));
    }
    return half * sum;
  }
}
