// Typed formulas for the page: the worker makes the tables, the page reads them.

import { activationFromTables } from "./tabled_formula.js";
import { ask } from "./worker_client.js";

/** The activation that `text` describes; refused with a sentence where it is none. */
export async function formulaActivation(text) {
  return activationFromTables(await ask("formula", { text }));
}
