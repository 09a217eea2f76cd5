// From the text of a formula to a tree, by recursive descent. The grammar is that part of Python's
// expressions that chione's own reader of formulas accepts; nothing is ever evaluated as code.

export const FORMULA_LENGTH_LIMIT = 300;
export const FORMULA_BRACKETS_LIMIT = 25;
const KEYWORDS = new Set(["if", "else", "and", "or", "not", "in", "is", "lambda", "for", "await", "yield", "None", "True", "False"]);
const NUMBER = /^(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|(?:\d(?:_?\d)*)?\.\d(?:_?\d)*(?:[eE][+-]?\d(?:_?\d)*)?|\d(?:_?\d)*\.?(?:[eE][+-]?\d(?:_?\d)*)?)[jJ]?/;
const WORD = /^[\p{L}_][\p{L}\p{N}_]*/u;
const SIGNS = ["**", "//", "<=", ">=", "==", "!=", "<<", ">>", ":=", "+", "-", "*", "/", "%", "<", ">", "(", ")", ",", "=", "@", "&", "|", "~", "[", "]", "{", "}", ".", ":"];
const COMPARED = new Set(["<", "<=", ">", ">=", "==", "!=", "in", "is", "not"]);

// An error whose message is a sentence for the person who typed the formula.
export class FormulaError extends Error {}

function cannotRead(text, detail) {
  return new FormulaError(`The formula '${text}' cannot be read: ${detail}; write it as in 'x*tanh(x)'.`);
}

function checkedText(text) {
  if (text.length > FORMULA_LENGTH_LIMIT) {
    throw new FormulaError(
      `The formula has ${text.length} characters; at most ${FORMULA_LENGTH_LIMIT} are accepted.`);
  }
  let level = 0, deepest = 0;
  for (const mark of text) {
    level += ("([{".includes(mark) ? 1 : 0) - (")]}".includes(mark) ? 1 : 0);
    deepest = Math.max(deepest, level);
  }
  if (deepest > FORMULA_BRACKETS_LIMIT) {
    throw new FormulaError(`The formula is nested deeper than ${FORMULA_BRACKETS_LIMIT} brackets.`);
  }
  return text.replaceAll("^", "**").trim(); // people write a power so
}

function numberOf(digits, text) {
  const plain = digits.replaceAll("_", "");
  if (/^0[xXbBoO]/.test(plain)) return Number(BigInt(plain.toLowerCase()));
  if (/^0\d*[1-9]\d*$/.test(plain)) throw cannotRead(text, "a whole number may not begin with 0");
  return Number(plain);
}

function tokensOf(text) {
  const tokens = [];
  let at = 0, brackets = 0;
  const add = (kind, value, length) => {
    tokens.push({ kind, value, start: at, end: at + length });
    at += length;
  };
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = (brackets ? /^(?:[ \t\f\r\n]|#[^\n]*|\\\n)+/ : /^(?:[ \t\f]|#[^\n]*$|\\\n)+/).exec(rest);
    if (blank) { at += blank[0].length; continue; }
    const number = NUMBER.exec(rest);
    if (number) {
      const digits = number[0];
      if (/[jJ]$/.test(digits)) { add("odd", digits, digits.length); continue; }
      const after = rest.slice(digits.length);
      if (/^[\p{L}\p{N}_]/u.test(after) && !/^(?:and|else|for|if|in|is|or|not)/.test(after)) {
        throw cannotRead(text, "a number runs into a name; write for example 2*x");
      }
      add("number", numberOf(digits, text), digits.length);
      continue;
    }
    const word = WORD.exec(rest);
    if (word) {
      const name = word[0].normalize("NFKC");
      add(KEYWORDS.has(name) ? "keyword" : "name", name, word[0].length);
      continue;
    }
    const sign = SIGNS.find((s) => rest.startsWith(s));
    if (!sign) {
      if (rest[0] === "'" || rest[0] === '"') { add("odd", rest, rest.length); continue; }
      throw cannotRead(text, `the character ${JSON.stringify([...rest][0])} has no meaning in it`);
    }
    brackets += sign === "(" ? 1 : sign === ")" ? -1 : 0;
    add("sign", sign, sign.length);
  }
  tokens.push({ kind: "end", value: "", start: at, end: at });
  return tokens;
}

class FormulaReader {
  constructor(text) {
    this.text = text;
    this.tokens = tokensOf(text);
    this.position = 0;
  }

  get token() { return this.tokens[this.position]; }

  is(...values) {
    return this.token.kind !== "number" && this.token.kind !== "odd" && this.token.kind !== "end" && values.includes(this.token.value);
  }

  take() { return this.tokens[this.position++]; }

  fail() {
    const { kind, start } = this.token;
    return cannotRead(this.text, kind === "end" ? "it ends too early" : `invalid syntax at '${this.text.slice(start, start + 12)}'`);
  }

  expect(value) {
    if (!this.is(value)) throw this.fail();
    return this.take();
  }

  node(kind, start, fields) {
    return { kind, start, end: this.tokens[this.position - 1].end, ...fields };
  }

  whole() {
    const tree = this.expression();
    if (this.token.kind !== "end") throw this.refusedOr(this.fail());
    return tree;
  }

  // What Python reads but an activation may not hold is refused by its first sign.
  refusedOr(otherwise) {
    if (this.token.kind === "odd" || this.is("[", "{", ".", ":=", "lambda", "for", "await", "yield", "None", "True", "False", ",")) {
      return new RefusedPart(this.text.slice(this.token.start, this.token.end));
    }
    return otherwise;
  }

  expression() {
    const { start } = this.token;
    const body = this.disjunction();
    if (!this.is("if")) return body;
    this.take();
    const test = this.disjunction();
    this.expect("else");
    const otherwise = this.expression();
    return this.node("choice", start, { test, body, otherwise });
  }

  disjunction() {
    const { start } = this.token;
    let left = this.inversion();
    while (this.is("and", "or")) {
      const { value } = this.take();
      left = this.node("refused", start, { parts: [left, this.inversion()], value });
    }
    return left;
  }

  inversion() {
    if (!this.is("not")) return this.comparison();
    const { start } = this.take();
    return this.node("refused", start, { parts: [this.inversion()] });
  }

  comparison() {
    const { start } = this.token;
    const terms = [this.bits()], operators = [];
    while (COMPARED.has(this.token.value) && this.is(this.token.value)) {
      let { value } = this.take();
      if (value === "not") { this.expect("in"); value = "not in"; }
      if (value === "is" && this.is("not")) this.take();
      operators.push(value);
      terms.push(this.bits());
    }
    return operators.length ? this.node("compare", start, { terms, operators }) : terms[0];
  }

  // Operators of one rank, from the left: those of bits, then sums, then products.
  chain(operators, next) {
    const { start } = this.token;
    let left = next();
    while (this.is(...operators)) {
      const operator = this.take().value;
      const right = next();
      left = this.node("binary", start, { operator, left, right });
    }
    return left;
  }

  bits() {
    const shifts = () => this.chain(["<<", ">>"], () => this.chain(["+", "-"], () => this.product()));
    return this.chain(["|"], () => this.chain(["&"], shifts));
  }

  product() {
    return this.chain(["*", "/", "%", "//", "@"], () => this.factor());
  }

  // -x**2 is -(x**2), and x**-2 is x**(-2).
  factor() {
    const { start } = this.token;
    if (this.is("+", "-", "~")) {
      const operator = this.take().value;
      const operand = this.factor();
      return this.node("unary", start, { operator, operand });
    }
    const base = this.primary();
    if (!this.is("**")) return base;
    this.take();
    const exponent = this.factor();
    return this.node("binary", start, { operator: "**", left: base, right: exponent });
  }

  primary() {
    const { start } = this.token;
    let inner = this.atom();
    while (this.is("(")) {
      this.take();
      const args = [], keywords = [];
      let odd = false, starred = false;
      while (!this.is(")")) {
        if (this.is("*", "**")) { this.take(); odd = starred = true; }
        args.push(this.expression());
        if (this.is("=")) { this.take(); odd = true; keywords.push([args.pop().name, this.expression()]); }
        if (!this.is(")")) {
          if (!this.is(",")) throw this.refusedOr(this.fail());
          this.take();
        }
      }
      this.take();
      inner = this.node("call", start, { callee: inner, args, keywords, odd, starred });
    }
    if (this.is("[", ".")) throw new RefusedPart(this.text.slice(start, this.token.end));
    return inner;
  }

  atom() {
    const { kind, value, start } = this.token;
    if (kind === "number") { this.take(); return this.node("number", start, { value }); }
    if (kind === "name") { this.take(); return this.node("name", start, { name: value }); }
    if (!this.is("(")) throw this.refusedOr(this.fail());
    this.take();
    const inner = this.expression();
    if (!this.is(")")) throw this.refusedOr(this.fail());
    this.take();
    return inner;
  }
}

// A part that Python reads but that an activation may not hold.
export class RefusedPart extends Error {}

// How many parts the tree has, counted as Python counts those of its own.
export function partsOf(node) {
  const sum = (nodes) => nodes.reduce((n, part) => n + partsOf(part), 0);
  switch (node.kind) {
    case "number": return 1;
    case "name": return 2;
    case "unary": return 2 + partsOf(node.operand);
    case "binary": return 2 + partsOf(node.left) + partsOf(node.right);
    case "compare": return 1 + node.operators.length + sum(node.terms);
    case "choice": return 1 + sum([node.test, node.body, node.otherwise]);
    case "call": return 1 + partsOf(node.callee) + sum(node.args);
    default: return 2 + sum(node.parts);
  }
}

export function holdsVariable(node) {
  if (node.kind === "name") return node.name === "x";
  const below = [node.operand, node.left, node.right, node.test, node.body, node.otherwise, node.callee, ...(node.terms ?? []), ...(node.args ?? []), ...(node.parts ?? [])];
  return below.some((part) => part && holdsVariable(part));
}

export function parseFormula(text) {
  if (typeof text !== "string" || !text.trim()) {
    throw new FormulaError("The formula is empty; write it as in 'x*tanh(x)'.");
  }
  const checked = checkedText(text);
  return { tree: new FormulaReader(checked).whole(), text: checked };
}
