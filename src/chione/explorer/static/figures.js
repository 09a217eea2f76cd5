// What each chart shows, as plain data: charts.js draws it on the screen, drawing.js into a file.
// A figure: {id, title, xLabel, yLabel, xLog, yLog, xRange, yRange, x, lines: [{name, y, colour, dash}],
// band: {low, high}, path: [[x, y]], dots: [{x, y, error}], bars: [{x, height}], marks: [{x, y, hollow, name}],
// columns: [[name, values]], empty, caption, read(i)}. Values on a logarithmic axis are log10 already.

import { isStream } from "./modes.js";
import { numeral, numeralWithError } from "./numerals.js";
import { decadeRange, linearRange } from "./scales.js";

export const FIGURE_TITLES = {
  length: "Map of lengths",
  correlation: "Map of correlations",
  q: "Mean square over depth",
  c: "Correlation over depth",
  gradient: "Gradient over depth",
  spectrum: "Spectrum of the Jacobian",
};

export const FIGURE_CAPTIONS = {
  length: "Where the curve meets the diagonal, lengths stay as they are.",
  correlation: "Below the diagonal two inputs part, above it they become alike.",
  spectrum: "How much each direction is stretched over the whole depth; bars are atoms.",
  q: "Dots: sampled networks of this width.",
  c: "1 means that the network no longer tells two inputs apart.",
  gradient: "Mean square at each layer, over that at the last.",
};

const SMALLEST_SHARE = 0.02; // of the law, below which its picture ends
const TINY = -320; // log10 of what float64 cannot hold; below, lines stop

function logTens(values) {
  return Array.from(values, (v) => (v > 0 && Number.isFinite(v) ? Math.max(Math.log10(v), TINY) : NaN));
}

function withError(value, errors, i) {
  return numeralWithError({ value, error: errors === undefined ? undefined : errors[i] ?? errors });
}

function noFigure(id, words) {
  return { id, title: FIGURE_TITLES[id], empty: words, x: [0, 1], lines: [], xRange: [0, 1], yRange: [0, 1], columns: [], xLabel: "", yLabel: "" };
}

function lengthFigure(solution, mode) {
  const { q, image, path } = solution.lengthMap;
  const marks = solution.fixedPoints.filter((p) => p.q <= q[q.length - 1])
    .map((p) => ({ x: p.q, y: p.q, hollow: !p.stable, name: p.stable ? "stable" : "unstable" }));
  const top = q[q.length - 1];
  return {
    id: "length", title: FIGURE_TITLES.length, caption: mapCaption("length", mode), xLabel: "q, mean square in", yLabel: "q in the next layer",
    x: q, lines: [{ name: "q → q", y: q, colour: "soft", dash: true }, { name: "map", y: image, colour: "cool" }],
    path: staircase(path), marks, xRange: [0, top], yRange: linearRange([image.map((v) => Math.min(v, 1.6 * top)), [0, top]]),
    columns: [["q", q], ["q next", image]],
    read: (i) => `q = ${numeral(q[i], 5)} becomes ${withError(image[i], solution.lengthMap.error, i)}`,
    rest: fixedPointWords(solution),
  };
}

// the staircase between a map and the diagonal, from the points (x, image of x) that it visits
function staircase(visited) {
  const steps = visited.length ? [[visited[0][0], visited[0][0]]] : [];
  for (const [x, image] of visited) steps.push([x, image], [image, image]);
  return steps;
}

function fixedPointWords(solution) {
  const points = solution.fixedPoints;
  if (solution.continuum) return "every length is a fixed point";
  if (points.length === 0) return "no fixed point: lengths diverge";
  return `fixed point${points.length > 1 ? "s" : ""} ${points.map((p) => `${numeral(p.q, 4)} (${p.stable ? "stable" : "unstable"})`).join(", ")}`;
}

// The length of a stream changes from block to block, and with it the map of its correlations.
function mapCaption(id, mode) {
  if (!isStream(mode)) return FIGURE_CAPTIONS[id];
  if (id === "length") return mode === "transformer" ? "At the correlation that tokens have in the last layer." : "Every block adds to the stream: the curve is never below the diagonal.";
  const both = mode === "transformer" ? "tokens" : "inputs";
  return `At the length of the last layer. Below the diagonal two ${both} part, above it they become alike.`;
}

function correlationFigure(solution, mode) {
  const map = solution.correlationMap;
  if (!map || map.c.length === 0) return noFigure("correlation", "No map of correlations: lengths settle nowhere.");
  const low = Math.min(0, map.c[0]);
  const star = solution.cStar?.value;
  return {
    id: "correlation", title: FIGURE_TITLES.correlation, caption: mapCaption("correlation", mode), xLabel: "c, correlation in", yLabel: "c in the next layer",
    x: map.c, lines: [{ name: "c → c", y: map.c, colour: "soft", dash: true }, { name: "map", y: map.image, colour: "cool" }],
    path: staircase(map.path), marks: Number.isFinite(star) ? [{ x: star, y: star, name: "c*" }] : [],
    xRange: [low, 1], yRange: linearRange([map.image, [low, 1]]), columns: [["c", map.c], ["c next", map.image]],
    read: (i) => `c = ${numeral(map.c[i], 5)} becomes ${withError(map.image[i], map.error, i)}`,
    rest: Number.isFinite(star) ? `c* = ${numeralWithError(solution.cStar)}` : solution.cStar?.status ?? "",
  };
}

function sampledDots(sample, key, log) {
  if (!sample?.[key]) return [];
  const { mean, error } = sample[key];
  return sample.layer.map((x, i) => {
    const y = log ? Math.log10(mean[i]) : mean[i];
    const spread = error?.[i] ?? 0;
    if (!log) return { x, y, low: y - spread, high: y + spread };
    return { x, y, low: Math.log10(Math.max(mean[i] - spread, mean[i] * 0.05)), high: Math.log10(mean[i] + spread) };
  }).filter((dot) => Number.isFinite(dot.y));
}

function readLayer(depth, values, errors, name, sample, key) {
  return (i) => {
    const seen = sample?.[key] && sample.layer.indexOf(depth.layer[i]);
    const drawn = seen >= 0 && seen !== undefined && Number.isFinite(sample[key].mean[seen]) && Number.isFinite(values[i]);
    const dots = drawn ? `; sampled ${numeral(sample[key].mean[seen], 4)} ± ${numeral(sample[key].error[seen], 2)}` : "";
    return `layer ${depth.layer[i]}: ${name} = ${withError(values[i], errors, i)}${dots}`;
  };
}

function depthColumns(depth, key, sample) {
  const columns = [["layer", depth.layer], [key, depth[key]]];
  if (key === "q" && depth.low) columns.push(["q low", depth.low], ["q high", depth.high]);
  if (sample?.[key]) {
    const at = new Map(sample.layer.map((layer, i) => [layer, i]));
    const pick = (list) => Array.from(depth.layer, (layer) => (at.has(layer) ? list[at.get(layer)] : NaN));
    columns.push(["sampled", pick(sample[key].mean)], ["standard error", pick(sample[key].error)]);
  }
  return columns;
}

// What is drawn over depth: a band where its theory is known, dots unless there is a reason for none.
function depthCaption(id, depth, sample, mode) {
  const tokens = mode === "transformer";
  if (id === "c" && tokens) return "Of two tokens of one input; 1 means that the network no longer tells them apart.";
  if (id !== "q") return FIGURE_CAPTIONS[id];
  const refused = sample !== undefined && !sample.layer?.length;
  const dots = refused ? sample.status : `Dots: sampled networks of this width${tokens ? ", means over their tokens" : ""}.`;
  return depth.low?.some(Number.isFinite) ? `Band: chance at this width. ${dots}` : dots;
}

function depthFigure(id, solution, sample, mode, { name, yLabel, log, colour, least }) {
  const { depth } = solution;
  const y = log ? logTens(depth[id]) : depth[id];
  const dots = sampledDots(sample, id, log);
  const band = id === "q" && depth.low?.length ? { low: logTens(depth.low), high: logTens(depth.high) } : undefined;
  const seen = [y, dots.map((d) => d.y)];
  if (band) seen.push(band.low.map((v, i) => Math.max(v, y[i] - 1.5)), band.high.map((v, i) => Math.min(v, y[i] + 1.5)));
  if (!Array.from(y).some(Number.isFinite)) return noFigure(id, "No finite value at any layer.");
  const last = depth.layer[depth.layer.length - 1];
  return {
    id, title: FIGURE_TITLES[id], caption: depthCaption(id, depth, sample, mode), xLabel: "layer", yLabel, yLog: log, x: depth.layer,
    lines: [{ name: "theory", y, colour }], band, dots, xRange: [Math.min(depth.layer[0], 1), Math.max(last, 2)],
    yRange: log ? decadeRange(seen, least) : linearRange([...seen, [0, 1]]), columns: depthColumns(depth, id, sample),
    read: readLayer(depth, depth[id], depth[`${id}Error`], name, sample, id),
    rest: readLayer(depth, depth[id], depth[`${id}Error`], name, sample, id)(id === "gradient" ? 0 : depth.layer.length - 1),
  };
}

function spectrumFigure(spectrum) {
  if (!spectrum) return noFigure("spectrum", "…");
  if (!spectrum.logLambda?.length && !spectrum.atoms?.length) return noFigure("spectrum", spectrum.status ?? "No spectrum here.");
  const x = Array.from(spectrum.logLambda, (v) => v / Math.LN10);
  const density = Array.from(spectrum.density, (v) => v * Math.LN10);
  const errors = Array.from(spectrum.error ?? [], (e) => e * Math.LN10);
  const bars = (spectrum.atoms ?? []).filter((a) => a.at > 0).map((a) => ({ x: Math.log10(a.at), height: a.mass }));
  const lost = (spectrum.atoms ?? []).filter((a) => a.at === 0).reduce((sum, a) => sum + a.mass, 0);
  const shown = x.filter((_, i) => !(spectrum.cdf?.[i] < SMALLEST_SHARE)); // tails may reach a hundred decades down
  const range = linearRange([shown, bars.map((b) => b.x)], 1);
  return {
    id: "spectrum", title: FIGURE_TITLES.spectrum, xLabel: "squared singular value λ", yLabel: "density in log10 λ",
    xLog: true, x, lines: [{ name: "density", y: density, colour: "cool", filled: true }], bars, xRange: range,
    yRange: linearRange([density, bars.map((b) => b.height), [0]], 0.1),
    columns: [["log10 lambda", x], ["density", density], ["distribution function", spectrum.cdf ?? []]],
    read: (i) => `λ = ${numeral(10 ** x[i], 4)}: density ${withError(density[i], errors, i)}${spectrum.cdf ? `, ${numeral(100 * spectrum.cdf[i], 3)} % lies below` : ""}`,
    rest: lost > 1e-12 ? `${numeral(100 * lost, 3)} % of the directions are lost (λ = 0)` : "no direction is lost",
  };
}

/** All six figures of a solution, its sampled networks and its spectrum (either may be missing yet). */
export function figuresOf(solution, sample, spectrum, mode) {
  if (solution.status !== "ok" && !solution.depth?.layer?.length) {
    return Object.keys(FIGURE_TITLES).map((id) => noFigure(id, solution.message ?? "No numbers here."));
  }
  return [
    lengthFigure(solution, mode),
    correlationFigure(solution, mode),
    spectrumFigure(spectrum),
    depthFigure("q", solution, sample, mode, { name: "q", yLabel: "q, mean square", log: true, colour: "cool", least: 1 }),
    depthFigure("c", solution, sample, mode, { name: "c", yLabel: "c, correlation", log: false, colour: "cool" }),
    depthFigure("gradient", solution, sample, mode, { name: "gradient", yLabel: "mean square gradient", log: true, colour: "warm", least: 2 }),
  ];
}
