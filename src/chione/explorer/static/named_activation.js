// From what a person types to an activation, as Python's chione.activation reads it: a name in any
// spelling, a name with parameters such as leaky_relu(0.2), an affine change of one, or a formula.
//
// Where parameters only change the units, phi(x) = a psi(b x), the tables of psi serve:
// {text, base, a, b}. What else there is becomes a formula: {text, formula}.

import { CATALOGUE_FUNCTIONS } from "./catalogue_functions.js";
import { FormulaError, parseFormula, RefusedPart } from "./formula_parser.js";
import { nearestName } from "./nearest_name.js";

const NAMED_LIMIT = 300;
const VARIABLE = /(?<![A-Za-z0-9_.])x(?![A-Za-z0-9_])/;
const NAME = /^\s*[A-Za-z][A-Za-z0-9_ -]*(\(|$)/;

export const ACTIVATION_ALIASES = {
  identity: "linear", swish: "silu", heaviside: "step", logistic: "sigmoid", atan: "arctan", asinh: "arcsinh", sine: "sin",
  cosine: "cos", square: "quadratic", relu2: "squared_relu", absolute: "abs", erf_normalized: "erf_scaled", gelu_new: "gelu_tanh",
};

const positive = (key, v) => { if (!(v > 0)) return `${key} must be above 0, but it is ${v}`; };
const scaled = (base, a, b) => ({ base, a, b });
const leakyText = (slope) => ({ formula: `x if x > 0 else ${inText(slope)}*x` });

// name -> its parameters with their defaults, what refuses them, and the activation they make
export const ACTIVATION_FAMILIES = {
  leaky_relu: { takes: { slope: 0.01 }, make: ({ slope }) => leakyText(slope) },
  prelu: { takes: { slope: 0.25 }, make: ({ slope }) => leakyText(slope) },
  hardtanh: {
    takes: { low: -1, high: 1 },
    refused: ({ low, high }) => (low >= high ? `low must lie below high, but they are ${low} and ${high}` : undefined),
    make: ({ low, high }) => (low === -high ? scaled("hardtanh", high, 1 / high) : { formula: `clip(x, ${inText(low)}, ${inText(high)})` }),
  },
  shifted_relu: {
    takes: { bound: 1 },
    make: ({ bound }) => (bound > 0 ? scaled("shifted_relu", bound, 1 / bound) : { formula: `max(x, ${inText(-bound)})` }),
  },
  erf: { takes: { scale: 1 }, refused: ({ scale }) => positive("scale", scale), make: ({ scale }) => scaled("erf", 1, scale) },
  silu: { takes: { beta: 1 }, make: ({ beta }) => (beta === 0 ? { formula: "x/2" } : scaled("silu", 1 / beta, beta)) },
  elu: { takes: { alpha: 1 }, make: ({ alpha }) => ({ formula: `x if x > 0 else ${inText(alpha)}*expm1(x)` }) },
  celu: { takes: { alpha: 1 }, refused: ({ alpha }) => positive("alpha", alpha), make: ({ alpha }) => scaled("celu", alpha, 1 / alpha) },
  siren: {
    takes: { w0: 30 },
    refused: ({ w0 }) => (w0 === 0 ? "w0 must not be 0: the activation would be constant" : undefined),
    make: ({ w0 }) => scaled("sin", 1, w0),
  },
  gaussian: { takes: { scale: 1 }, refused: ({ scale }) => positive("scale", scale), make: ({ scale }) => scaled("gaussian", 1, scale) },
  softshrink: shrinking("softshrink"),
  hardshrink: shrinking("hardshrink"),
};

function shrinking(name) {
  return {
    takes: { threshold: 0.5 },
    refused: ({ threshold }) => positive("threshold", threshold),
    make: ({ threshold }) => scaled(name, 2 * threshold, 0.5 / threshold),
  };
}

function inText(number) {
  return number < 0 || Object.is(number, -0) ? `(${number})` : String(number);
}

function shortenedName(text) {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** Whether a text is meant as a formula in x rather than as a name; the rule of Python's side. */
export function looksLikeFormula(text) {
  return VARIABLE.test(text) || !NAME.test(text);
}

// One spelling without case, spaces, hyphens and underscores, so that LeakyReLU is found too.
function plainSpelling(text) {
  return text.trim().toLowerCase().replace(/[_ -]/g, "");
}

const SPELLINGS = new Map([
  ...Object.entries(ACTIVATION_ALIASES).map(([alias, name]) => [plainSpelling(alias), name]),
  ...Object.keys(CATALOGUE_FUNCTIONS).filter((name) => !(name in ACTIVATION_ALIASES)).map((name) => [plainSpelling(name), name]),
]);

// The call that a text is, {args, keywords}, or undefined.
function callIn(text) {
  if (text.length > NAMED_LIMIT) return undefined;
  try {
    const { tree } = parseFormula(text);
    return tree.kind === "call" && tree.callee.kind === "name" && !tree.starred ? tree : undefined;
  } catch (error) {
    if (error instanceof FormulaError || error instanceof RefusedPart) return undefined;
    throw error;
  }
}

function plainNumber(node, text) {
  let sign = 1, inner = node;
  while (inner.kind === "unary" && inner.operator !== "~") {
    if (inner.operator === "-") sign = -sign;
    inner = inner.operand;
  }
  if (inner.kind !== "number") return undefined;
  // a decimal such as 1e999 is infinite as in Python; a whole number has no such reading
  const whole = /^(?:0[xob].*|[\d_]+)$/i.test(text.slice(inner.start, inner.end));
  return whole && inner.value === Infinity ? undefined : sign * inner.value;
}

// {key: number} from the arguments of a call; undefined where one is unknown, repeated or no number.
function numbersIn(tree, text, keys) {
  const pairs = [...tree.args.map((value, i) => [keys[i], value]), ...tree.keywords];
  const numbers = {};
  for (const [key, node] of pairs) {
    const number = plainNumber(node, text);
    if (!keys.includes(key) || Object.hasOwn(numbers, key) || number === undefined) return undefined;
    numbers[key] = number;
  }
  return numbers;
}

function finiteProblem(numbers) {
  const [key] = Object.entries(numbers).find(([, v]) => !Number.isFinite(v)) ?? [];
  return key && `${key} must be finite`;
}

function spelled(name, numbers, defaults) {
  const given = Object.keys(defaults).filter((key) => numbers[key] !== undefined && numbers[key] !== defaults[key]);
  return given.length ? `${name}(${given.map((key) => `${key}=${numbers[key]}`).join(", ")})` : name;
}

function fromName(spec) {
  const bracket = spec.indexOf("("), plain = bracket < 0 ? spec : spec.slice(0, bracket);
  const name = SPELLINGS.get(plainSpelling(plain)), shown = shortenedName(spec);
  if (name === undefined) {
    const near = nearestName(plain.trim().toLowerCase(), [...SPELLINGS.values(), ...Object.keys(ACTIVATION_ALIASES)], 0.5);
    throw new FormulaError(
      `There is no activation '${shortenedName(plain.trim())}'${near ? `; did you mean '${near}'?` : "."} ` +
      "Choose one from the list, or write a formula such as x*tanh(x).");
  }
  if (bracket < 0) return scaledChoice(name, scaled(name, 1, 1));
  const { takes = {}, refused = () => undefined, make } = ACTIVATION_FAMILIES[name] ?? {};
  const keys = Object.keys(takes), text = `f${spec.slice(bracket)}`, call = callIn(text);
  const numbers = call && call.args.length <= keys.length ? numbersIn(call, text, keys) : undefined;
  if (numbers === undefined) {
    throw new FormulaError(
      `The parameters in '${shown}' cannot be read: ${name} takes ${keys.length ? keys.join(", ") : "no parameters"}; ` +
      "write plain numbers, as in leaky_relu(0.2) or siren(w0=10).");
  }
  const all = { ...takes, ...numbers };
  const problem = finiteProblem(all) ?? refused(all);
  if (problem) throw new FormulaError(`The activation '${shown}' cannot be made: ${problem}.`);
  const own = spelled(name, all, takes);
  return scaledChoice(own, own === name ? scaled(name, 1, 1) : make(all));
}

function scaledChoice(text, choice) {
  const sizes = [choice.a ?? 1, choice.b ?? 1].map(Math.abs);
  if (sizes.every((size) => size >= 1e-60 && size <= 1e60)) return { text, ...choice };
  throw new FormulaError(`The activation '${shortenedName(text)}' cannot be made here: its parameters must lie between 1e-60 and 1e60 in size.`);
}

// affine(gelu, scale=2, shift=0.1, offset=-0.2): scale phi(x + shift) + offset.
function affineOf(text) {
  const problem = new FormulaError(
    `The description '${shortenedName(text)}' cannot be read; write it as in affine(gelu, scale=1.5, shift=0.1, offset=-0.2).`);
  const call = callIn(text);
  if (!call || call.args.length !== 1) throw problem;
  const [inside] = call.args;
  const numbers = numbersIn({ args: [], keywords: call.keywords }, text, ["scale", "shift", "offset"]);
  if (numbers === undefined) throw problem;
  const wrong = finiteProblem(numbers);
  if (wrong) throw new FormulaError(`The activation '${shortenedName(text)}' cannot be made: ${wrong}.`);
  const { scale = 1, shift = 0, offset = 0 } = numbers;
  const inner = readActivation(text.slice(inside.start, inside.end));
  const own = spelled("", numbers, { scale: 1, shift: 0, offset: 0 }).slice(1);
  if (!own) return inner;
  const name = `affine(${inner.text}, ${own}`;
  if (inner.base && shift === 0 && offset === 0) return scaledChoice(name, { ...inner, text: name, a: inner.a * scale });
  const moved = formulaOf(inner).replaceAll(new RegExp(VARIABLE, "g"), shift === 0 ? "x" : `(x + ${inText(shift)})`);
  return { text: name, formula: `${inText(scale)}*(${moved}) + ${inText(offset)}` };
}

/** What `text` means: {text, base, a, b} or {text, formula}. Throws a FormulaError. */
export function readActivation(text) {
  const spec = String(text).trim();
  if (!spec) throw new FormulaError("The name of the activation is empty; write for example tanh.");
  if (spec.startsWith("affine(")) return affineOf(spec);
  return looksLikeFormula(spec) ? { text: spec, formula: spec } : fromName(spec);
}

/** The formula of a choice, in the grammar of formulas. */
export function formulaOf({ base, a, b, formula }) {
  if (base === undefined) return formula;
  const inside = b === 1 ? "x" : `${inText(b)}*x`;
  return `${a === 1 ? "" : `${inText(a)}*`}${base}(${inside})`;
}
