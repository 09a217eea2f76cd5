// The page's side of the worker: ask(kind, data) -> Promise. A newer question of a kind cancels the
// older one. Two workers, so that a long table does not keep the curves that follow the hand.

import { readActivation } from "./named_activation.js";
import { tableData, tableEntry } from "./tables.js";

const LANES = { formula: "slow", diagram: "slow", sample: "slow", spectrum: "quick" };
const workers = new Map(); // lane -> {worker, known, waiting}
const formulaTables = new Map(); // formula -> tables, as the worker has sent them
let questionNumber = 0;

function newWorker() {
  const place = document.getElementById("worker-source");
  const source = place?.textContent ?? "";
  if (!source) return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return new Worker(url);
}

function laneOf(kind) {
  const name = LANES[kind];
  if (!workers.has(name)) {
    const lane = { worker: newWorker(), known: new Set(), waiting: new Map(), told: false };
    lane.worker.onmessage = ({ data }) => answered(lane, data);
    lane.worker.onerror = (event) => {
      for (const question of lane.waiting.values()) question.reject(new Error(`The worker failed: ${event.message}.`));
      lane.waiting.clear();
    };
    workers.set(name, lane);
  }
  return workers.get(name);
}

function answered(lane, { id, ok, result, error }) {
  for (const [kind, question] of lane.waiting) {
    if (question.id !== id) continue;
    lane.waiting.delete(kind);
    if (!ok) question.reject(new Error(error));
    else {
      if (kind === "formula") formulaTables.set(result.text, result).set(question.data.text.trim(), result);
      question.resolve(result);
    }
  }
}

// A worker that is busy with a table nobody wants any more is ended; its other questions start anew.
function giveUp(lane, kind) {
  const old = lane.waiting.get(kind);
  if (!old) return lane;
  lane.waiting.delete(kind);
  old.reject(new Error("This question was cancelled by a newer one."));
  if (kind !== "formula") return lane;
  lane.worker.terminate();
  workers.delete(LANES[kind]);
  const fresh = laneOf(kind);
  for (const [other, question] of lane.waiting) {
    fresh.waiting.set(other, question);
    send(fresh, other, question);
  }
  return fresh;
}

function send(lane, kind, question) {
  const { id, data } = question, message = { id, kind, ...data };
  if (!lane.told) message.page = { ...tableData(), activations: [] }; // what is not of one activation
  lane.told = true;
  const name = data.network?.activation;
  if (name !== undefined && !lane.known.has(name)) {
    lane.known.add(name);
    if (formulaTables.has(name)) message.tables = formulaTables.get(name);
    else try { message.entry = tableEntry(readActivation(name).base); } catch { /* a formula that the worker reads itself */ }
  }
  lane.worker.postMessage(message);
}

/** The worker's answer to a question of a kind; rejected with a sentence, or when a newer one comes. */
export function ask(kind, data) {
  if (!(kind in LANES)) return Promise.reject(new Error(`There is no question of the kind "${kind}".`));
  const lane = giveUp(laneOf(kind), kind);
  return new Promise((resolve, reject) => {
    const question = { id: ++questionNumber, data, resolve, reject };
    lane.waiting.set(kind, question);
    send(lane, kind, question);
  });
}
