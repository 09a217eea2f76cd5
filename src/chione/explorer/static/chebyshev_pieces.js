// Smooth functions of one variable as Chebyshev polynomials on pieces that are halved until the
// last coefficients are small. Plain arrays, so that a worker can send them.

const PIECE_DEGREE = 15;

function chebyshevPoints(count) {
  return Array.from({ length: count }, (_, k) => Math.cos((Math.PI * (k + 0.5)) / count));
}

// Coefficients of the interpolant through the values at `chebyshevPoints`.
export function chebyshevCoefficients(values) {
  const n = values.length;
  return values.map((_, j) => {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += values[k] * Math.cos((Math.PI * j * (k + 0.5)) / n);
    return ((j ? 2 : 1) * sum) / n;
  });
}

export function chebyshevNodes(low, high, count) {
  return chebyshevPoints(count).map((x) => (low + high) / 2 + ((high - low) / 2) * x);
}

export function clenshaw(coefficients, start, count, t) {
  let b0 = 0, b1 = 0;
  for (let k = start + count - 1; k > start; k--) {
    const next = 2 * t * b0 - b1 + coefficients[k];
    b1 = b0;
    b0 = next;
  }
  return t * b0 - b1 + coefficients[start];
}

// {edges, coefficients, count, error}: f(u) -> array of numbers, each of them a column. The error
// is absolute, or, where `relative`, measured by the largest value on each piece.
export function fitPieces(f, low, high, columns, tolerance, firstPieces, relative = false) {
  const edges = [low], rows = [];
  const count = PIECE_DEGREE + 1;
  const error = new Array(columns).fill(0);
  const waiting = [];
  for (let k = firstPieces; k > 0; k--) {
    waiting.push([low + ((high - low) * (k - 1)) / firstPieces, low + ((high - low) * k) / firstPieces, 0]);
  }
  while (waiting.length) {
    const [a, b, depth] = waiting.pop();
    const values = chebyshevNodes(a, b, count).map(f);
    const fits = Array.from({ length: columns }, (_, j) => chebyshevCoefficients(values.map((v) => v[j])));
    // the tail bounds what the polynomial leaves out
    const tails = fits.map((c, j) => {
      const tail = Math.abs(c[count - 1]) + Math.abs(c[count - 2]) + Math.abs(c[count - 3]);
      return relative ? tail / (Math.max(...values.map((v) => Math.abs(v[j]))) || 1) : tail;
    });
    if (depth < 6 && tails.some((tail) => tail > tolerance)) {
      waiting.push([(a + b) / 2, b, depth + 1], [a, (a + b) / 2, depth + 1]);
      continue;
    }
    tails.forEach((tail, j) => { error[j] = Math.max(error[j], tail); });
    rows.push(fits);
    edges.push(b);
  }
  const coefficients = Array.from({ length: columns }, (_, j) => Float64Array.from(rows.flatMap((row) => row[j])));
  return { edges: Float64Array.from(edges), coefficients, count, error };
}

export function pieceOf(edges, u) {
  let low = 0, high = edges.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (u < edges[middle]) high = middle;
    else low = middle;
  }
  return low;
}

export function evaluatePieces(pieces, column, u) {
  const { edges, coefficients, count } = pieces;
  const k = pieceOf(edges, u);
  const t = (2 * u - edges[k] - edges[k + 1]) / (edges[k + 1] - edges[k]);
  return clenshaw(coefficients[column], k * count, count, t);
}
