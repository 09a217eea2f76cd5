// A typed formula such as x*tanh(softplus(x)) as a function with its derivative: closures over the
// tree, the derivative by dual numbers. Same grammar, limits and sentences as in Python.

import { FormulaError, holdsVariable, parseFormula, partsOf, RefusedPart } from "./formula_parser.js";
import { FORMULA_FUNCTIONS, FORMULA_OPERATORS } from "./formula_functions.js";
import { switchesToKinks } from "./formula_kinks.js";
import { CATALOGUE_FUNCTIONS } from "./catalogue_functions.js";
import { formulaOf, readActivation } from "./named_activation.js";
import { nearestName } from "./nearest_name.js";

const FORMULA_PARTS_LIMIT = 240;
const FORMULA_DEPTH_LIMIT = 50;
const FORMULA_CONSTANTS = { pi: Math.PI, e: Math.E };
const FORMULA_COMPARISONS = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
};
const FUNCTION_NAMES = Object.keys(FORMULA_FUNCTIONS).sort();

// The slope that belongs to the value which a closure `dual` has just returned.
const slopeOut = { slope: 0 };

// A slope of exactly zero wins over a partial derivative that is infinite or undefined.
function chainTerm(partial, slope) {
  return slope === 0 ? 0 : partial * slope;
}

class FormulaBuilder {
  constructor(text) {
    this.text = text;
    this.switches = []; // places where a value or slope may jump: {inner, kind, levels}
  }

  refused(node) {
    return new FormulaError(
      `The formula may not contain '${this.text.slice(node.start, node.end)}'; it may hold the variable x, numbers, pi, e, ` +
      `+ - * / ** %, comparisons, 'a if test else b', and the functions ${FUNCTION_NAMES.join(", ")}.`);
  }

  build(node, depth) {
    if (depth > FORMULA_DEPTH_LIMIT) {
      throw new FormulaError(`The formula is nested deeper than ${FORMULA_DEPTH_LIMIT} operations.`);
    }
    switch (node.kind) {
      case "number": return this.number(node);
      case "name": return this.name(node);
      case "unary": return this.unary(node, depth + 1);
      case "binary": return this.binary(node, depth + 1);
      case "compare": return this.compare(node, depth + 1);
      case "choice": return this.choice(node, depth + 1);
      case "call": return this.call(node, depth + 1);
      default: throw this.refused(node);
    }
  }

  constant(number) {
    return { value: () => number, dual: () => { slopeOut.slope = 0; return number; }, fixed: true };
  }

  number(node) {
    // a decimal such as 1e999 is infinite as in Python; a whole number has no such reading
    if (node.value === Infinity && !/[.eE]/.test(this.text.slice(node.start, node.end).replace(/^0x.*/i, ""))) {
      throw new FormulaError(`The formula '${this.text}' contains a number that is too large.`);
    }
    return this.constant(node.value);
  }

  name(node) {
    if (node.name === "x") {
      return { value: (x) => x, dual: (x) => { slopeOut.slope = 1; return x; }, fixed: false };
    }
    if (Object.hasOwn(FORMULA_CONSTANTS, node.name)) return this.constant(FORMULA_CONSTANTS[node.name]);
    if (Object.hasOwn(FORMULA_FUNCTIONS, node.name)) {
      throw new FormulaError(`In the formula, '${node.name}' is a function: write ${node.name}(x).`);
    }
    throw new FormulaError(
      `The formula contains the name '${node.name}'; the only variable is x, the only constants are pi and e.`);
  }

  unary(node, depth) {
    if (node.operator === "~") { this.build(node.operand, depth); throw this.refused(node); }
    const inner = this.build(node.operand, depth);
    if (node.operator === "+") return inner;
    return {
      value: (x) => -inner.value(x),
      dual: (x) => { const v = inner.dual(x); slopeOut.slope = -slopeOut.slope; return -v; },
      fixed: inner.fixed,
    };
  }

  binary(node, depth) {
    const rule = FORMULA_OPERATORS[node.operator];
    if (!rule) throw this.refused(node);
    return this.applied(rule, [this.build(node.left, depth), this.build(node.right, depth)]);
  }

  compare(node, depth) {
    const terms = node.terms.map((term) => this.build(term, depth));
    const tests = node.operators.map((operator) => FORMULA_COMPARISONS[operator]);
    if (tests.includes(undefined)) throw this.refused(node);
    for (let k = 0; k < tests.length; k++) {
      this.switches.push({ inner: (x) => terms[k].value(x) - terms[k + 1].value(x), kind: "crossing", levels: [0] });
    }
    const value = (x) => {
      let holds = 1, left = terms[0].value(x);
      for (let k = 0; k < tests.length; k++) {
        const right = terms[k + 1].value(x);
        if (!tests[k](left, right)) holds = 0;
        left = right;
      }
      return holds;
    };
    return { value, dual: (x) => { slopeOut.slope = 0; return value(x); }, fixed: terms.every((t) => t.fixed) };
  }

  choice(node, depth) {
    return this.chosen([node.test, node.body, node.otherwise].map((part) => this.build(part, depth)));
  }

  chosen([test, a, b]) {
    return {
      value: (x) => (test.value(x) !== 0 ? a.value(x) : b.value(x)),
      dual: (x) => (test.value(x) !== 0 ? a.dual(x) : b.dual(x)),
      fixed: test.fixed && a.fixed && b.fixed,
    };
  }

  call(node, depth) {
    if (node.callee.kind !== "name") throw this.refused(node.callee);
    const { name } = node.callee;
    if (!Object.hasOwn(FORMULA_FUNCTIONS, name)) {
      const near = nearestName(name, FUNCTION_NAMES);
      throw new FormulaError(
        `The formula calls '${name}', which is not one of its functions` +
        `${near ? `; did you mean '${near}'?` : "."} They are ${FUNCTION_NAMES.join(", ")}.`);
    }
    if (node.odd) throw new FormulaError(`In the formula, ${name} takes plain arguments only.`);
    const rule = FORMULA_FUNCTIONS[name];
    if (node.args.length !== rule.arity) {
      throw new FormulaError(
        `In the formula, ${name} takes ${rule.arity} argument(s), but it received ${node.args.length}.`);
    }
    const inner = node.args.map((part) => this.build(part, depth));
    return name === "where" ? this.chosen(inner) : this.applied(rule, inner);
  }

  applied(rule, inner) {
    const fixed = inner.every((part) => part.fixed);
    if (fixed) {
      const number = rule.value(...inner.map((part) => part.value(0)));
      return this.constant(number);
    }
    for (const spot of rule.switches ?? []) {
      this.switches.push({ ...spot, inner: (x) => spot.of(...inner.map((part) => part.value(x))) });
    }
    if (rule.arity === 1) return this.composed(rule, inner[0]);
    const [a, b, c] = inner;
    if (rule.arity === 3) { // clip, whose rule is that of min(max(a, b), c)
      const { maximum, minimum } = FORMULA_FUNCTIONS;
      return this.applied({ ...minimum, switches: [] }, [this.applied({ ...maximum, switches: [] }, [a, b]), c]);
    }
    const dual = (x) => {
      const u = a.dual(x), du = slopeOut.slope, v = b.dual(x), dv = slopeOut.slope;
      const [f, fu, fv] = rule.partials(u, v, dv === 0);
      slopeOut.slope = chainTerm(fu, du) + chainTerm(fv, dv);
      return f;
    };
    return { value: (x) => rule.value(a.value(x), b.value(x)), dual, fixed: false };
  }

  composed(rule, inner) {
    const dual = (x) => {
      const u = inner.dual(x), du = slopeOut.slope;
      slopeOut.slope = rule.locallyConstant ? 0 : chainTerm(rule.slope(u), du);
      return rule.value(u);
    };
    return { value: (x) => rule.value(inner.value(x)), dual, fixed: false };
  }
}

// {text, value(x), slope(x), kinks()}: the function that `text` describes. Throws a FormulaError.
export function compileFormula(text) {
  let parsed;
  try {
    parsed = parseFormula(text);
  } catch (error) {
    if (!(error instanceof RefusedPart)) throw error;
    throw new FormulaBuilder(error.message).refused({ start: 0, end: error.message.length });
  }
  const parts = partsOf(parsed.tree);
  if (parts > FORMULA_PARTS_LIMIT) {
    throw new FormulaError(`The formula has ${parts} parts; at most ${FORMULA_PARTS_LIMIT} are accepted.`);
  }
  if (!holdsVariable(parsed.tree)) {
    throw new FormulaError(`The formula '${parsed.text}' does not contain the variable x.`);
  }
  const builder = new FormulaBuilder(parsed.text);
  const root = builder.build(parsed.tree, 0);
  return {
    text: parsed.text,
    parts,
    value: root.value,
    slope: (x) => { root.dual(x); return slopeOut.slope; },
    kinks: () => switchesToKinks(builder.switches),
  };
}

// The function of an activation as it is typed: of the catalogue, in other units, or from a formula.
export function phiOf(activation) {
  const name = typeof activation === "string" ? activation : activation.name;
  const choice = readActivation(name), { base, a, b, text } = choice;
  if (base === undefined) return { ...compileFormula(formulaOf(choice)), text };
  const { value, slope, kinks } = CATALOGUE_FUNCTIONS[base];
  if (a === 1 && b === 1) return { text, value, slope, kinks: () => kinks };
  const moved = kinks.map((kink) => kink / b).sort((left, right) => left - right);
  return { text, value: (x) => a * value(b * x), slope: (x) => a * b * slope(b * x), kinks: () => moved };
}
