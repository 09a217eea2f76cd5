// Tables of the catalogue's activations, made by Python (chione.explorer.tables), read here.
//
// log E phi^2, log N, log E phi^4 / (E phi^2)^2 and d log E phi^2 / d log q are Chebyshev series in
// x = log q; the slope kernel R(q, cos theta) / N(q) is one in x and theta. N is E phi'^2; where phi
// jumps, that is infinite, R sin(theta) is held instead of R, and N is its value at theta = 0.
//   K(1) - K(c) = q N  integral from 0 to theta of (R / N) sin(theta') d theta'

import { unpackTable } from "./packed_table.js";
import { tabledActivation } from "./tabled_activation.js";

const tableStore = { data: null, entries: new Map(), activations: new Map() };

// Give the parsed data of the page, where there is no document to read it from (worker, tests).
export function provideTables(data) {
  tableStore.data = data;
  for (const entry of data.activations) tableStore.entries.set(entry.name, entry);
}

export function tableData() {
  if (tableStore.data === null) {
    const place = typeof document === "undefined" ? null : document.getElementById("chione-tables");
    if (place === null) throw new Error("There are no tables here: call provideTables(data) first.");
    provideTables(JSON.parse(place.textContent));
  }
  return tableStore.data;
}

// The limits of the verdict, or null where only single entries were handed over (in the worker).
export function verdictRule() {
  if (tableStore.data === null && typeof document === "undefined") return null;
  return tableData().rule;
}

export function activationNames() {
  return tableData().activations.map((entry) => entry.name);
}

// The packed table of one activation: plain data that can be posted to a worker.
export function tableEntry(name) {
  tableData();
  const entry = tableStore.entries.get(name);
  if (entry === undefined) throw new Error(`There is no activation "${name}" in the page.`);
  return entry;
}

export async function loadActivation(name) {
  if (!tableStore.activations.has(name)) {
    tableStore.activations.set(name, activationOf(tableEntry(name)));
  }
  return tableStore.activations.get(name);
}

export async function activationOf(entry) {
  return tabledActivation(entry, await unpackTable(entry.data));
}
