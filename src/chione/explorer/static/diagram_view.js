// The phase diagram: a cached picture of the field below, the point that is dragged above it.

import { FIELD_MAP, themeColours } from "./colours.js";
import { NO_STREAM_FIELD } from "./diagram_fields.js";
import { byId, made } from "./dom.js";
import { deepestCell, fieldImage, fieldScale } from "./field_image.js";
import { tickPlaces, tickText } from "./scales.js";
import { FIELDS } from "./state.js";

export const DIAGRAM_MARGIN = { left: 44, right: 12, top: 8, bottom: 36 };
export const DIAGRAM_VIEWS = [[0.625, 0.375], [1.25, 0.75], [2.5, 1.5], [5, 3], [10, 6], [20, 12]];
export const COARSE_GRID = [48, 40];
export const FINE_GRID = [176, 150];
const START_VIEW = 3;
const DARK_SHADE = 0.45; // of the colours, below which words are white
const STEPS_ACROSS = 500; // a step of the point: 0.01 in the first view

/** Sigmas at the centres of a grid's cells. */
export function gridSigmas([columns, rows], [wide, high]) {
  return {
    sigmaW: Float64Array.from({ length: columns }, (_, i) => ((i + 0.5) / columns) * wide),
    sigmaB: Float64Array.from({ length: rows }, (_, j) => ((j + 0.5) / rows) * high),
  };
}

/** The diagram in `root`; `moved({sigma_w, sigma_b})` is called while dragging, `zoomed()` on a new view. */
export function createDiagram(root, { moved, zoomed }) {
  const under = root.querySelector(".under");
  const over = root.querySelector(".over");
  const model = { view: START_VIEW, point: { sigma_w: 1, sigma_b: 1 }, line: undefined, marks: [], layer: undefined, regions: [] };
  let colours = themeColours();
  let size = { width: 0, height: 0 };
  let dragging = false;

  const window_ = () => DIAGRAM_VIEWS[model.view];
  const step = () => window_()[0] / STEPS_ACROSS;
  const plotWidth = () => size.width - DIAGRAM_MARGIN.left - DIAGRAM_MARGIN.right;
  const plotHeight = () => size.height - DIAGRAM_MARGIN.top - DIAGRAM_MARGIN.bottom;
  const px = (sigmaW) => DIAGRAM_MARGIN.left + (sigmaW / window_()[0]) * plotWidth();
  const py = (sigmaB) => DIAGRAM_MARGIN.top + (1 - sigmaB / window_()[1]) * plotHeight();

  function move(sigmaW, sigmaB, grain) {
    const snap = (v, top) => Number(Math.min(Math.max(Math.round(v / grain) * grain, 0), top).toFixed(6));
    const point = { sigma_w: snap(sigmaW, window_()[0]), sigma_b: snap(sigmaB, window_()[1]) };
    model.point = point; // two keys may come before the next frame
    moved(point);
  }

  function fromPointer(event) {
    const box = over.getBoundingClientRect();
    const sigmaW = ((event.clientX - box.left - DIAGRAM_MARGIN.left) / plotWidth()) * window_()[0];
    const sigmaB = (1 - (event.clientY - box.top - DIAGRAM_MARGIN.top) / plotHeight()) * window_()[1];
    move(sigmaW, sigmaB, step());
  }

  over.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragging = true;
    over.setPointerCapture(event.pointerId);
    over.focus({ preventScroll: true });
    fromPointer(event);
  });
  over.addEventListener("pointermove", (event) => dragging && fromPointer(event));
  for (const end of ["pointerup", "pointercancel"]) over.addEventListener(end, () => { dragging = false; });
  over.addEventListener("focus", () => drawOver());
  over.addEventListener("blur", () => drawOver());
  over.addEventListener("keydown", (event) => {
    const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const direction = directions[event.key];
    if (!direction) return;
    event.preventDefault();
    const grain = step() * (event.shiftKey ? 10 : event.altKey ? 0.1 : 1);
    move(model.point.sigma_w + direction[0] * grain, model.point.sigma_b + direction[1] * grain, event.altKey ? grain : step());
  });

  function sized(canvas) {
    const unit = window.devicePixelRatio || 1;
    canvas.width = Math.round(size.width * unit);
    canvas.height = Math.round(size.height * unit);
    const context = canvas.getContext("2d");
    context.setTransform(unit, 0, 0, unit, 0, 0);
    return context;
  }

  function drawUnder() {
    const context = sized(under);
    paintDiagram(context, { ...model, window: window_(), px, py, size, colours });
  }

  function drawOver() {
    const context = over.getContext("2d");
    context.clearRect(0, 0, size.width, size.height);
    paintPoint(context, px(Math.min(model.point.sigma_w, window_()[0])), py(Math.min(model.point.sigma_b, window_()[1])), document.activeElement === over);
  }

  function drawAll() {
    if (size.width < 40) return;
    drawUnder();
    sized(over);
    drawOver();
  }

  function zoom(by) {
    const next = Math.min(Math.max(model.view + by, 0), DIAGRAM_VIEWS.length - 1);
    if (next === model.view) return;
    model.view = next;
    model.layer = undefined;
    drawAll();
    zoomed();
  }

  function widenTo(point) {
    while (model.view < DIAGRAM_VIEWS.length - 1 && (point.sigma_w > window_()[0] || point.sigma_b > window_()[1])) zoom(1);
  }

  new ResizeObserver(() => {
    size = { width: root.clientWidth, height: root.clientHeight };
    drawAll();
  }).observe(root);

  return {
    zoom,
    window: window_,
    fineStep: step,
    model,
    /** The point; the view widens where it would not hold it. */
    setPoint(point) {
      model.point = point;
      widenTo(point);
      drawOver();
    },
    /** The field's values, row by row of sigma_b, on a grid of the present view. */
    setField(field, values, [columns, rows], note) {
      const scale = fieldScale(field, values);
      model.shadeAt = ({ x, y }) => scale.place(values[Math.floor(y * rows) * columns + Math.floor(x * columns)]);
      model.layer = fieldImage(values, columns, rows, scale);
      drawAll();
      paintKey(field, scale, values.some(Number.isNaN), model.line, note);
    },
    /** Where the words of the phases stand, from the factor on gradients on a coarse grid. */
    setRegions(chi, [columns, rows]) {
      // streams of blocks have no phases: their gradients grow a little everywhere
      const mild = !chi.some((factor) => factor < 0.999 || factor > 1.3);
      const regions = [
        ["ordered", "gradients vanish", (k) => chi[k] < 0.999],
        mild ? ["gradients grow slowly", "", (k) => chi[k] > 1.001] : ["chaotic", "gradients explode", (k) => chi[k] > 1.001],
        ["lengths diverge", "", (k) => Number.isNaN(chi[k])],
      ];
      model.regions = regions.map(([name, words, inside]) => ({ name, words, at: deepestCell(inside, columns, rows) })).filter((r) => r.at);
      drawAll();
    },
    setLine(line, marks) {
      marks.forEach(widenTo); // so that the recommended point is seen, as of sigmoid at sigma_w = 6
      model.line = line;
      model.marks = marks;
      drawAll();
    },
    recolour() {
      colours = themeColours();
      drawAll();
    },
  };
}

/** Everything but the point, on any two-dimensional context. */
export function paintDiagram(context, { layer, shadeAt, line, marks, regions, window, px, py, size, colours }) {
  const { left, top } = DIAGRAM_MARGIN;
  const wide = px(window[0]) - left;
  const high = py(0) - top;
  context.clearRect(0, 0, size.width, size.height);
  context.save();
  context.beginPath();
  context.rect(left, top, wide, high);
  context.clip();
  context.fillStyle = colours.paper;
  context.fillRect(left, top, wide, high);
  hatch(context, left, top, wide, high, colours.hatch);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  if (layer) context.drawImage(layer, left, top, wide, high);
  if (line) paintLine(context, line, px, py);
  context.restore();
  paintAxes(context, window, px, py, colours);
  paintRegions(context, regions, shadeAt, left, top, wide, high);
  const shown = marks.filter((mark) => mark.sigma_w <= window[0] && mark.sigma_b <= window[1]);
  shown.forEach((mark, i) => {
    // a name that would stand on the one before is raised above it
    const before = shown[i - 1];
    const near = before && Math.abs(px(mark.sigma_w) - px(before.sigma_w)) < 70 && Math.abs(py(mark.sigma_b) - py(before.sigma_b)) < 13;
    paintMark(context, near ? { ...mark, raise: 27 } : mark, px, py, left + wide);
  });
}

function hatch(context, left, top, wide, high, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = left - high; x < left + wide; x += 8) {
    context.moveTo(x, top + high);
    context.lineTo(x + high, top);
  }
  context.stroke();
}

function paintLine(context, line, px, py) {
  context.lineJoin = "round";
  const known = line.sigma_w.map((w, i) => [w, line.sigma_b[i]]).filter((p) => p.every(Number.isFinite));
  if (known.length && known.every(([w, b]) => Math.hypot(w - known[0][0], b - known[0][1]) < 1e-3)) {
    context.beginPath(); // relu and its like: the whole line is one point
    context.arc(px(known[0][0]), py(known[0][1]), 6, 0, 7);
    context.fillStyle = "#10151d";
    context.fill();
  }
  for (const [width, colour] of [[5, "#ffffffb0"], [2.25, "#10151d"]]) {
    context.beginPath();
    let pen = false;
    line.sigma_w.forEach((sigmaW, i) => {
      const sigmaB = line.sigma_b[i];
      if (!Number.isFinite(sigmaW) || !Number.isFinite(sigmaB)) pen = false;
      else if (pen) context.lineTo(px(sigmaW), py(sigmaB));
      else {
        context.moveTo(px(sigmaW), py(sigmaB));
        pen = true;
      }
    });
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function paintAxes(context, window, px, py, colours) {
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colours.soft;
  context.textAlign = "center";
  context.textBaseline = "top";
  const base = py(0);
  for (const place of tickPlaces(0, window[0], 5, false)) context.fillText(tickText(place), px(place), base + 5);
  context.fillText("σ_w, standard deviation of the weights × √n".replace("σ_w", "σw"), (px(0) + px(window[0])) / 2, base + 20);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const place of tickPlaces(0, window[1], 6, false)) context.fillText(tickText(place), px(0) - 6, py(place));
  context.save();
  context.translate(10, (py(0) + py(window[1])) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText("σb, standard deviation of the biases", 0, 0);
  context.restore();
}

function paintRegions(context, regions, shadeAt, left, top, wide, high) {
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { name, words, at } of regions) {
    const y = top + (1 - at.y) * high;
    const light = shadeAt?.(at) < DARK_SHADE; // false where there is no colour
    const write = (text, font, down) => {
      context.font = font;
      const half = context.measureText(text).width / 2;
      if (down && half + 6 > at.room * wide) return;
      const x = Math.min(Math.max(left + at.x * wide, left + half + 4), left + wide - half - 4);
      context.lineWidth = 3;
      context.strokeStyle = light ? "#10306a90" : "#ffffffb0";
      context.strokeText(text, x, y + down);
      context.fillStyle = light ? "#ffffff" : "#10151d";
      context.fillText(text, x, y + down);
    };
    write(name, "600 13px system-ui, sans-serif", 0);
    if (words) write(words, "12px system-ui, sans-serif", 17);
  }
}

function paintMark(context, mark, px, py, right) {
  const x = px(mark.sigma_w);
  const y = py(mark.sigma_b);
  context.lineWidth = 1.5;
  context.strokeStyle = "#10151d";
  context.fillStyle = "#ffffff";
  context.beginPath();
  context.moveTo(x, y - 5);
  context.lineTo(x + 5, y);
  context.lineTo(x, y + 5);
  context.lineTo(x - 5, y);
  context.closePath();
  context.fill();
  context.stroke();
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const wide = context.measureText(mark.name).width;
  const over = x + 12 + wide > right;
  context.textAlign = over ? "right" : "left";
  const up = mark.raise ?? 12;
  context.lineWidth = 3;
  context.strokeStyle = "#ffffffc0";
  context.strokeText(mark.name, over ? x - 4 : x + 4, y - up);
  context.fillStyle = "#10151d";
  context.fillText(mark.name, over ? x - 4 : x + 4, y - up);
}

/** The point itself; wider while it has the keyboard. */
export function paintPoint(context, x, y, focused) {
  for (const [radius, colour] of [[focused ? 14 : 0, "#10151d40"], [9.5, "#10151d"], [7.5, "#ffffff"], [4, "#d1341f"]]) {
    if (radius === 0) continue;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fillStyle = colour;
    context.fill();
  }
}

function paintKey(field, scale, hatched, line, note) {
  const key = byId("key");
  key.querySelector(".low").textContent = scale.low;
  key.querySelector(".high").textContent = scale.high;
  const canvas = key.querySelector("canvas");
  canvas.width = FIELD_MAP.length;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  FIELD_MAP.forEach(([r, g, b], i) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(i, 0, 1, 1);
  });
  const sentences = [`Colour: ${FIELDS[field].words}.`, note];
  if (line?.sigma_w.some(Number.isFinite)) sentences.push("Black line: edge of chaos.");
  if (hatched && note !== NO_STREAM_FIELD) sentences.push("Hatched: lengths diverge.");
  byId("key-words").replaceChildren(made("span", { textContent: sentences.filter(Boolean).join(" ") }));
}
