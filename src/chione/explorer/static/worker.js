// The worker: {id, kind, ...} in, {id, ok, result | error} out. A newer question of the same kind
// takes the place of one that has not been answered yet.

import { diagram } from "./diagram_fields.js";
import { FormulaError } from "./formula_parser.js";
import { buildTables } from "./formula_tables.js";
import { meanField } from "./mean_field.js";
import { blockOf } from "./modes.js";
import { readActivation } from "./named_activation.js";
import { chosenFromEntry } from "./other_units.js";
import { sampleNetworks } from "./sample.js";
import { jacobianSpectrum } from "./spectrum.js";
import { activationFromTables } from "./tabled_formula.js";
import { provideTables } from "./tables.js";

const ROWS_AT_ONCE = 8; // of the diagram, between two looks at the post
const activationsHere = new Map();
const dataHere = new Map(); // name -> {entry} or {tables}, as they came with a question
const newestOf = new Map();

function pause() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

// The activation of a question, from data that came with it or with an earlier one, or from its formula.
async function activationHere({ network }) {
  const name = network.activation, data = dataHere.get(name);
  if (!activationsHere.has(name)) {
    const made = data?.entry ? await chosenFromEntry(readActivation(name), data.entry) : activationFromTables(data?.tables ?? buildTables(name));
    activationsHere.set(name, made);
  }
  return activationsHere.get(name);
}

const ANSWERS = {
  async formula({ text }) {
    return buildTables(text);
  },

  async diagram(question) {
    const { id, network, field, sigmaW, sigmaB } = question;
    const activation = await activationHere(question);
    const out = new Float32Array(sigmaW.length * sigmaB.length);
    for (let row = 0; row < sigmaB.length; row += ROWS_AT_ONCE) {
      const part = diagram(network, activation, field, sigmaW, sigmaB.slice(row, row + ROWS_AT_ONCE));
      out.set(part, row * sigmaW.length);
      await pause();
      if (newestOf.get("diagram") !== id) return undefined;
    }
    return out;
  },

  async sample(question) {
    const { id, network, count, seed } = question;
    const stopped = async () => { await pause(); return newestOf.get("sample") !== id; };
    return sampleNetworks(network, { count, seed, stopped });
  },

  async spectrum(question) {
    const { network } = question;
    if (network.mode !== undefined && network.mode !== "plain") {
      return { logLambda: [], density: [], cdf: [], error: [], atoms: [], status: "The spectrum is known for plain dense layers only." };
    }
    const activation = await activationHere(question);
    const { qStar } = meanField(blockOf(network, activation), network, activation);
    return jacobianSpectrum({ ...network, qStar: qStar.value });
  },
};

// What an error says to the person; only the formula's own errors and sentences reach them whole.
function sentenceOf(error) {
  if (error instanceof FormulaError) return error.message;
  return `This could not be computed: ${error instanceof Error ? error.message : String(error)}`;
}

async function answer(question) {
  const { id, kind } = question;
  await pause(); // so that a newer question, already in the post, is seen
  if (newestOf.get(kind) !== id) return;
  try {
    if (!Object.hasOwn(ANSWERS, kind)) throw new Error(`there is no question of the kind "${kind}".`);
    const result = await ANSWERS[kind](question);
    if (newestOf.get(kind) === id) self.postMessage({ id, ok: true, result });
  } catch (error) {
    self.postMessage({ id, ok: false, error: sentenceOf(error) });
  }
}

self.onmessage = ({ data }) => {
  newestOf.set(data.kind, data.id);
  if (data.page) provideTables(data.page);
  if (data.entry || data.tables) dataHere.set(data.network.activation, { entry: data.entry, tables: data.tables });
  answer(data);
};
