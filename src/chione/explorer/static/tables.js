// Tables of the catalogue's activations, made by Python (chione.explorer.tables), read here.
//
// log E phi^2, log N, log E phi^4 / (E phi^2)^2 and d log E phi^2 / d log q are Chebyshev series in
// x = log q; the slope kernel R(q, cos theta) / N(q) is one in x and theta. N is E phi'^2; where phi
// jumps, that is infinite, R sin(theta) is held instead of R, and N is its value at theta = 0.
//   K(1) - K(c) = q N  integral from 0 to theta of (R / N) sin(theta') d theta'

const LENGTH_TERMS = 20;
const ANGLE_TERMS = 24;
const HALF_PI = 0.5 * Math.PI;
const SLOPE_NOISE = 1e-11; // of a column over log q, as a difference at a distance of 1e-3

// Gauss-Legendre nodes and weights, by Newton's method on the Legendre polynomial
export function gaussLegendre(n) {
  const points = new Float64Array(n);
  const weights = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let x = Math.cos(Math.PI * (i + 0.75) / (n + 0.5));
    let slope = 1;
    for (let step = 0; step < 12; step++) {
      let p = 1;
      let before = 0;
      for (let k = 1; k <= n; k++) {
        const next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
        before = p;
        p = next;
      }
      slope = n * (x * p - before) / (x * x - 1);
      x -= p / slope;
    }
    points[n - 1 - i] = x;
    weights[n - 1 - i] = 2 / ((1 - x * x) * slope * slope);
  }
  return { points, weights };
}

const RULE = gaussLegendre(20);

// ---- where the data comes from -----------------------------------------------------------------

const tableStore = { data: null, entries: new Map(), activations: new Map() };

// Give the parsed data of the page, where there is no document to read it from (worker, tests).
export function provideTables(data) {
  tableStore.data = data;
  for (const entry of data.activations) tableStore.entries.set(entry.name, entry);
}

export function tableData() {
  if (tableStore.data === null) {
    const place = typeof document === "undefined" ? null : document.getElementById("chione-tables");
    if (place === null) throw new Error("There are no tables here: call provideTables(data) first.");
    provideTables(JSON.parse(place.textContent));
  }
  return tableStore.data;
}

// The limits of the verdict, or null where only single entries were handed over (in the worker).
export function verdictRule() {
  if (tableStore.data === null && typeof document === "undefined") return null;
  return tableData().rule;
}

export function activationNames() {
  return tableData().activations.map((entry) => entry.name);
}

// The packed table of one activation: plain data that can be posted to a worker.
export function tableEntry(name) {
  tableData();
  const entry = tableStore.entries.get(name);
  if (entry === undefined) throw new Error(`There is no activation "${name}" in the page.`);
  return entry;
}

export async function loadActivation(name) {
  if (!tableStore.activations.has(name)) {
    tableStore.activations.set(name, activationOf(tableEntry(name)));
  }
  return tableStore.activations.get(name);
}

export async function activationOf(entry) {
  return tabledActivation(entry, await unpackTable(entry.data));
}

// ---- unpacking ---------------------------------------------------------------------------------

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpackTable(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const raw = await inflate(bytes);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const count = view.getUint32(0, true);
  let floatAt = 4;
  let byteAt = 4 + 8 * count;
  const float = () => {
    floatAt += 8;
    return view.getFloat64(floatAt - 8, true);
  };
  const number = () => {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = raw[byteAt++];
      value += (byte & 127) * factor;
      if (byte < 128) break;
      factor *= 128;
    }
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  };
  const block = (size) => {
    const step = float();
    const out = new Float64Array(size);
    for (let i = 0; i < size; i++) out[i] = number() * step;
    return out;
  };
  const jumps = float() === 1;
  const parity = float();
  const n = float();
  let low = float();
  const pieces = [];
  for (let i = 0; i < n; i++) {
    const high = float();
    const parts = float();
    const angles = new Float64Array(parts + 1);
    for (let k = 0; k <= parts; k++) angles[k] = float();
    const columns = [0, 1, 2, 3].map(() => block(LENGTH_TERMS));
    const near = [];
    const far = [];
    for (let k = 0; k < parts; k++) near.push(block(ANGLE_TERMS * LENGTH_TERMS));
    for (let k = 0; k < parts && parity === 0; k++) far.push(block(ANGLE_TERMS * LENGTH_TERMS));
    pieces.push({ low, high, angles, columns, near, far, whole: null });
    low = high;
  }
  return { jumps, parity, pieces, low: pieces[0].low, high: low };
}

// ---- series ------------------------------------------------------------------------------------

function chebyshevSum(c, start, n, x) {
  let b1 = 0;
  let b2 = 0;
  for (let k = n - 1; k > 0; k--) {
    const b = 2 * x * b1 - b2 + c[start + k];
    b2 = b1;
    b1 = b;
  }
  return x * b1 - b2 + c[start];
}

function pieceAt(table, x) {
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

// The slope kernel of one length as series in the angle, contracted when a piece is asked for.
class AngleSeries {
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

// the power that a moment tends to far out: a multiple of one half between those of x^-2 and x^4
function tailPower(slope) {
  return Math.min(Math.max(Math.round(2 * slope) / 2, -2), 4);
}

// ---- the activation ----------------------------------------------------------------------------

function tabledActivation(entry, table) {
  const qLow = Math.exp(table.low);
  const qHigh = Math.exp(table.high);
  const momentError = entry.error.moments;
  const kernelError = entry.error.kernel;
  const values = new Float64Array(4);
  let last = null; // the length that was asked for last, compiled in the angle

  function columnsAt(x) {
    const piece = pieceAt(table, x);
    const y = (2 * x - piece.low - piece.high) / (piece.high - piece.low);
    for (let i = 0; i < 4; i++) values[i] = chebyshevSum(piece.columns[i], 0, LENGTH_TERMS, y);
    return values;
  }

  // How the logarithm of a column goes on beyond an end of the table: its slope tends to a multiple
  // of one half, exponentially in log q, as that of a moment does whose activation is a power there.
  function goesOn(value, slopeAt, end, far) {
    const inward = end === table.low ? 1 : -1;
    const slope = slopeAt(end);
    const limit = tailPower(slope);
    const left = slope - limit;
    // a power as it is: what is left is rounding, which would add up over hundreds of decades
    if (Math.abs(left) < SLOPE_NOISE) return { value: value + limit * far, error: 5 * Math.abs(left) };
    const before = slopeAt(end + inward) - limit;
    const rate = Math.log(before / left);
    const size = Math.abs(far);
    const fades = rate > 0.2 && rate < 3;
    const correction = fades ? left / rate * (1 - Math.exp(-rate * size)) : left * size;
    const error = Math.abs(left) * (fades ? 0.1 / rate : Math.min(size, 1e3));
    return { value: value + limit * far + Math.sign(far) * correction, error };
  }

  function beyondTable(x) {
    const end = x < table.low ? table.low : table.high;
    const far = x - end;
    const [log2, logN, log4] = columnsAt(end);
    const tiny = end === table.low ? 1e-3 : -1e-3;
    const steepOf = (at) => (columnsAt(at + tiny)[1] - columnsAt(at)[1]) / tiny;
    const square = goesOn(log2, (at) => columnsAt(at)[3], end, far);
    const steep = goesOn(logN, steepOf, end, far);
    const bend = square.error + steep.error;
    // what grows faster than any power, or dies so, has no value here
    if (!(bend < 10)) {
      const gone = far > 0 ? Infinity : 0;
      return { m2: gone, n: gone, m4: gone, slope: gone, error: 1 };
    }
    const m2 = Math.exp(square.value);
    const power = columnsAt(end)[3];
    const limit = tailPower(power);
    const slope = (limit + (power - limit) * Math.exp(-0.5 * Math.abs(far))) * m2 / Math.exp(x);
    return {
      m2, n: Math.exp(steep.value), m4: Math.exp(log4) * m2 * m2, slope,
      error: momentError + Math.min(square.error, 1) + Math.min(steep.error, 1),
    };
  }

  function plainMoments(q) {
    const x = Math.log(q);
    if (!(x >= table.low && x <= table.high)) return beyondTable(x);
    const [log2, logN, log4, power] = columnsAt(x);
    const m2 = Math.exp(log2);
    return {
      m2, n: Math.exp(logN), m4: Math.exp(log4 + 2 * log2), slope: power * m2 / q,
      error: momentError,
    };
  }

  function moments(q) {
    if (q === 0) {
      const m = beyondTable(table.low - 60);
      const power = columnsAt(table.low)[3];
      const gone = power > 1e-6; // a power of q: nothing is left at zero
      const flat = power > 1.5; // nor of the slope
      return {
        m2: gone ? 0 : m.m2,
        m4: gone ? 0 : m.m4,
        d2: flat ? 0 : table.jumps ? Infinity : m.n, // jumps elsewhere are out of reach
        slope: flat ? 0 : m.slope,
        error: m.error,
      };
    }
    const m = plainMoments(q);
    const d2 = table.jumps ? Infinity : m.n;
    return { m2: m.m2, m4: m.m4, d2, slope: m.slope, error: m.error };
  }

  function atLength(q) {
    if (last !== null && last.q === q) return last;
    const m = plainMoments(q);
    const x = Math.min(Math.max(Math.log(q), table.low), table.high);
    const piece = pieceAt(table, x);
    const y = (2 * x - piece.low - piece.high) / (piece.high - piece.low);
    last = { q, m, series: new AngleSeries(table, piece, y), scale: q * m.n };
    return last;
  }

  // E phi phi of two inputs of mean square q whose correlation is 1 - oneMinusC
  function kernelAtGap(q, oneMinusC) {
    const at = atLength(q);
    const theta = 2 * Math.asin(Math.sqrt(Math.min(1, 0.5 * oneMinusC)));
    const gap = oneMinusC === 0 ? 0 : at.scale * at.series.integral(theta);
    let slope = at.m.n * at.series.ratio(theta);
    if (table.jumps) slope /= Math.sin(theta);
    return { value: at.m.m2 - gap, gap, slope, error: kernelError + at.m.error };
  }

  return {
    name: entry.name,
    label: entry.label,
    formula: entry.formula,
    expression: entry.expression,
    kinks: entry.kinks,
    jumps: table.jumps,
    parity: table.parity,
    even: entry.even,
    flat: entry.flat,
    range: [qLow, qHigh],
    recommendations: entry.recommendations,
    moments,
    kernelAtGap,
    kernel: (q, c) => kernelAtGap(q, 1 - c),
  };
}
