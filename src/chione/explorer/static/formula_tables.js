// Tables of a typed formula, so that a slider moves as quickly as with an activation of the
// catalogue: moments as Chebyshev pieces in log q, the kernel as pieces in (log q, theta).
// Made in the worker; tabled_formula.js reads them.

import { chebyshevCoefficients, chebyshevNodes, fitPieces } from "./chebyshev_pieces.js";
import { ANGLE_COUNT, gapScale } from "./tabled_formula.js";
import { phiOf } from "./formula.js";
import { FormulaError } from "./formula_parser.js";
import { circleMeans, gapFromCircles, gapFromWeights, panelCoordinate, radialWeights } from "./polar_kernel.js";
import { gaussianRule, momentsByRule, quickMoments } from "./gaussian_rule.js";

const MOMENT_TOLERANCE = 1e-12;
const KERNEL_TOLERANCE = 1e-10;
const MOST_WORK = 6e6; // panels on circles: some eight seconds
const KERNEL_SIGMAS = 8.5; // exp(-36) = 2e-16 lies beyond

function momentRow(rule, q) {
  const { m2, m4, d2, slope } = quickMoments(rule, q);
  return [Math.log(m2), Math.log(m4), rule.rough ? 0 : Math.log(d2), (slope * q) / m2];
}

function kernelPieces(rule, coordinate, low, high) {
  const jumps = rule.jumps.length > 0;
  const ratio = (circles, theta, q, m2) => gapFromCircles(circles, q) / (m2 * gapScale(jumps, theta));
  // pieces of log q from a few angles, then all angles on their nodes
  const probes = [0.01, 0.4, 1.5, 2.6].map((theta) => ({ theta, circles: circleMeans(rule, coordinate, theta) }));
  const columns = (u) => {
    const q = Math.exp(u), { m2 } = quickMoments(rule, q);
    return probes.map(({ theta, circles }) => ratio(circles, theta, q, m2));
  };
  const first = Math.max(2, Math.ceil((high - low) / 4));
  const inQ = fitPieces(columns, low, high, probes.length, KERNEL_TOLERANCE, first, true);
  const edges = inQ.edges, count = inQ.count;
  const q = [];
  for (let k = 0; k + 1 < edges.length; k++) q.push(...chebyshevNodes(edges[k], edges[k + 1], count).map(Math.exp));
  const m2 = q.map((value) => quickMoments(rule, value).m2);
  const still = rule.kinks.every((k) => k === 0); // then the radii are the same for all angles
  const rows = still ? radialWeights(probes[0].circles, q) : null;
  const shape = (theta) => {
    if (coordinate.work > MOST_WORK) {
      throw new FormulaError(`The formula '${rule.phi.text}' oscillates or breaks too quickly: the kernel of two inputs would take too long.`);
    }
    const circles = circleMeans(rule, coordinate, theta);
    if (rows) return rows.map((row, i) => gapFromWeights(circles, row) / (m2[i] * gapScale(jumps, theta)));
    return q.map((value, i) => ratio(circles, theta, value, m2[i]));
  };
  return { ...fitAngles(shape, q.length), qEdges: edges, qCount: count, qError: Math.max(...inQ.error) };
}

// Pieces of theta, halved until the last coefficients of all columns are small.
function fitAngles(shape, columns) {
  const angles = [0], rows = [], waiting = [];
  const start = [0, 0.12, 1.2, 2.6, Math.PI];
  for (let k = start.length - 2; k >= 0; k--) waiting.push([start[k], start[k + 1], 0]);
  let error = 0;
  while (waiting.length) {
    const [a, b, depth] = waiting.pop();
    const values = chebyshevNodes(a, b, ANGLE_COUNT).map(shape);
    const fits = [];
    let worst = 0;
    for (let j = 0; j < columns; j++) {
      const column = values.map((row) => row[j]), c = chebyshevCoefficients(column);
      const largest = Math.max(...column.map(Math.abs)) || 1;
      // phi(u1) - phi(u2) keeps its digits down to rounding of phi: no piece mends that
      const noise = (8 * Number.EPSILON) / ((a + 0.002 * (b - a)) * Math.sqrt(largest));
      worst = Math.max(worst, (Math.abs(c[ANGLE_COUNT - 1]) + Math.abs(c[ANGLE_COUNT - 2])) / largest - noise);
      fits.push(c);
    }
    if (worst > KERNEL_TOLERANCE && depth < 7) {
      waiting.push([(a + b) / 2, b, depth + 1], [a, (a + b) / 2, depth + 1]);
      continue;
    }
    error = Math.max(error, worst);
    angles.push(b);
    rows.push(fits);
  }
  return { angles: Float64Array.from(angles), fits: rows, error };
}

// From values at the nodes of log q to coefficients in both directions, flat.
function bothWays({ fits, qEdges, qCount }) {
  const pieces = qEdges.length - 1, flat = new Float64Array(fits.length * pieces * qCount * ANGLE_COUNT);
  let at = 0;
  for (let k = 0; k < pieces; k++) {
    for (const columns of fits) {
      for (let m = 0; m < ANGLE_COUNT; m++) {
        const alongQ = Array.from({ length: qCount }, (_, i) => columns[k * qCount + i][m]);
        flat.set(chebyshevCoefficients(alongQ), at);
        at += qCount;
      }
    }
  }
  return flat;
}

// Slopes of phi towards both sides where it ends in straight lines, as beyond all tables; or null.
function straightEnds({ phi, reach }) {
  const ends = [1, -1].map((side) => [phi.slope(side * reach), phi.slope((side * reach) / 2)]);
  const steepest = Math.max(...ends.map(([far]) => Math.abs(far)));
  const still = ends.every(([far, near]) => Math.abs(far - near) <= 1e-6 * steepest);
  return steepest > 1e-6 && still ? ends.map(([far]) => far) : null;
}

// Tables of what `text` describes; plain data that can be sent. Throws a FormulaError.
export function buildTables(text) {
  const rule = gaussianRule(phiOf(text));
  const coordinate = panelCoordinate(rule);
  const label = `The formula '${rule.phi.text}'`;
  const top = Math.min(rule.range[1], (coordinate.reach / KERNEL_SIGMAS) ** 2);
  if (top < 0.05) throw new FormulaError(`${label} oscillates too quickly: its means can be tabled for lengths below ${Number(top.toPrecision(2))} only.`);
  const low = Math.log(rule.range[0]), high = Math.log(top);
  const moments = fitPieces((u) => momentRow(rule, Math.exp(u)), low, high, 4, MOMENT_TOLERANCE, Math.ceil((high - low) / 3));
  const kernel = kernelPieces(rule, coordinate, low, high);
  // the sums compared with those on halved panels, along the range; and the rounding of a logarithm
  const steps = Array.from({ length: 13 }, (_, k) => low + ((high - low) * k) / 12);
  const sums = steps.map((u) => momentsByRule(rule, Math.exp(u)).error + 4e-14 * (1 + Math.max(...momentRow(rule, Math.exp(u)).map(Math.abs))));
  const fitted = Math.max(...moments.error);
  return {
    text: rule.phi.text,
    kinks: rule.kinks.slice(0, 64),
    jumps: rule.jumps.length > 0,
    rough: rule.rough,
    ends: straightEnds(rule),
    range: [rule.range[0], top],
    moments,
    momentErrors: sums.map((error, k) => fitted + 2 * Math.max(error, sums[k - 1] ?? 0, sums[k + 1] ?? 0)),
    kernel: {
      angles: kernel.angles, qEdges: kernel.qEdges, qCount: kernel.qCount,
      coefficients: bothWays(kernel), error: kernel.error + kernel.qError + 1e-11,
    },
  };
}
