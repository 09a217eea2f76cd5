// Numbers that can be dragged and typed. Depth, width and length run over logarithmic sliders.

import { made } from "./dom.js";
import { numeral } from "./numerals.js";
import { readNumber } from "./state.js";

const POSITIONS = 1000;

export const CONTROL_LIST = [
  { key: "sigma_w", label: "weights", sigma: "w", low: 0, high: 5, step: 0.01 },
  { key: "sigma_b", label: "biases", sigma: "b", low: 0, high: 3, step: 0.01 },
  { key: "depth", label: "depth", low: 1, high: 1000, log: true, whole: true },
  { key: "width", label: "width", low: 1, high: 1000000, log: true, whole: true },
  { key: "q", label: "input mean square", low: 1e-4, high: 1000, log: true },
  { key: "c", label: "input correlation", low: -1, high: 1, step: 0.01 },
  { key: "dropout", label: "dropped share", low: 0, high: 0.95, step: 0.01 },
  { key: "alpha", label: "branch scale", low: 0, high: 2, step: 0.01 },
  { key: "tokens", label: "tokens", low: 1, high: 4096, log: true, whole: true },
];

function positionOf(control, value) {
  if (!control.log) return value;
  return (POSITIONS * Math.log(value / control.low)) / Math.log(control.high / control.low);
}

function valueAt(control, position) {
  if (!control.log) return Number(Number(position).toFixed(6));
  const value = control.low * (control.high / control.low) ** (position / POSITIONS);
  if (control.whole) return value < 20 ? Math.round(value) : Math.round(Number(value.toPrecision(2)));
  return Number(value.toPrecision(2));
}

function createControl(control, changed) {
  const range = made("input", { type: "range", id: `range-${control.key}` });
  range.min = control.log ? 0 : control.low;
  range.max = control.log ? POSITIONS : control.high;
  range.step = control.log ? 1 : control.step;
  const typed = made("input", { type: "text", id: `number-${control.key}`, inputMode: "decimal", autocomplete: "off" });
  typed.setAttribute("aria-label", `${control.sigma ? `sigma_${control.sigma}, ` : ""}${control.label}, typed`);
  typed.setAttribute("aria-describedby", `error-${control.key}`);
  const label = made("label", { htmlFor: range.id }, control.label);
  if (control.sigma) label.prepend("σ", made("sub", { textContent: control.sigma }), " ");
  const error = made("p", { className: "error", id: `error-${control.key}` });
  error.setAttribute("role", "alert");
  const root = made("div", { className: "control" }, label, range, typed, error);
  range.addEventListener("input", () => {
    error.textContent = "";
    changed({ [control.key]: valueAt(control, Number(range.value)) });
  });
  typed.addEventListener("change", () => {
    const read = readNumber(control.key, typed.value);
    error.textContent = read.note ?? "";
    typed.setAttribute("aria-invalid", String(read.value === undefined));
    if (read.value !== undefined) changed({ [control.key]: read.value });
  });
  typed.addEventListener("keydown", (event) => event.key === "Enter" && typed.dispatchEvent(new Event("change")));
  return {
    root,
    show(value) {
      range.value = positionOf(control, value);
      range.setAttribute("aria-valuetext", numeral(value, 6));
      if (document.activeElement !== typed || typed.getAttribute("aria-invalid") !== "true") {
        typed.value = String(value);
        typed.setAttribute("aria-invalid", "false");
      }
    },
  };
}

/** All controls in `place`; `show(state, keys)` sets them and hides those that the mode lacks. */
export function createControls(place, changed) {
  const made_ = new Map(CONTROL_LIST.map((control) => [control.key, createControl(control, changed)]));
  place.append(...Array.from(made_.values(), (control) => control.root));
  return {
    show(state, keys) {
      for (const [key, control] of made_) {
        control.root.hidden = !keys.includes(key);
        control.show(state[key]);
      }
    },
  };
}
