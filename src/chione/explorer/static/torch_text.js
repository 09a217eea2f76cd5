// PyTorch code: layers, their initialisation, and the activation as a module or a formula of torch.

import { FormulaError, parseFormula } from "./formula_parser.js";
import { formulaOf, readActivation } from "./named_activation.js";
import { isStream } from "./modes.js";
import { codeNumeral } from "./numerals.js";
import { torchBlocks } from "./torch_blocks.js";

// activations that torch has as modules, with the parameters of chione's catalogue
const TORCH_MODULES = {
  linear: "nn.Identity()", relu: "nn.ReLU()", leaky_relu: "nn.LeakyReLU(0.01)", prelu: "nn.PReLU()", relu6: "nn.ReLU6()",
  hardtanh: "nn.Hardtanh()", tanh: "nn.Tanh()", sigmoid: "nn.Sigmoid()", hardsigmoid: "nn.Hardsigmoid()", softplus: "nn.Softplus()",
  gelu: "nn.GELU()", gelu_tanh: 'nn.GELU(approximate="tanh")', silu: "nn.SiLU()", swish: "nn.SiLU()", hardswish: "nn.Hardswish()",
  mish: "nn.Mish()", selu: "nn.SELU()", elu: "nn.ELU()", celu: "nn.CELU()", softsign: "nn.Softsign()", softshrink: "nn.Softshrink()",
  hardshrink: "nn.Hardshrink()", tanhshrink: "nn.Tanhshrink()", logsigmoid: "nn.LogSigmoid()",
};

const named = (name) => (...args) => `torch.${name}(${args.join(", ")})`;
const functional = (name, more = "") => (x) => `F.${name}(${x}${more})`;

// functions of a formula as expressions of torch, given the texts of their arguments
const TORCH_TEXTS = {
  linear: (x) => `(${x})`, relu: functional("relu"), leaky_relu: functional("leaky_relu", ", 0.01"), prelu: functional("leaky_relu", ", 0.25"),
  relu6: functional("relu6"), hardtanh: functional("hardtanh"), shifted_relu: (x) => `torch.clamp(${x}, min=-1.0)`,
  squared_relu: (x) => `F.relu(${x})**2`, erf_scaled: (x) => `torch.erf(math.sqrt(math.pi) / 2 * (${x}))`, sigmoid: named("sigmoid"),
  hardsigmoid: functional("hardsigmoid"), softplus: functional("softplus"), gelu: functional("gelu"), gelu_tanh: functional("gelu", ', approximate="tanh"'),
  quick_gelu: (x) => `(${x}) * torch.sigmoid(1.702 * (${x}))`, silu: functional("silu"), swish: functional("silu"), hardswish: functional("hardswish"),
  mish: functional("mish"), selu: functional("selu"), elu: functional("elu"), celu: functional("celu"), softsign: functional("softsign"),
  arctan: named("atan"), atan: named("atan"), arcsinh: named("asinh"), asinh: named("asinh"), siren: (x) => `torch.sin(30.0 * (${x}))`,
  gaussian: (x) => `torch.exp(-((${x})**2))`, quadratic: (x) => `(${x})**2`, cubic: (x) => `(${x})**3`, step: (x) => `((${x}) > 0).to(x.dtype)`,
  softshrink: functional("softshrink"), hardshrink: functional("hardshrink"), tanhshrink: functional("tanhshrink"), logsigmoid: functional("logsigmoid"),
  cbrt: (x) => `torch.sign(${x}) * torch.abs(${x})**(1 / 3)`, arcsin: named("asin"), arccos: named("acos"), arccosh: named("acosh"), arctanh: named("atanh"),
  ndtr: named("special.ndtr"), max: named("maximum"), min: named("minimum"), arctan2: named("atan2"), clip: named("clamp"),
  where: (test, a, b) => `torch.where(${test} != 0, ${a}, ${b})`,
};

// a constant has to be a tensor where torch takes tensors only
function tensorText(node) {
  const text = torchExpression(node);
  return /\bx\b/.test(text) ? text : `x.new_tensor(${text})`;
}

/** A tree of the formulas' grammar as an expression of torch in x. */
function torchExpression(node) {
  switch (node.kind) {
    case "number": return codeNumeral(node.value);
    case "name": return node.name === "x" ? "x" : `math.${node.name}`;
    case "unary": return `(${node.operator}${torchExpression(node.operand)})`;
    case "binary": {
      if (node.operator === "%") return `torch.remainder(${tensorText(node.left)}, ${tensorText(node.right)})`;
      return `(${torchExpression(node.left)} ${node.operator} ${torchExpression(node.right)})`;
    }
    case "compare": return node.operators.map((operator, i) => `(${tensorText(node.terms[i])} ${operator} ${tensorText(node.terms[i + 1])}).to(x.dtype)`).join(" * ");
    case "choice": return TORCH_TEXTS.where(tensorText(node.test), tensorText(node.body), tensorText(node.otherwise));
    case "call": {
      const { name } = node.callee;
      const args = node.args.map(tensorText);
      return `(${(Object.hasOwn(TORCH_TEXTS, name) ? TORCH_TEXTS[name] : named(name))(...args)})`;
    }
    default: throw new FormulaError("This part of the formula has no form in PyTorch.");
  }
}

function activationLines(name) {
  if (Object.hasOwn(TORCH_MODULES, name)) return { made: TORCH_MODULES[name], lines: [] };
  const known = /^[a-z_0-9]+$/.test(name);
  const text = known ? (TORCH_TEXTS[name] ?? named(name))("x") : torchExpression(parseFormula(formulaOf(readActivation(name))).tree);
  const imports = `${text.includes("math.") ? "import math\n" : ""}`;
  const functions = text.includes("F.") ? "import torch.nn.functional as F\n" : "";
  return { made: "Activation()", imports, functions, lines: ["", "", "class Activation(nn.Module):", "    def forward(self, x):", `        return ${text}`] };
}

/** The network of a state, as a module with its initialisation. */
export function torchModule(state) {
  const { made, lines, imports = "", functions = "" } = activationLines(state.activation);
  const weights = state.weights === "orthogonal"
    ? "    nn.init.orthogonal_(linear.weight, gain=sigma_w)"
    : "    nn.init.normal_(linear.weight, std=sigma_w / width**0.5)";
  const blocks = isStream(state.mode);
  const dropout = state.mode === "dropout" ? `, nn.Dropout(${codeNumeral(state.dropout)})` : "";
  const layers = [
    "layers = []", "for _ in range(depth):", "    linear = nn.Linear(width, width)", weights,
    "    nn.init.normal_(linear.bias, std=sigma_b)", `    layers += [linear, ${made}${dropout}]`, "model = nn.Sequential(*layers)",
  ];
  const shape = state.mode === "transformer" ? `(batch, ${state.tokens}, width)` : "(batch, width)";
  return [
    ...`${imports}import torch\n${functions}from torch import nn`.split("\n"), ...lines, ...(lines.length ? ["", ""] : [""]),
    `depth, width = ${state.depth}, ${state.width}`, `sigma_w, sigma_b = ${codeNumeral(state.sigma_w)}, ${codeNumeral(state.sigma_b)}`,
    ...(blocks ? [`alpha = ${codeNumeral(state.alpha)}`, ...torchBlocks(state.mode, made, weights)] : layers),
    `# inputs: shape ${shape}, mean square ${codeNumeral(state.q)}`,
  ].join("\n");
}
