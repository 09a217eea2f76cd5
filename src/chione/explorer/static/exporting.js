// Files: a figure as SVG, PNG or CSV, the diagram too.

import { themeColours } from "./colours.js";
import { byId, made } from "./dom.js";
import { DIAGRAM_MARGIN, paintDiagram, paintPoint } from "./diagram_view.js";
import { figureCsv, figureSvg } from "./drawing.js";
import { svgContext } from "./svg_context.js";

const DIAGRAM_SIZE = { width: 520, height: 460 };
const PNG_SCALE = 3;

function saveFile(name, blob) {
  const link = made("a", { download: name, href: URL.createObjectURL(blob) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** The diagram as an SVG document. */
export function diagramSvg(model, window, caption) {
  const { left, right, top, bottom } = DIAGRAM_MARGIN;
  const px = (v) => left + (v / window[0]) * (DIAGRAM_SIZE.width - left - right);
  const py = (v) => top + (1 - v / window[1]) * (DIAGRAM_SIZE.height - top - bottom);
  const context = svgContext(DIAGRAM_SIZE.width, DIAGRAM_SIZE.height, made("canvas", {}).getContext("2d"), `Phase diagram: ${caption}`);
  const colours = { ...themeColours(), paper: "#ffffff", soft: "#4a5567", ink: "#10151d" };
  paintDiagram(context, { ...model, window, px, py, size: DIAGRAM_SIZE, colours });
  paintPoint(context, px(Math.min(model.point.sigma_w, window[0])), py(Math.min(model.point.sigma_b, window[1])), false);
  return context.text();
}

/** The critical line as comma-separated values. */
function lineCsv(model, caption) {
  const rows = [`# critical line: ${caption}`, "sigma_w,sigma_b"];
  model.line?.sigma_w.forEach((sigmaW, i) => {
    if (Number.isFinite(sigmaW)) rows.push(`${sigmaW},${model.line.sigma_b[i]}`);
  });
  return `${rows.join("\n")}\n`;
}

/** A picture of SVG text as a PNG, three pixels for one. */
export async function pngOf(svg) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = made("canvas", { width: PNG_SCALE * image.width, height: PNG_SCALE * image.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** The dialog: `current()` gives {figures, diagram, window, caption, stem}. */
export function createExport(titles, current) {
  const dialog = byId("export");
  const choice = byId("export-figure");
  for (const [id, title] of [["diagram", "Order and chaos"], ...Object.entries(titles)]) choice.append(made("option", { value: id, textContent: title }));

  async function save(format) {
    const { figures, diagram, window, caption, stem } = current();
    const id = choice.value;
    const figure = figures.find((f) => f.id === id);
    const name = `${stem}-${id}.${format}`;
    if (format === "csv") {
      saveFile(name, new Blob([figure ? figureCsv(figure, caption) : lineCsv(diagram, caption)], { type: "text/csv" }));
      return;
    }
    const svg = figure ? figureSvg(figure, caption) : diagramSvg(diagram, window, caption);
    saveFile(name, format === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await pngOf(svg));
  }

  for (const button of dialog.querySelectorAll("[data-format]")) button.addEventListener("click", () => save(button.dataset.format));
  byId("close-export").addEventListener("click", () => dialog.close());
  return {
    open(id = "diagram") {
      choice.value = id;
      dialog.showModal();
    },
  };
}
