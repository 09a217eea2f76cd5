// The error function and its relatives to a few units in the last place, which JavaScript lacks.

const SQRT_PI = Math.sqrt(Math.PI);
export const TWO_OVER_SQRT_PI = 2 / SQRT_PI;
const HALVING = 134217729; // 2^27 + 1: splits a double into two halves that multiply exactly

// Taylor coefficients of erf(x) sqrt(pi)/2 / x in powers of x^2: 22 leave 1e-22 at x = 1.
const ERF_TAYLOR = (() => {
  const terms = [];
  let factorial = 1;
  for (let n = 0; n < 22; n++) {
    if (n) factorial *= n;
    terms.push((n % 2 ? -1 : 1) / (factorial * (2 * n + 1)));
  }
  return terms;
})();

// Chebyshev coefficients of (1 + 2x) erfcx(x) in t = (x - 3.75) / (x + 3.75), x from 0 to
// infinity (Shepherd and Laframboise 1981); computed anew with 60 digits.
const ERFCX_CHEBYSHEV = [
  1.1775789345674017541, -0.0045900545806464773309, -0.084249133366517915584,
  0.059209939998191890498, -0.026658668435305752277, 0.0090749976707052650939,
  -0.0024131635404176081909, 0.00049077583652580863229, -0.000069169733025012063671,
  4.1390279860730101675e-6, 7.7403830661984906686e-7, -2.1886401049234395661e-7,
  1.0764999465670910377e-8, 4.5219598112182868979e-9, -7.7544002088313511065e-10,
  -6.3180883408866844944e-11, 2.8687950109306698981e-11, 1.945586854577734723e-13,
  -9.6546967484334389059e-13, 3.2525481481487398415e-14, 3.3478119482868053878e-14,
  -1.8645628804193131015e-15, -1.2507950530688647085e-15, 7.418235256624043463e-17,
  5.0681489047961113168e-17, -2.2370566594359995974e-18, -2.187342944303017665e-18,
];

// What rounding took from the product: a b - fl(a b), exact below 1e150 (Dekker).
export function productError(a, b, product) {
  const sa = HALVING * a, ah = sa - (sa - a), al = a - ah;
  const sb = HALVING * b, bh = sb - (sb - b), bl = b - bh;
  return al * bl - (((product - ah * bh) - al * bh) - ah * bl);
}

// e^(-(s z)^2) with s = scale + scaleLow; the square is taken together with its rounding error.
export function expMinusSquare(z, scale = 1, scaleLow = 0) {
  const u = scale * z;
  if (!(Math.abs(u) < 40)) return u !== u ? NaN : 0; // zero in doubles beyond 39
  const square = u * u;
  const lost = productError(scale, z, u) + scaleLow * z;
  return Math.exp(-square) * (1 - (productError(u, u, square) + 2 * u * lost));
}

// e^(x^2) erfc(x) for x >= 0.
function scaledErfc(x) {
  const t = x > 1e17 ? 1 : (x - 3.75) / (x + 3.75);
  let b0 = 0, b1 = 0;
  for (let k = ERFCX_CHEBYSHEV.length - 1; k > 0; k--) {
    const next = 2 * t * b0 - b1 + ERFCX_CHEBYSHEV[k];
    b1 = b0;
    b0 = next;
  }
  return (t * b0 - b1 + ERFCX_CHEBYSHEV[0]) / (1 + 2 * x);
}

function erfSeries(x) {
  const square = x * x;
  let sum = 0;
  for (let n = ERF_TAYLOR.length - 1; n >= 0; n--) sum = sum * square + ERF_TAYLOR[n];
  return TWO_OVER_SQRT_PI * x * sum;
}

export function erf(x) {
  const size = Math.abs(x);
  if (size !== size) return NaN;
  if (size < 1) return erfSeries(x);
  const tail = size > 6.5 ? 0 : expMinusSquare(size) * scaledErfc(size);
  return x > 0 ? 1 - tail : tail - 1;
}

export function erfc(x) {
  if (x !== x) return NaN;
  if (x < -1) return x < -6.5 ? 2 : 2 - expMinusSquare(x) * scaledErfc(-x);
  return x < 0.5 ? 1 - erfSeries(x) : expMinusSquare(x) * scaledErfc(x);
}

const SQRT_HALF_HIGH = Math.SQRT1_2;
const SQRT_HALF_LOW = -4.833646656726457e-17; // 1/sqrt(2) - the double next to it

// Standard normal density and distribution function, accurate in both tails.
export function normalDensity(z) {
  return expMinusSquare(z, SQRT_HALF_HIGH, SQRT_HALF_LOW) / Math.sqrt(2 * Math.PI);
}

export function normalCdf(z) {
  if (z !== z) return NaN;
  if (z > 1) return 1 - normalCdf(-z);
  if (z > -1) return 0.5 + 0.5 * erfSeries(SQRT_HALF_HIGH * z);
  const tail = expMinusSquare(z, SQRT_HALF_HIGH, SQRT_HALF_LOW);
  return tail === 0 ? 0 : 0.5 * tail * scaledErfc(-SQRT_HALF_HIGH * z);
}

// 1 / (1 + e^-z), and 1/cosh^2 z, neither of which may overflow or cancel.
export function logisticSigmoid(z) {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

export function sechSquared(z) {
  const e = Math.exp(-2 * Math.abs(z));
  return (4 * e) / ((1 + e) * (1 + e));
}

// sin(pi v) / (pi v) and its derivative.
export function normalizedSinc(v) {
  const u = Math.PI * (v === 0 ? 1e-20 : v);
  return Math.sin(u) / u;
}

export function sincSlope(v) {
  const u = Math.PI * v;
  if (Math.abs(u) >= 1) return (Math.PI * (Math.cos(u) - normalizedSinc(v))) / u;
  let sum = 0, factorial = 1;
  const factorials = [1];
  for (let k = 1; k <= 25; k++) factorials.push((factorial *= k));
  for (let k = 12; k > 0; k--) sum = sum * u * u + ((k % 2 ? -2 : 2) * k) / factorials[2 * k + 1];
  return Math.PI * sum * u;
}

export function roundHalfEven(x) {
  const low = Math.floor(x), rest = x - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

// The remainder with the sign of the divisor, as Python and NumPy have it.
export function flooredRemainder(a, b) {
  const r = a % b;
  if (r === 0) return b < 0 ? -0 : 0;
  return r < 0 !== b < 0 ? r + b : r;
}

export function logAddExp(a, b) {
  if (a === b) return a + Math.LN2;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}
