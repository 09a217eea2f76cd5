// As much of a two-dimensional canvas context as the diagram's painter uses, writing SVG instead.

import { escaped } from "./drawing.js";

function places(...numbers) {
  return numbers.map((v) => Number(v.toFixed(2))).join(" ");
}

/** A context of a size; `text()` gives the document. `measure` is a real context, for the width of words. */
export function svgContext(width, height, measure, title) {
  const out = [];
  const open = [0];
  let path = "";
  let clips = 0;
  const anchors = { center: "middle", right: "end", left: "start" };
  const shifts = { middle: "0.35em", top: "0.8em", alphabetic: "0" };
  const words = (self, text, x, y, paint) => {
    const size = /(\d+)px/.exec(self.font)[1];
    const bold = self.font.startsWith("600") ? ' font-weight="600"' : "";
    out.push(`<text x="${places(x)}" y="${places(y)}" dy="${shifts[self.textBaseline]}" font-size="${size}"${bold} text-anchor="${anchors[self.textAlign]}" ${paint}>${escaped(text)}</text>`);
  };
  const group = (attributes) => {
    out.push(`<g ${attributes}>`);
    open[open.length - 1] += 1;
  };
  return {
    font: "11px", textAlign: "left", textBaseline: "alphabetic", fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, lineJoin: "round",
    clearRect() {},
    save() { open.push(0); },
    restore() { out.push("</g>".repeat(open.pop())); },
    beginPath() { path = ""; },
    moveTo(x, y) { path += `M${places(x, y)}`; },
    lineTo(x, y) { path += `L${places(x, y)}`; },
    closePath() { path += "Z"; },
    rect(x, y, w, h) { path += `M${places(x, y)}h${places(w)}v${places(h)}h${places(-w)}Z`; },
    arc(x, y, r) { path += `M${places(x - r, y)}a${places(r, r)} 0 1 0 ${places(2 * r)} 0a${places(r, r)} 0 1 0 ${places(-2 * r)} 0Z`; },
    clip() {
      clips += 1;
      out.push(`<clipPath id="part${clips}"><path d="${path}"/></clipPath>`);
      group(`clip-path="url(#part${clips})"`);
    },
    translate(x, y) { group(`transform="translate(${places(x, y)})"`); },
    rotate(angle) { group(`transform="rotate(${places((angle * 180) / Math.PI)})"`); },
    fill() { out.push(`<path d="${path}" fill="${this.fillStyle}"/>`); },
    stroke() { if (path) out.push(`<path d="${path}" fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" stroke-linejoin="round"/>`); },
    fillRect(x, y, w, h) { out.push(`<rect x="${places(x)}" y="${places(y)}" width="${places(w)}" height="${places(h)}" fill="${this.fillStyle}"/>`); },
    fillText(text, x, y) { words(this, text, x, y, `fill="${this.fillStyle}"`); },
    strokeText(text, x, y) { words(this, text, x, y, `fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}"`); },
    measureText(text) {
      measure.font = this.font;
      return measure.measureText(text);
    },
    drawImage(image, x, y, w, h) {
      out.push(`<image x="${places(x)}" y="${places(y)}" width="${places(w)}" height="${places(h)}" preserveAspectRatio="none" href="${image.toDataURL("image/png")}"/>`);
    },
    text() {
      return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif">`
        + `<title>${escaped(title)}</title><rect width="100%" height="100%" fill="#fff"/>${out.join("")}</svg>`;
    },
  };
}
