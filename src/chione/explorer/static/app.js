// The page: one state, drawn in one frame whenever it changes; slow things follow when it rests.

import { createChart } from "./charts.js";
import { CODE_LANGUAGES, codeText } from "./code_text.js";
import { followTheme } from "./colours.js";
import { createControls } from "./controls.js";
import { criticalLine } from "./critical_line.js";
import { COARSE_GRID, createDiagram, FINE_GRID, gridSigmas } from "./diagram_view.js";
import { streamNote } from "./diagram_fields.js";
import { byId, made } from "./dom.js";
import { solve } from "./engine.js";
import { createExport } from "./exporting.js";
import { FIGURE_CAPTIONS, FIGURE_TITLES, figuresOf } from "./figures.js";
import { isStream, MODES } from "./modes.js";
import { readActivation } from "./named_activation.js";
import { loadChosen } from "./other_units.js";
import { createPicker } from "./picker.js";
import { BREAKAGES, nearestCritical, PRESETS, torchDefault } from "./presets.js";
import { formulaActivation } from "./quadrature.js";
import { recommended } from "./recommended.js";
import { extrasOf, FIELDS, formatFragment, MODE_WORDS, parseFragment, reconciled, startState } from "./state.js";
import { activationNames } from "./tables.js";
import { createVerdict } from "./verdict_view.js";
import { ask } from "./worker_client.js";

const REST_MS = 140; // without a change for so long, networks are sampled and the address is written
const WAIT_MS = 200; // after so long it is said that something is being worked out
const SAMPLED_NETWORKS = 20;

const page = { state: startState(), notes: [], figures: [], language: "python", breakage: 0, fieldKey: "", solution: undefined };
const parts = {};
let frame = 0;
let resting = 0;
let turn = 0; // grows with each change; answers of earlier turns are dropped

function networkOf(state) {
  return { ...state };
}

function captionOf(state) {
  return `${state.activation}, sigma_w = ${state.sigma_w}, sigma_b = ${state.sigma_b}, depth ${state.depth}, width ${state.width}, ${state.weights} weights, ${MODE_WORDS[state.mode]}`;
}

function change(patch, words) {
  const activation = patch.activation ?? page.state.activation;
  const { activation: _, ...rest } = patch;
  const { state, note } = reconciled({ ...page.state, ...rest });
  page.state = state;
  page.sample = undefined;
  moved();
  if (note ?? words !== undefined) byId("notes").textContent = note ?? words;
  if (patch.activation === undefined) page.error = undefined; // a refused formula is given up
  if (activation !== page.state.activation) takeActivation(activation);
  else schedule();
}

function moved() {
  turn += 1;
  document.body.dataset.state = "moved";
}

function schedule() {
  if (!frame) frame = requestAnimationFrame(render);
  clearTimeout(resting);
  resting = setTimeout(rest, REST_MS);
}

async function chosenActivation(text) {
  const choice = readActivation(text);
  return { text: choice.text, made: await (choice.base ? loadChosen(choice) : formulaActivation(choice.text)) };
}

/** Take a name or a formula; false, and a sentence in page.error, where it is none. */
async function takeActivation(text) {
  const mine = turn;
  const waiting = setTimeout(() => { byId("activation-wait").textContent = `Integrating ${text} …`; }, WAIT_MS);
  let chosen;
  let refusal;
  try {
    chosen = await chosenActivation(text);
  } catch (error) {
    refusal = error instanceof Error ? error.message : String(error);
  }
  clearTimeout(waiting);
  byId("activation-wait").textContent = "";
  if (mine !== turn && page.activation) return true; // something newer was asked meanwhile
  page.error = refusal;
  page.typed = text;
  if (chosen) {
    page.activation = chosen.made;
    page.state = { ...page.state, activation: chosen.text };
    refreshLine();
  }
  if (page.activation) schedule();
  return Boolean(chosen);
}

// what the critical line and the diagram depend on
function blocksKey(state) {
  return [state.activation, state.mode, ...extrasOf(state.mode).map((key) => state[key])].join("|");
}

function refreshLine() {
  const { activation, state } = page;
  page.lineKey = blocksKey(state);
  page.line = criticalLine(activation, state.mode);
  page.best = state.mode === "plain" ? recommended(activation, state.depth) : undefined;
  markPresets();
}

function markPresets() {
  const marks = [{ name: "PyTorch", ...torchDefault(page.state.width), raise: 13 }];
  if (page.best) marks.push({ name: "recommended", sigma_w: page.best.sigma_w, sigma_b: page.best.sigma_b, raise: 13 });
  parts.diagram.setLine(page.line, marks);
}

function render() {
  frame = 0;
  if (!page.activation) return;
  const { state } = page;
  page.solution = solve(networkOf(state), page.activation);
  parts.diagram.setPoint(state);
  parts.verdict.show(page.solution);
  drawCharts();
  parts.controls.show(state, ["sigma_w", "sigma_b", "depth", "width", "q", "c", ...extrasOf(state.mode)]);
  parts.picker.show(page.error ? page.typed : state.activation, page.error);
  byId("mode").value = state.mode;
  byId("field").value = state.field;
  for (const radio of document.getElementsByName("weights")) radio.checked = radio.value === state.weights;
  if (page.lineKey !== blocksKey(state)) refreshLine();
  page.field = refreshField();
  refreshSpectrum();
}

function drawCharts() {
  page.figures = figuresOf(page.solution, page.sample, page.spectrum, page.state.mode);
  page.figures.forEach((figure) => parts.charts.get(figure.id).show(figure));
}

// One question at a time, so that the spectrum follows a drag instead of waiting for its end.
function refreshSpectrum() {
  page.spectral ??= followSpectrum().finally(() => { page.spectral = undefined; });
}

async function followSpectrum() {
  while (page.spectrumTurn !== turn) {
    const mine = turn;
    const found = await quietly(ask("spectrum", { network: networkOf(page.state) }));
    page.spectrumTurn = mine;
    if (!found) continue;
    page.spectrum = found;
    if (!frame) drawCharts();
  }
}

// an answer, or its error as a status; undefined where a newer question took its place
async function quietly(promise) {
  try {
    return await promise;
  } catch (error) {
    const status = error instanceof Error ? error.message : String(error);
    return status.includes("cancel") ? undefined : { status };
  }
}

async function refreshField() {
  const { state } = page;
  const key = [blocksKey(state), state.q, ...(isStream(state.mode) ? [state.c, state.depth] : []), state.field, parts.diagram.window()].join("|");
  if (key === page.fieldKey) return page.field;
  page.fieldKey = key;
  for (const [field, grid] of [["chi_perp", COARSE_GRID], [state.field, FINE_GRID]]) {
    const question = { network: networkOf(state), field, ...gridSigmas(grid, parts.diagram.window()) };
    const values = await quietly(ask("diagram", question));
    if (!values || values.status || key !== page.fieldKey) return;
    if (grid === COARSE_GRID) parts.diagram.setRegions(values, grid);
    if (field === state.field) parts.diagram.setField(field, values, grid, streamNote(state, field));
  }
}

async function rest() {
  const mine = turn;
  parts.charts.forEach((chart) => chart.flush());
  writeAddress();
  markPresets();
  showCode();
  const { verdict } = page.solution ?? {};
  byId("live").textContent = verdict ? `${verdict.title}. ${verdict.sentences[0] ?? ""}` : "";
  byId("diagram-state").textContent = `sigma_w ${page.state.sigma_w}, sigma_b ${page.state.sigma_b}`;
  const found = await quietly(ask("sample", { network: networkOf(page.state), count: SAMPLED_NETWORKS, seed: 1 }));
  if (mine !== turn) return;
  if (found) {
    page.sample = found; // or why there are none
    drawCharts();
  }
  await Promise.all([page.field, page.spectral]);
  parts.charts.forEach((chart) => chart.flush());
  if (mine === turn) document.body.dataset.state = "rest"; // nothing more is to come
}

// page.known is the address that was last read or written; another one is a link that waits to be read
function writeAddress() {
  const fragment = formatFragment(page.state);
  if (location.hash !== page.known) return;
  try {
    if (fragment !== page.known) history.replaceState(null, "", fragment);
    page.known = location.hash;
  } catch {
    // a notebook's frame has no address of its own
  }
}

async function readAddress() {
  page.known = location.hash;
  const given = location.hash.length > 1 ? location.hash : document.documentElement.dataset.state ?? "";
  const { state, notes } = parseFragment(given);
  if (!MODES.includes(state.mode)) {
    notes.push(`This page has no theory of ${MODE_WORDS[state.mode]} yet; ${MODE_WORDS.plain} are shown.`);
    state.mode = "plain";
  }
  page.state = { ...state, activation: page.state.activation };
  page.sample = undefined;
  moved();
  const mine = turn;
  const taken = await takeActivation(state.activation);
  if (mine !== turn) return;
  if (!taken) {
    notes.unshift(`${page.error} ${page.state.activation} is shown.`);
    page.error = undefined;
    await takeActivation(page.state.activation);
  }
  byId("notes").textContent = notes.join(" ");
}

function showCode() {
  try {
    byId("code-text").textContent = codeText(page.language, page.state);
  } catch (error) {
    byId("code-text").textContent = error.message;
  }
}

function setUpCode() {
  const tabs = Object.entries(CODE_LANGUAGES).map(([language, words]) => {
    const tab = made("button", { type: "button", textContent: words, id: `code-tab-${language}` });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "code-text");
    tab.addEventListener("click", () => choose(language));
    return tab;
  });
  const choose = (language) => {
    page.language = language;
    tabs.forEach((tab) => {
      const chosen = tab.id === `code-tab-${language}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    });
    byId("code-text").setAttribute("aria-labelledby", `code-tab-${language}`);
    showCode();
  };
  byId("code-tabs").append(...tabs);
  byId("code-tabs").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const names = Object.keys(CODE_LANGUAGES);
    choose(names[(names.indexOf(page.language) + by + names.length) % names.length]);
    byId(`code-tab-${page.language}`).focus();
  });
  choose("python");
  byId("copy-code").addEventListener("click", () => copyText(byId("code-text").textContent, byId("copy-code")));
  byId("copy-link").addEventListener("click", () => copyText(location.href.split("#")[0] + formatFragment(page.state), byId("copy-link")));
}

async function copyText(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy it by hand";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

function setUpPresets() {
  const buttons = PRESETS.map((preset) => {
    const button = made("button", { type: "button", textContent: preset.label, title: preset.words });
    button.addEventListener("click", () => {
      const found = preset.at(page.state, page.best, nearestCritical(page.line, page.state));
      if (found) change({ sigma_w: found.sigma_w, sigma_b: found.sigma_b }, "");
      else byId("notes").textContent = `No such point: ${page.state.activation} in ${MODE_WORDS[page.state.mode]} has no critical line here.`;
    });
    return button;
  });
  const broken = made("button", { type: "button", className: "break", textContent: "break it", title: "Another way to break this network, at each press" });
  broken.addEventListener("click", () => {
    const { change: to, words } = BREAKAGES[page.breakage++ % BREAKAGES.length];
    const { sigma_w, sigma_b, depth, width, activation } = to(page.state, page.best);
    const patch = Object.fromEntries(Object.entries({ sigma_w, sigma_b, depth, width, activation }).filter(([, v]) => v !== undefined));
    change(patch, words);
  });
  byId("presets").append(...buttons, broken);
}

function setUpChoices() {
  for (const [id, words] of Object.entries(MODE_WORDS).filter(([id]) => MODES.includes(id))) byId("mode").append(made("option", { value: id, textContent: words }));
  for (const [id, { label }] of Object.entries(FIELDS)) byId("field").append(made("option", { value: id, textContent: label }));
  byId("mode").addEventListener("change", () => change({ mode: byId("mode").value }, ""));
  byId("field").addEventListener("change", () => change({ field: byId("field").value }));
  for (const radio of document.getElementsByName("weights")) radio.addEventListener("change", () => change({ weights: radio.value }));
}

function setUpCharts() {
  const save = (id) => parts.export.open(id);
  parts.charts = new Map(Object.entries(FIGURE_TITLES).map(([id, title]) => [id, createChart(id, title, FIGURE_CAPTIONS[id], save)]));
  byId("charts").append(...["length", "correlation", "spectrum", "q", "c", "gradient"].map((id) => parts.charts.get(id).root));
}

function start() {
  setUpChoices();
  setUpPresets();
  setUpCode();
  setUpCharts();
  parts.verdict = createVerdict();
  parts.controls = createControls(byId("controls"), (patch) => change(patch, ""));
  parts.diagram = createDiagram(byId("diagram"), { moved: (point) => change(point), zoomed: () => schedule() });
  parts.picker = createPicker(activationNames().map((name) => ({ name })), (text) => change({ activation: text }, ""));
  parts.export = createExport(FIGURE_TITLES, () => ({
    figures: page.figures, diagram: parts.diagram.model, window: parts.diagram.window(), caption: captionOf(page.state),
    stem: page.state.activation.replace(/[^a-z0-9_]+/gi, "-").slice(0, 40),
  }));
  const theme = followTheme(() => {
    parts.diagram.recolour();
    parts.charts.forEach((chart) => chart.recolour());
  });
  byId("copy-link").hidden = location.protocol === "about:"; // a notebook's frame has no address
  byId("open-export").addEventListener("click", () => parts.export.open());
  byId("toggle-theme").addEventListener("click", () => theme.toggle());
  byId("zoom-in").addEventListener("click", () => parts.diagram.zoom(-1));
  byId("zoom-out").addEventListener("click", () => parts.diagram.zoom(1));
  window.addEventListener("hashchange", () => location.hash !== page.known && readAddress());
  readAddress();
}

start();
