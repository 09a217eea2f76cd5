// The activation a psi(b x) from the tables of psi: with Q = b^2 q
//     E phi^2 = a^2 E psi^2(Q),  E phi'^2 = a^2 b^2 E psi'^2(Q),  and the kernels likewise.

import { activationOf, loadActivation } from "./tables.js";

function inOtherUnits(psi, { text, a, b }) {
  if (a === 1 && b === 1) return psi;
  const a2 = a * a, b2 = b * b;
  const moments = (q) => {
    const m = psi.moments(b2 * q);
    return { m2: a2 * m.m2, m4: a2 * a2 * m.m4, d2: a2 * b2 * m.d2, slope: a2 * b2 * m.slope, error: m.error + 4 * Number.EPSILON };
  };
  const kernelAtGap = (q, left) => {
    const k = psi.kernelAtGap(b2 * q, left);
    return { value: a2 * k.value, gap: a2 * k.gap, slope: a2 * b2 * k.slope, error: k.error + 4 * Number.EPSILON };
  };
  return {
    ...psi, name: text, label: text, formula: text, expression: undefined,
    kinks: psi.kinks.map((kink) => kink / b).sort((left, right) => left - right),
    range: psi.range.map((q) => q / b2),
    recommendations: [], // those of psi are for other units
    moments, kernelAtGap, kernel: (q, c) => kernelAtGap(q, 1 - c),
  };
}

/** The activation of a choice whose `base` is in the page's catalogue. */
export async function loadChosen(choice) {
  return inOtherUnits(await loadActivation(choice.base), choice);
}

/** The same from an entry that was posted to a worker. */
export async function chosenFromEntry(choice, entry) {
  return inOtherUnits(await activationOf(entry), choice);
}
