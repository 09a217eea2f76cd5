// Charts on the screen, by uPlot. Each is a figure with a title, a line that reads the value under the
// pointer (or, by arrow keys, under the reading position), and its numbers as a table.

import { uPlot } from "./vendor/uPlot.esm.js";
import { themeColours } from "./colours.js";
import { made } from "./dom.js";
import { numeral } from "./numerals.js";
import { tickPlaces, tickText } from "./scales.js";

const AXIS_FONT = "11px system-ui, sans-serif";
const TABLE_ROWS = 26;

function frameOf(id, title, caption, onSave) {
  const save = made("button", { type: "button", textContent: "save", title: `Save: ${title}` });
  save.setAttribute("aria-label", `Save the figure ${title}`);
  save.addEventListener("click", () => onSave(id));
  const plot = made("div", { className: "plot", tabIndex: 0 });
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", `${title}: reading position`);
  plot.setAttribute("aria-valuemin", "0");
  const nodes = {
    plot, empty: made("p", { className: "empty", hidden: true }), readout: made("p", { className: "readout" }),
    table: made("div", { className: "scroll", tabIndex: 0 }), caption: made("p", { className: "caption", textContent: caption }),
  };
  nodes.table.setAttribute("role", "region");
  nodes.table.setAttribute("aria-label", `Numbers of ${title}`);
  plot.append(nodes.empty);
  nodes.details = made("details", {}, made("summary", { textContent: "numbers" }), nodes.table);
  nodes.root = made("figure", { className: "panel chart", id: `chart-${id}` },
    made("div", { className: "head" }, made("h3", { textContent: title }), save), nodes.readout, plot, nodes.caption, nodes.details);
  return nodes;
}

/** A chart in the page: {root, show(figure), recolour()}. */
export function createChart(id, title, caption, onSave) {
  const nodes = frameOf(id, title, caption, onSave);
  let figure;
  let plot;
  let colours = themeColours();
  let shape = "";
  let visible = true;
  let stale = false;
  let reading = -1;

  function build() {
    plot?.destroy();
    plot = new uPlot(optionsOf(figure, () => figure, () => colours, nodes, read), dataOf(figure), nodes.plot);
    shape = shapeOf(figure);
  }

  function read(index) {
    reading = index ?? -1;
    const known = figure.x.length - 1;
    nodes.readout.textContent = figure.empty ? "" : reading >= 0 && reading <= known ? figure.read(reading) : figure.rest ?? "";
  }

  function draw() {
    stale = false;
    nodes.empty.hidden = !figure.empty;
    nodes.empty.textContent = figure.empty ?? "";
    nodes.plot.classList.toggle("without", Boolean(figure.empty));
    if (!plot || shape !== shapeOf(figure)) build();
    else {
      plot.batch(() => {
        plot.setData(dataOf(figure), false);
        plot.setScale("x", { min: figure.xRange[0], max: figure.xRange[1] });
        plot.setScale("y", { min: figure.yRange[0], max: figure.yRange[1] });
      });
    }
    if (figure.caption !== undefined && nodes.caption.textContent !== figure.caption) nodes.caption.textContent = figure.caption;
    read(reading);
    nodes.plot.setAttribute("aria-valuemax", String(figure.x.length - 1));
    describe();
    if (nodes.details.open) fillTable(nodes.table, figure);
  }

  function describe() {
    nodes.plot.setAttribute("aria-valuenow", String(Math.max(reading, 0)));
    nodes.plot.setAttribute("aria-valuetext", nodes.readout.textContent || figure.empty || "");
  }

  nodes.plot.addEventListener("keydown", (event) => {
    const last = figure.x.length - 1;
    const step = Math.max(1, Math.round(last / 50));
    const places = { ArrowRight: reading + step, ArrowUp: reading + step, ArrowLeft: reading - step, ArrowDown: reading - step, Home: 0, End: last };
    if (!(event.key in places) || figure.empty) return;
    event.preventDefault();
    read(Math.min(Math.max(places[event.key], 0), last));
    const x = figure.x[reading];
    plot.setCursor({ left: plot.valToPos(x, "x"), top: plot.bbox.height / (2 * devicePixelRatio) }, false);
    describe();
  });
  nodes.plot.addEventListener("blur", () => { plot?.setCursor({ left: -10, top: -10 }, false); read(-1); });
  nodes.details.addEventListener("toggle", () => nodes.details.open && fillTable(nodes.table, figure));
  new ResizeObserver(() => plot?.setSize(sizeOf(nodes.plot))).observe(nodes.plot);
  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    if (visible && stale) draw();
  }, { rootMargin: "80px" }).observe(nodes.plot);

  return {
    root: nodes.root,
    show(next) {
      figure = next;
      if (visible) draw();
      else stale = true;
    },
    /** Draw also what is out of sight: for paper, and when the page rests. */
    flush() {
      if (stale) draw();
    },
    recolour() {
      colours = themeColours();
      if (figure) build();
    },
  };
}

function sizeOf(node) {
  return { width: Math.max(node.clientWidth, 60), height: Math.max(node.clientHeight, 60) };
}

// what cannot change without a new plot
function shapeOf(figure) {
  return `${figure.lines.map((l) => l.name).join()}|${figure.xLog}|${figure.yLog}|${Boolean(figure.band)}`;
}

function dataOf(figure) {
  const lists = figure.lines.map((line) => Array.from(line.y, (v) => (Number.isFinite(v) ? v : null)));
  if (figure.band) lists.push(Array.from(figure.band.high), Array.from(figure.band.low));
  return [Array.from(figure.x), ...lists];
}

function axisOf(current, colours, side, log, label) {
  const across = side === "x";
  return {
    scale: side, font: AXIS_FONT, labelFont: AXIS_FONT, stroke: () => colours().soft, label, labelSize: 16, labelGap: 0,
    size: across ? 24 : 42, gap: 4, ticks: { show: false }, grid: { stroke: () => colours().line, width: 1 },
    splits: (u, axis, low, high) => tickPlaces(low, high, across ? u.width / 80 : u.height / 42, log),
    values: (u, places) => places.map((place) => tickText(place, log)),
  };
}

function optionsOf(figure, current, colours, nodes, read) {
  const series = figure.lines.map((line) => ({
    scale: "y", stroke: () => colours()[line.colour], width: line.dash ? 1 : 2, dash: line.dash ? [5, 4] : undefined,
    points: { show: false }, fill: line.filled ? () => colours().band : undefined, pxAlign: 0,
  }));
  const bands = [];
  if (figure.band) {
    const edge = { scale: "y", width: 0, points: { show: false }, pxAlign: 0 };
    series.push({ ...edge }, { ...edge });
    bands.push({ series: [series.length - 1, series.length], fill: () => colours().band });
  }
  return {
    ...sizeOf(nodes.plot), pxAlign: 0, padding: [6, 12, 0, 0], legend: { show: false }, bands, series: [{}, ...series],
    scales: { x: { time: false, range: () => current().xRange }, y: { range: () => current().yRange } },
    axes: [axisOf(current, colours, "x", figure.xLog, figure.xLabel), axisOf(current, colours, "y", figure.yLog, figure.yLabel)],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    hooks: { setCursor: [(u) => read(u.cursor.idx)], draw: [(u) => drawExtras(u, current(), colours())] },
  };
}

// the path of the cobweb, sampled dots, atoms and marks, over the lines and inside the frame
function drawExtras(u, figure, colours) {
  const { ctx, bbox } = u;
  const px = (x) => u.valToPos(x, "x", true);
  const py = (y) => u.valToPos(y, "y", true);
  const unit = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - 4 * unit, bbox.top - 4 * unit, bbox.width + 8 * unit, bbox.height + 8 * unit);
  ctx.clip();
  ctx.lineWidth = 1.25 * unit;
  ctx.strokeStyle = ctx.fillStyle = colours.warm;
  if (figure.path?.length) {
    ctx.beginPath();
    figure.path.forEach(([x, y], i) => (i ? ctx.lineTo(px(x), py(y)) : ctx.moveTo(px(x), py(y))));
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(px(figure.path[0][0]), py(figure.path[0][1]), 2.5 * unit, 0, 7);
    ctx.fill();
  }
  for (const bar of figure.bars ?? []) {
    ctx.fillRect(px(bar.x) - 2 * unit, py(bar.height), 4 * unit, py(0) - py(bar.height));
  }
  ctx.strokeStyle = ctx.fillStyle = colours.ink;
  for (const dot of figure.dots ?? []) {
    ctx.beginPath();
    ctx.moveTo(px(dot.x), py(dot.low));
    ctx.lineTo(px(dot.x), py(dot.high));
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(px(dot.x), py(dot.y), 2 * unit, 0, 7);
    ctx.fill();
  }
  ctx.lineWidth = 1.5 * unit;
  for (const mark of figure.marks ?? []) {
    ctx.beginPath();
    ctx.arc(px(mark.x), py(mark.y), 4 * unit, 0, 7);
    ctx.fillStyle = mark.hollow ? colours.panel : colours.ink;
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** Some rows of a figure's columns as a table; all of them are in the exported file. */
function fillTable(place, figure) {
  const columns = figure.columns;
  const count = columns.length ? columns[0][1].length : 0;
  const picked = Array.from({ length: Math.min(count, TABLE_ROWS) }, (_, i) =>
    Math.round((i * (count - 1)) / Math.max(Math.min(count, TABLE_ROWS) - 1, 1)));
  const head = made("tr", {}, ...columns.map(([name]) => {
    const cell = made("th", { textContent: name });
    cell.setAttribute("scope", "col");
    return cell;
  }));
  const rows = picked.map((i) => made("tr", {}, ...columns.map(([, values]) => made("td", { textContent: numeral(values[i], 6) }))));
  place.replaceChildren(made("table", {}, made("thead", {}, head), made("tbody", {}, ...rows)));
}
