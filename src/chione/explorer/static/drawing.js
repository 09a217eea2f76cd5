// Figures as SVG text, for files: the same plain data that charts.js draws on the screen.

import { tickPlaces, tickText } from "./scales.js";

const WIDE = 480;
const HIGH = 320;
const FRAME = { left: 62, right: 14, top: 34, bottom: 46 };
const SHADES = { cool: "#2456b8", warm: "#a8480a", soft: "#6b7484", ink: "#1a2130", band: "#2456b8" };

export function escaped(text) {
  return String(text).replace(/[&<>"]/g, (mark) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[mark]);
}

function short(number) {
  return Number(number.toFixed(2));
}

function polyline(points, attributes) {
  const parts = [];
  let pen = "M";
  for (const [x, y] of points) {
    if (Number.isFinite(x) && Number.isFinite(y)) {
      parts.push(`${pen}${short(x)} ${short(y)}`);
      pen = "L";
    } else pen = "M";
  }
  return parts.length ? `<path d="${parts.join("")}" fill="none" ${attributes}/>` : "";
}

function axes(figure, px, py) {
  const out = [];
  for (const t of tickPlaces(...figure.xRange, 6, figure.xLog)) {
    out.push(`<path d="M${short(px(t))} ${FRAME.top}V${HIGH - FRAME.bottom}" stroke="#e3e6ec"/>`);
    out.push(`<text x="${short(px(t))}" y="${HIGH - FRAME.bottom + 15}" text-anchor="middle">${escaped(tickText(t, figure.xLog))}</text>`);
  }
  for (const t of tickPlaces(...figure.yRange, 6, figure.yLog)) {
    out.push(`<path d="M${FRAME.left} ${short(py(t))}H${WIDE - FRAME.right}" stroke="#e3e6ec"/>`);
    out.push(`<text x="${FRAME.left - 6}" y="${short(py(t) + 4)}" text-anchor="end">${escaped(tickText(t, figure.yLog))}</text>`);
  }
  out.push(`<text x="${(FRAME.left + WIDE - FRAME.right) / 2}" y="${HIGH - 10}" text-anchor="middle">${escaped(figure.xLabel)}</text>`);
  out.push(`<text transform="translate(14 ${HIGH / 2}) rotate(-90)" text-anchor="middle">${escaped(figure.yLabel)}</text>`);
  return out.join("");
}

function extras(figure, px, py) {
  const out = [];
  if (figure.path?.length) out.push(polyline(figure.path.map(([x, y]) => [px(x), py(y)]), `stroke="${SHADES.warm}" stroke-width="1.2"`));
  for (const bar of figure.bars ?? []) {
    out.push(`<rect x="${short(px(bar.x) - 2)}" y="${short(py(bar.height))}" width="4" height="${short(Math.max(py(0) - py(bar.height), 0))}" fill="${SHADES.warm}"/>`);
  }
  for (const dot of figure.dots ?? []) {
    out.push(`<path d="M${short(px(dot.x))} ${short(py(dot.low))}V${short(py(dot.high))}" stroke="${SHADES.ink}"/>`);
    out.push(`<circle cx="${short(px(dot.x))}" cy="${short(py(dot.y))}" r="2" fill="${SHADES.ink}"/>`);
  }
  for (const mark of figure.marks ?? []) {
    out.push(`<circle cx="${short(px(mark.x))}" cy="${short(py(mark.y))}" r="4" fill="${mark.hollow ? "#fff" : SHADES.ink}" stroke="${SHADES.ink}" stroke-width="1.5"/>`);
  }
  return out.join("");
}

/** A figure as an SVG document; `caption` says of which network. */
export function figureSvg(figure, caption) {
  const [x0, x1] = figure.xRange;
  const [y0, y1] = figure.yRange;
  const px = (x) => FRAME.left + ((x - x0) / (x1 - x0)) * (WIDE - FRAME.left - FRAME.right);
  const py = (y) => FRAME.top + ((y1 - y) / (y1 - y0)) * (HIGH - FRAME.top - FRAME.bottom);
  const clip = `<clipPath id="frame"><rect x="${FRAME.left - 3}" y="${FRAME.top - 3}" width="${WIDE - FRAME.left - FRAME.right + 6}" height="${HIGH - FRAME.top - FRAME.bottom + 6}"/></clipPath>`;
  const points = (list) => Array.from(figure.x, (x, i) => [px(x), py(list[i])]);
  let inside = "";
  if (figure.band) {
    const edge = [...points(figure.band.high), ...points(figure.band.low).reverse()].filter(([, y]) => Number.isFinite(y));
    inside += `<path d="M${edge.map(([x, y]) => `${short(x)} ${short(y)}`).join("L")}Z" fill="${SHADES.band}" fill-opacity="0.14"/>`;
  }
  for (const line of figure.lines) {
    inside += polyline(points(line.y), `stroke="${SHADES[line.colour]}" stroke-width="${line.dash ? 1 : 2}"${line.dash ? ' stroke-dasharray="5 4"' : ""}`);
  }
  inside += extras(figure, px, py);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDE} ${HIGH}" width="${WIDE}" height="${HIGH}" font-family="sans-serif" font-size="11" fill="#3c4657">`
    + `<title>${escaped(figure.title)}: ${escaped(caption)}</title><rect width="100%" height="100%" fill="#fff"/>${clip}`
    + `<text x="${FRAME.left}" y="15" font-size="13" font-weight="600" fill="#1a2130">${escaped(figure.title)}</text>`
    + `<text x="${FRAME.left}" y="28" font-size="10">${escaped(caption)}</text>`
    + (figure.empty ? `<text x="${WIDE / 2}" y="${HIGH / 2}" text-anchor="middle">${escaped(figure.empty)}</text>` : axes(figure, px, py) + `<g clip-path="url(#frame)">${inside}</g>`)
    + "</svg>";
}

/** Columns of a figure as comma-separated values, each number in full. */
export function figureCsv(figure, caption) {
  const rows = [`# ${figure.title}: ${caption}`, figure.columns.map(([name]) => name).join(",")];
  const count = figure.columns[0]?.[1].length ?? 0;
  for (let i = 0; i < count; i++) rows.push(figure.columns.map(([, values]) => (values[i] === null || Number.isNaN(values[i]) ? "" : values[i])).join(","));
  return `${rows.join("\n")}\n`;
}
