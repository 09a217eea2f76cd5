// The state of the page and its form in the address: #activation=gelu&sigma_w=1.5&...
// Whatever stands there, the page opens: a bad value becomes the nearest accepted one, with a sentence.

export const MODE_WORDS = {
  plain: "dense layers",
  dropout: "dense layers with dropout",
  residual: "residual blocks",
  prenorm: "residual blocks, layer norm first",
  transformer: "transformer blocks",
};

export const FIELDS = {
  chi_perp: { label: "χ⊥, gradient a layer", words: "factor on the mean square gradient a layer", log: true },
  c_star: { label: "c*, correlation", words: "correlation of two inputs, deep down", log: false },
  q_star: { label: "q*, mean square", words: "mean square of pre-activations, deep down", log: true },
  xi_c: { label: "ξ_c, layers", words: "layers over which correlations settle", log: true },
  xi_q: { label: "ξ_q, layers", words: "layers over which lengths settle", log: true },
  chi_parallel: { label: "χ∥, slope of lengths", words: "slope of the map of lengths", log: true },
};

// low, high: what is accepted when typed; the sliders' ranges stand in controls.js
export const STATE_NUMBERS = {
  sigma_w: { start: 1.5, low: 0, high: 20, words: "sigma_w" },
  sigma_b: { start: 0.1, low: 0, high: 20, words: "sigma_b" },
  depth: { start: 50, low: 1, high: 1000, whole: true, words: "the depth" },
  width: { start: 512, low: 1, high: 1000000, whole: true, words: "the width" },
  q: { start: 1, low: 1e-4, high: 1000, words: "the mean square of the input" },
  c: { start: 0.5, low: -1, high: 1, words: "the correlation of the inputs" },
  dropout: { start: 0.1, low: 0, high: 0.95, words: "the probability to drop" },
  alpha: { start: 1, low: 0, high: 10, words: "the scale of the branches" },
  tokens: { start: 64, low: 1, high: 4096, whole: true, words: "the number of tokens" },
};

export const STATE_CHOICES = {
  weights: { start: "gaussian", accepted: ["gaussian", "orthogonal"] },
  mode: { start: "plain", accepted: Object.keys(MODE_WORDS) },
  field: { start: "chi_perp", accepted: Object.keys(FIELDS) },
};

export const FORMULA_LENGTH = 300;
const FRAGMENT_LENGTH = 8000;
const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
const EXTRAS = { plain: [], dropout: ["dropout"], residual: ["alpha"], prenorm: ["alpha"], transformer: ["alpha", "tokens"] };

/** The further numbers that a mode has. */
export function extrasOf(mode) {
  return EXTRAS[mode];
}

export function startState() {
  const state = { activation: "tanh" };
  for (const [key, rule] of Object.entries(STATE_NUMBERS)) state[key] = rule.start;
  for (const [key, rule] of Object.entries(STATE_CHOICES)) state[key] = rule.start;
  return state;
}

/** A typed number: {value, note}; value is undefined where the text is no number at all. */
export function readNumber(key, text) {
  const rule = STATE_NUMBERS[key];
  const range = `${rule.words} takes ${rule.whole ? "a whole number" : "a number"} from ${rule.low} to ${rule.high}`;
  const typed = String(text).replace("−", "-").replace(",", ".");
  if (!DECIMAL.test(typed)) return { note: `“${shortened(text)}” is no number: ${range}.` };
  const wanted = Number(typed);
  const value = Math.min(Math.max(rule.whole ? Math.round(wanted) : wanted, rule.low), rule.high);
  return value === wanted ? { value } : { value, note: `${shortened(typed)} became ${value}: ${range}.` };
}

function shortened(text) {
  const plain = String(text).trim();
  return plain.length > 40 ? `${plain.slice(0, 39)}…` : plain;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function pairsOf(fragment, notes) {
  const text = String(fragment).replace(/^#/, "");
  if (text.length > FRAGMENT_LENGTH) {
    notes.push(`The address holds ${text.length} characters after #; at most ${FRAGMENT_LENGTH} are read.`);
    return [];
  }
  return text.split("&").filter(Boolean).map((pair) => {
    const at = pair.indexOf("=");
    return at < 0 ? [decoded(pair), ""] : [decoded(pair.slice(0, at)), decoded(pair.slice(at + 1))];
  });
}

/** A state whose numbers go together, and a sentence where one of them had to move. */
export function reconciled(state) {
  const least = state.tokens > 1 ? -1 / (state.tokens - 1) : -1;
  if (state.mode !== "transformer" || state.c >= least) return { state };
  const c = Math.ceil(1e4 * least) / 1e4;
  return { state: { ...state, c }, note: `The correlation became ${c}: ${state.tokens} tokens cannot all have a lower one with each other.` };
}

/** What an address says: {state, notes}; notes are sentences about what was not as it should be. */
export function parseFragment(fragment) {
  const state = startState();
  const notes = [];
  for (const [key, value] of pairsOf(fragment, notes)) {
    if (key === undefined || value === undefined) {
      notes.push("A part of the address is not properly encoded and was left out.");
    } else if (key === "activation") {
      if (value.trim() === "" || value.length > FORMULA_LENGTH) {
        notes.push(`An activation is a name or a formula of at most ${FORMULA_LENGTH} characters; ${state.activation} is shown.`);
      } else state.activation = value.trim();
    } else if (Object.hasOwn(STATE_NUMBERS, key)) {
      const read = readNumber(key, value);
      if (read.value !== undefined) state[key] = read.value;
      if (read.note) notes.push(read.note);
    } else if (Object.hasOwn(STATE_CHOICES, key)) {
      const { accepted } = STATE_CHOICES[key];
      if (accepted.includes(value)) state[key] = value;
      else notes.push(`${key} is one of ${accepted.join(", ")}, not “${shortened(value)}”; ${state[key]} is shown.`);
    } else {
      notes.push(`The address holds “${shortened(key)}”, which this page does not know.`);
    }
  }
  const together = reconciled(state);
  if (together.note) notes.push(together.note);
  return { state: together.state, notes: notes.slice(0, 3) };
}

/** The address of a state; of the further numbers those that its mode has. */
export function formatFragment(state) {
  const keys = ["activation", "sigma_w", "sigma_b", "depth", "width", "q", "c", "weights", "mode", "field", ...extrasOf(state.mode)];
  return `#${keys.map((key) => `${key}=${encodeURIComponent(state[key])}`).join("&")}`;
}
