// Where a formula breaks: the roots of the quantities that its max, abs, if, floor, ... decide by.

const KINK_REACH = 64; // as in Python: a thorough search out to here, on growing steps beyond
const KINK_FAR = 1e4;
const MOST_KINKS = 256;

// Points at which no short decimal lies, so that a root is seldom on one of them.
const SEARCH_POINTS = (() => {
  const points = [];
  const steps = 4099;
  for (let k = 0; k <= steps; k++) points.push(-KINK_REACH + (2 * KINK_REACH * (k + 0.12345)) / (steps + 0.25));
  for (let x = KINK_REACH * 1.003; x < KINK_FAR; x *= 1.0137) points.push(x, -x * 1.0011);
  return Float64Array.from(points).sort();
})();

// The neighbouring doubles between which `test` changes; the shorter of the two is returned.
function changeBetween(test, low, high) {
  const start = test(low);
  if (low < 0 && high > 0 && test(-1e-300) !== test(1e-300)) return 0;
  for (let k = 0; k < 2100; k++) {
    const middle = low + (high - low) / 2;
    if (!(low < middle && middle < high)) break;
    if (test(middle) === start) low = middle;
    else high = middle;
  }
  return String(low).length < String(high).length ? low : high;
}

// A place where g touches zero without crossing it, as x*x does, between two points of the search.
function touchBetween(g, low, high, scale) {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let a = low, b = high;
  for (let k = 0; k < 80; k++) {
    const left = b - ratio * (b - a), right = a + ratio * (b - a);
    if (Math.abs(g(left)) < Math.abs(g(right))) b = right;
    else a = left;
  }
  let at = (a + b) / 2;
  for (const digits of [0, 1, 2, 4, 6]) {
    const short = Number(at.toFixed(digits));
    if (Math.abs(short - at) < 1e-5 && Math.abs(g(short)) <= Math.abs(g(at))) { at = short + 0; break; }
  }
  return Math.abs(g(at)) <= 1e-12 * scale ? at : null;
}

// Pairs of neighbours of the search, those next to zero first: of many kinks the far ones are left out.
const SEARCH_ORDER = [...SEARCH_POINTS.keys()].slice(1).sort((a, b) => Math.abs(SEARCH_POINTS[a]) - Math.abs(SEARCH_POINTS[b]));

function crossingsOf(g, mayTouch) {
  const found = [], values = SEARCH_POINTS.map(g);
  for (const next of SEARCH_ORDER) {
    if (found.length > MOST_KINKS) break;
    const k = next - 1, a = values[k], b = values[next];
    if (Number.isNaN(a) || Number.isNaN(b)) {
      if (Number.isNaN(a) !== Number.isNaN(b)) found.push(changeBetween((x) => Number.isNaN(g(x)), SEARCH_POINTS[k], SEARCH_POINTS[next]));
    } else if (a === 0 && k && values[k - 1] !== 0) found.push(SEARCH_POINTS[k]);
    else if (a > 0 !== b > 0) found.push(changeBetween((x) => g(x) > 0, SEARCH_POINTS[k], SEARCH_POINTS[next]));
    else if (mayTouch && k) {
      const before = Math.abs(values[k - 1]), here = Math.abs(a), after = Math.abs(b);
      if (here < before && here <= after) {
        const at = touchBetween(g, SEARCH_POINTS[k - 1], SEARCH_POINTS[next], before + after);
        if (at !== null) found.push(at);
      }
    }
  }
  return found;
}

// Where floor(g) changes; several integers may lie between two points.
function integersOf(g) {
  const found = [];
  for (const k of SEARCH_ORDER) {
    if (found.length > MOST_KINKS) break;
    const before = Math.floor(g(SEARCH_POINTS[k - 1])), now = Math.floor(g(SEARCH_POINTS[k]));
    if (!(Math.abs(now - before) < 1000)) continue;
    for (let m = Math.min(now, before) + 1; m <= Math.max(now, before); m++) {
      found.push(changeBetween((x) => g(x) >= m, SEARCH_POINTS[k - 1], SEARCH_POINTS[k]));
    }
  }
  return found;
}

// The kinks of all switches in ascending order. Beyond `MOST_KINKS` those next to zero are kept.
export function switchesToKinks(switches) {
  const all = new Set();
  for (const { inner, kind, levels } of switches) {
    const places = kind === "integers"
      ? integersOf(inner)
      : levels.flatMap((level) => crossingsOf((x) => inner(x) - level, kind === "touching"));
    for (const at of places) all.add(at + 0);
  }
  const nearest = [...all].sort((a, b) => Math.abs(a) - Math.abs(b)).slice(0, MOST_KINKS);
  return nearest.sort((a, b) => a - b);
}
