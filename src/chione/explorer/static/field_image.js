// From a field over (sigma_w, sigma_b) to a picture: which value has which colour, where the labels go.

import { FIELD_MAP } from "./colours.js";
import { numeral } from "./numerals.js";

const RATIO_SPAN = Math.log(4); // chi from 1/4 to 4 spans the colours; 1 stands in the middle

function clamped(t) {
  return Math.min(Math.max(t, 0), 1);
}

function logarithmicScale(values) {
  const logs = Array.from(values, (v) => (v > 0 && Number.isFinite(v) ? Math.log(v) : NaN)).filter(Number.isFinite).sort((a, b) => a - b);
  if (logs.length === 0) return { low: "", high: "", place: () => 0.5 };
  const low = logs[Math.floor(0.02 * (logs.length - 1))];
  const high = Math.max(logs[Math.ceil(0.98 * (logs.length - 1))], low + 0.1);
  return { low: numeral(Math.exp(low), 2), high: numeral(Math.exp(high), 2), place: (v) => (Math.log(v) - low) / (high - low) };
}

/** Colour scale of a field: {low, high, place(value) -> 0..1}, order to the left and chaos to the right. */
export function fieldScale(field, values) {
  if (field === "c_star") return { low: "c* = 1", high: "0", place: (v) => 1 - v };
  if (field === "chi_perp" || field === "chi_parallel") {
    return { low: "¼ or less", high: "4 or more", middle: "1", place: (v) => 0.5 + Math.log(v) / (2 * RATIO_SPAN) };
  }
  return logarithmicScale(values);
}

/** A canvas of `columns` by `rows` pixels; where the field has no number it is transparent. */
export function fieldImage(values, columns, rows, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      const value = values[j * columns + i];
      if (Number.isNaN(value)) continue;
      const [r, g, b] = FIELD_MAP[Math.round(255 * clamped(scale.place(value)))];
      image.data.set([r, g, b, 255], 4 * ((rows - 1 - j) * columns + i)); // sigma_b grows upwards
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// words are three times as wide as high, so that room to the sides counts for less
const ACROSS = 0.4;
const ASLANT = 1.08;
const OFF_MIDDLE = 0.08; // of two equal places the one nearer the middle, away from the marks below

/** Where the words of a region stand: the cell farthest from every cell outside it, or undefined. */
export function deepestCell(inside, columns, rows) {
  const far = new Float64Array(columns * rows).fill(1e9);
  const at = (i, j) => (i < 0 || j < 0 || i >= columns || j >= rows ? 0 : far[j * columns + i]);
  for (let k = 0; k < far.length; k++) if (!inside(k)) far[k] = 0;
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      far[j * columns + i] = Math.min(far[j * columns + i], at(i - 1, j) + ACROSS, at(i, j - 1) + 1, at(i - 1, j - 1) + ASLANT, at(i + 1, j - 1) + ASLANT);
    }
  }
  let best = -1;
  let most = -Infinity;
  for (let j = rows - 1; j >= 0; j--) {
    for (let i = columns - 1; i >= 0; i--) {
      const k = j * columns + i;
      far[k] = Math.min(far[k], at(i + 1, j) + ACROSS, at(i, j + 1) + 1, at(i + 1, j + 1) + ASLANT, at(i - 1, j + 1) + ASLANT);
      const score = far[k] - OFF_MIDDLE * Math.abs(j - 0.6 * rows);
      if (score > most) [most, best] = [score, k];
    }
  }
  if (best < 0 || far[best] < 2.2) return undefined;
  const room = far[best] / (ACROSS * columns); // to either side, as a share of the width
  return { x: ((best % columns) + 0.5) / columns, y: (Math.floor(best / columns) + 0.5) / rows, room };
}
