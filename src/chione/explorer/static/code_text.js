// The network of the page as code: Python with chione, PyTorch, and the shell.

import { codeNumeral } from "./numerals.js";
import { isPlainMode, networkDescription } from "./network_text.js";
import { torchModule } from "./torch_text.js";

export const CODE_LANGUAGES = { python: "Python", torch: "PyTorch", shell: "Shell" };

function quoted(text) {
  return JSON.stringify(text);
}

function shellQuoted(text) {
  return /^[A-Za-z0-9_.]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function pythonCode(state) {
  const numbers = `${quoted(state.activation)}, ${codeNumeral(state.sigma_w)}, ${codeNumeral(state.sigma_b)}`;
  const lines = ["import chione as ch", ""];
  if (!isPlainMode(state)) {
    lines.push(`network = ch.Network.from_dict(${pythonLiteral(networkDescription(state), "")})`, "print(ch.analyze(network))");
    return lines.join("\n");
  }
  const weights = state.weights === "gaussian" ? "" : `, weights=${quoted(state.weights)}`;
  lines.push(`result = ch.analyze(${numbers}, depth=${state.depth}, width=${state.width}${weights})`, "print(result)");
  lines.push("", "# every layer, from these inputs");
  lines.push(`layers = ch.trajectory(${numbers}, depth=${state.depth}, q0=${codeNumeral(state.q)}, c0=${codeNumeral(state.c)})`);
  lines.push("print(layers.q, layers.c, layers.gradient)");
  return lines.join("\n");
}

function pythonLiteral(value, indent) {
  const further = `${indent}    `;
  if (Array.isArray(value) && value.flat().every((v) => typeof v !== "object")) return JSON.stringify(value).replaceAll(",", ", ");
  if (Array.isArray(value)) return value.length ? `[\n${value.map((v) => `${further}${pythonLiteral(v, further)},\n`).join("")}${indent}]` : "[]";
  if (typeof value === "object") {
    const entries = Object.entries(value).map(([key, v]) => [quoted(key), v]);
    if (entries.every(([, v]) => typeof v !== "object")) return `{${entries.map(([k, v]) => `${k}: ${pythonLiteral(v, "")}`).join(", ")}}`;
    return `{\n${entries.map(([k, v]) => `${further}${k}: ${pythonLiteral(v, further)},\n`).join("")}${indent}}`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? quoted(value) : codeNumeral(value);
}

function shellCode(state) {
  if (!isPlainMode(state)) {
    return `cat > network.json <<'END'\n${JSON.stringify(networkDescription(state), null, 1)}\nEND\nchione network network.json`;
  }
  const weights = state.weights === "gaussian" ? "" : ` --weights ${state.weights}`;
  return `chione analyze ${shellQuoted(state.activation)} --sigma-w ${codeNumeral(state.sigma_w)} --sigma-b ${codeNumeral(state.sigma_b)} \\\n`
    + `    --depth ${state.depth} --width ${state.width}${weights}`;
}

/** Code of a language for a state; `tree` reads a formula, see torch_text.js. */
export function codeText(language, state) {
  if (language === "python") return pythonCode(state);
  if (language === "shell") return shellCode(state);
  return torchModule(state);
}
