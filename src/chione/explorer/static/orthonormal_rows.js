// Vectors as rows: orthonormal rows that span the same, by Gram-Schmidt.

const DEPENDENT = 1e-13; // what is left of a row, relative to it, below which the others span it

export function inner(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** a += factor b. */
export function addTo(a, factor, b) {
  for (let i = 0; i < a.length; i++) a[i] += factor * b[i];
}

/**
 * X = C Q: the rows become Q in place, and C comes back, lower triangular with diagonal >= 0, so that
 * Gaussian rows become a uniform frame. Of a row that those before it span, Q and the diagonal are 0.
 */
export function orthonormalise(rows) {
  return rows.map((row, k) => {
    const c = new Float64Array(k + 1), size = Math.sqrt(inner(row, row));
    for (let i = 0; i < k; i++) {
      c[i] = inner(row, rows[i]);
      addTo(row, -c[i], rows[i]);
    }
    const left = Math.sqrt(inner(row, row));
    if (left <= DEPENDENT * size && size < Infinity) row.fill(0);
    else { // what has overflowed becomes NaN
      c[k] = left;
      for (let i = 0; i < row.length; i++) row[i] /= left;
    }
    return c;
  });
}

/** The rows less their parts along orthonormal ones. */
export function projectOff(rows, basis) {
  for (const row of rows) for (const q of basis) addTo(row, -inner(row, q), q);
}

/** C Q with a lower triangular C, times a factor. */
export function combined(c, factor, rows) {
  return c.map((coefficients) => {
    const out = new Float64Array(rows[0].length);
    coefficients.forEach((value, i) => addTo(out, factor * value, rows[i]));
    return out;
  });
}
