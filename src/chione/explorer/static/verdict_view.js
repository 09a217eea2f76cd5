// The verdict in words and the six numbers of the fixed point.

import { byId, made } from "./dom.js";
import { numeral, layersNumeral } from "./numerals.js";

const KINDS = { yes: "good", trains: "good", doubtful: "fair", no: "bad" };

const QUANTITIES = [
  ["qStar", "q*", "mean square of pre-activations, deep down"],
  ["cStar", "c*", "correlation of two inputs, deep down"],
  ["chiPerp", "χ⊥", "factor on the mean square gradient, a layer"],
  ["chiParallel", "χ∥", "slope of the map of lengths"],
  ["xiC", "ξ_c", "layers over which correlations settle"],
  ["xiQ", "ξ_q", "layers over which lengths settle"],
];

function nameOf(symbol) {
  const [letter, below] = symbol.split("_");
  return below ? [letter, made("sub", { textContent: below })] : [letter];
}

function errorText({ value, error, status }) {
  if (!Number.isFinite(value)) return value === undefined || Number.isNaN(value) ? status ?? "" : "";
  if (error === 0) return "exact";
  return Number.isFinite(error) ? `± ${numeral(error, 1)}` : "";
}

/** The verdict's panel: show(solution). */
export function createVerdict() {
  const cells = QUANTITIES.map(([key, symbol, words]) => {
    const value = made("span", {});
    const error = made("small", {});
    byId("numbers").append(made("div", { title: words }, made("dt", {}, ...nameOf(symbol)), made("dd", {}, value, error)));
    return { key, value, error, layers: key.startsWith("xi") };
  });
  return {
    show(solution) {
      const verdict = solution.verdict ?? { kind: "none", title: "No verdict", sentences: [solution.message ?? ""] };
      byId("verdict").dataset.kind = KINDS[verdict.kind] ?? "none";
      byId("verdict-title").textContent = verdict.title;
      byId("verdict-text").replaceChildren(...verdict.sentences.map((sentence) => made("p", { textContent: sentence })));
      const told = new Set(); // a reason is given once
      for (const cell of cells) {
        const quantity = solution[cell.key] ?? {};
        const known = quantity.value !== undefined && !Number.isNaN(quantity.value);
        cell.value.textContent = !known ? "none" : cell.layers ? `${layersNumeral(quantity.value)} layers` : numeral(quantity.value, 7);
        const words = errorText(quantity);
        cell.error.textContent = !known && told.has(words) ? "" : words;
        told.add(words);
      }
    },
  };
}
