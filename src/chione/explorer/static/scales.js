// Axes that charts on the screen and exported drawings share: ranges that do not tremble while a
// point is dragged, and where the ticks stand. A logarithmic axis works with log10 of its values.

import { numeral, raised } from "./numerals.js";

const STEPS = [1, 2, 2.5, 5, 10];

function roundStep(wanted) {
  const decade = 10 ** Math.floor(Math.log10(wanted));
  return decade * STEPS.find((s) => s * decade >= wanted * (1 - 1e-9));
}

function finiteRange(lists) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const v of list) {
      if (Number.isFinite(v)) {
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
  }
  return low <= high ? [low, high] : undefined;
}

/** A range that holds all finite values and ends on round numbers. */
export function linearRange(lists, least = 0) {
  const found = finiteRange(lists) ?? [0, 1];
  const span = Math.max(found[1] - found[0], least, Math.abs(found[1]) * 1e-3, 1e-9);
  const step = roundStep(span / 5);
  return [step * Math.floor(found[0] / step + 1e-9), step * Math.ceil(found[1] / step - 1e-9) || step];
}

/** The same in decades, for logarithms; at least `least` decades wide. */
export function decadeRange(lists, least = 1) {
  const found = finiteRange(lists) ?? [0, 1];
  const missing = Math.max(0, least - (found[1] - found[0])) / 2;
  const part = found[1] - found[0] > 8 ? 2 : 1;
  return [part * Math.floor((found[0] - missing) / part + 1e-9), part * Math.ceil((found[1] + missing) / part - 1e-9)];
}

/** Positions of at most about `count` ticks on an axis from `low` to `high`. */
export function tickPlaces(low, high, count, log) {
  if (!(high > low)) return [low];
  let step = roundStep((high - low) / Math.max(count, 1));
  if (log) step = Math.max(1, Math.ceil(step - 1e-9));
  const places = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) places.push(k * step);
  return places;
}

/** The words of a tick. */
export function tickText(place, log) {
  if (!log) return numeral(Math.abs(place) < 1e-12 ? 0 : Number(place.toPrecision(6)), 6);
  const power = Math.round(place);
  if (Math.abs(power) <= 2) return numeral(10 ** power, 3);
  return `10${raised(power)}`;
}
