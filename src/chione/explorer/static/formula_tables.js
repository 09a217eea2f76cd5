// Tables of a typed formula, so that a slider moves as quickly as with an activation of the
// catalogue: moments as Chebyshev pieces in log q, the kernel as pieces in (log q, theta).
// Made in the worker; tabled_formula.js reads them.

import { chebyshevCoefficients, chebyshevNodes, fitPieces } from "./chebyshev_pieces.js";
import { ANGLE_COUNT, gapScale } from "./tabled_formula.js";
import { phiOf } from "./formula.js";
import { FormulaError, parseFormula } from "./formula_parser.js";
import { formulaOf, readActivation } from "./named_activation.js";
import { panelCoordinate } from "./panel_coordinate.js";
import { affordableReach, circleMeans, gapFromCircles, gapFromWeights, radialWeights } from "./polar_kernel.js";
import { gaussianRule, momentsByRule, quickMoments } from "./gaussian_rule.js";
import { waveGap, wavesOf } from "./wave_sums.js";

const MOMENT_TOLERANCE = 1e-12;
const KERNEL_TOLERANCE = 1e-10;
const WORK = 2e6; // panels on circles that are meant to do: some two seconds
const PLAIN_PARTS = 25; // of a formula: a longer one takes longer at each place
const MOST_WORK = 3e6; // beyond, pieces stay as they are and their error is stated
const ANGLES_PLAIN = 300; // at which circles are summed, as a rule
const ANGLES_KINKED = 110; // between kinks the tables end at shorter lengths, and fewer do
const FEW_KINKS_REACH = 10;
const ANGLES_STEEP = 330;
const WAVES_LOSE = 1e-12; // at most of the kernel in closed form
const SHORTEST_TOP = 0.25; // of the lengths that the tables reach
const STEEPEST_ANGLE = 4e-4;
const ROUNDED = 1e-4; // a tail below that, flat and no better than before, is rounding of phi
const KERNEL_SIGMAS = 8.5; // exp(-36) = 2e-16 lies beyond

function momentRow(rule, q) {
  const { m2, m4, d2, slope } = quickMoments(rule, q);
  return [Math.log(m2), Math.log(m4), rule.rough ? 0 : Math.log(d2), (slope * q) / m2];
}

// The sums of waves of a formula and the shortest length from which on they keep their digits.
function waveRule(text, [low, high]) {
  const terms = wavesOf(parseFormula(formulaOf(readActivation(text))).tree);
  if (terms === null || terms.every(({ rate }) => rate === 0)) return null;
  const keeps = (q) => [1e-8, 1e-3, 0.5, 1.3, 2].every((left) => {
    const { gap, error } = waveGap(terms, q, left);
    return error <= WAVES_LOSE * gap;
  });
  let from = high;
  while (from > low && keeps(from)) from /= 1.3;
  return from < high ? { terms, from: from * 1.3 } : null;
}

function kernelPieces(rule, coordinate, waves, low, high) {
  const jumps = rule.jumps.length > 0;
  const gapAt = (circles, theta, q) => (waves && q >= waves.from
    ? waveGap(waves.terms, q, 2 * Math.sin(theta / 2) ** 2).gap : gapFromCircles(circles, q));
  const ratio = (circles, theta, q, m2) => gapAt(circles, theta, q) / (m2 * gapScale(jumps, theta));
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
  const rows = still && !waves ? radialWeights(probes[0].circles, q) : null;
  const shape = (theta) => {
    const circles = circleMeans(rule, coordinate, theta);
    if (rows) return rows.map((row, i) => gapFromWeights(circles, row) / (m2[i] * gapScale(jumps, theta)));
    return q.map((value, i) => ratio(circles, theta, value, m2[i]));
  };
  const effort = { steep: coordinate.steep.size > 0, spent: () => coordinate.work > MOST_WORK * coordinate.pace };
  return { ...fitAngles(shape, q.length, effort), qEdges: edges, qCount: count, qError: Math.max(...inQ.error) };
}

// Ends of the pieces to begin with: beside kinks of infinite slope the kernel is no power of theta at
// 0 nor at pi, and pieces shrink towards both.
function firstAngles(steep) {
  const plain = [0, 0.12, 1.2, 2.6, Math.PI];
  if (!steep) return plain;
  const small = [];
  for (let theta = 0.12; theta > STEEPEST_ANGLE; theta /= 4) small.push(theta);
  return [0, ...small.reverse(), 1.2, Math.PI - 1.2, ...small.reverse().map((theta) => Math.PI - theta), Math.PI];
}

// Pieces of theta, halved until the last coefficients of all columns are small, or work is used up.
function fitAngles(shape, columns, { steep, spent }) {
  const angles = [0], rows = [], errors = [], waiting = [];
  const start = firstAngles(steep), first = start[1], last = start[start.length - 2];
  for (let k = start.length - 2; k >= 0; k--) waiting.push([start[k], start[k + 1], 0, Infinity]);
  while (waiting.length) {
    const [a, b, depth, above] = waiting.pop();
    const values = chebyshevNodes(a, b, ANGLE_COUNT).map(shape);
    const fits = [];
    let worst = 0, before = 0;
    for (let j = 0; j < columns; j++) {
      const column = values.map((row) => row[j]), c = chebyshevCoefficients(column);
      const largest = Math.max(...column.map(Math.abs)) || 1;
      // phi(u1) - phi(u2) keeps its digits down to rounding of phi: no piece mends that
      const noise = (8 * Number.EPSILON) / ((a + 0.002 * (b - a)) * Math.sqrt(largest));
      worst = Math.max(worst, (Math.abs(c[ANGLE_COUNT - 1]) + Math.abs(c[ANGLE_COUNT - 2])) / largest - noise);
      before = Math.max(before, (Math.abs(c[ANGLE_COUNT - 6]) + Math.abs(c[ANGLE_COUNT - 7])) / largest);
      fits.push(c);
    }
    const whole = steep && (b <= first || a >= last); // what no polynomial follows stays as it is
    const rounded = worst < ROUNDED && before < 5 * worst && worst > above / 4;
    if (worst > KERNEL_TOLERANCE && depth < 7 && !whole && !rounded && !spent()) {
      waiting.push([(a + b) / 2, b, depth + 1, worst], [a, (a + b) / 2, depth + 1, worst]);
      continue;
    }
    // beside kinks of infinite slope coefficients fall as a power only: all the rest is many times the last
    const rest = steep && worst > KERNEL_TOLERANCE ? ANGLE_COUNT * worst : worst;
    errors.push(whole ? Math.min(1, 30 * worst) : Math.max(rest, 0));
    angles.push(b);
    rows.push(fits);
  }
  return { angles: Float64Array.from(angles), fits: rows, errors };
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

// Whether values at a few points are those at their negatives, as Python judges it.
function isEven({ value }) {
  const near = (a, b) => Math.abs(a - b) <= 1e-12 * Math.abs(b), points = [0.1, 0.37, 0.8, 1.3, 2.1, 3.4];
  return points.every((h) => near(value(-h), value(h))) && points.some((h) => value(h) !== value(points[0]));
}

// Tables of what `text` describes; plain data that can be sent. Throws a FormulaError.
export function buildTables(text) {
  const rule = gaussianRule(phiOf(text));
  const coordinate = panelCoordinate(rule);
  const label = `The formula '${rule.phi.text}'`;
  const many = rule.kinks.filter((kink) => Math.abs(kink) < FEW_KINKS_REACH).length > 4;
  coordinate.pace = Math.min(1, PLAIN_PARTS / (rule.phi.parts ?? 1));
  coordinate.reach = affordableReach(rule, coordinate, (coordinate.pace * WORK) / (coordinate.steep.size ? ANGLES_STEEP : many ? ANGLES_KINKED : ANGLES_PLAIN));
  const waves = waveRule(text, rule.range), circles = (coordinate.reach / KERNEL_SIGMAS) ** 2;
  const closed = waves !== null && waves.from <= circles; // then circles serve short lengths only
  if (closed) coordinate.reach = Math.min(coordinate.reach, KERNEL_SIGMAS * Math.sqrt(waves.from));
  const top = closed ? rule.range[1] : Math.min(rule.range[1], circles);
  if (top < SHORTEST_TOP) throw new FormulaError(`${label} oscillates or breaks too quickly: its means can be tabled for lengths below ${Number(top.toPrecision(2))} only.`);
  const low = Math.log(rule.range[0]), high = Math.log(top);
  const moments = fitPieces((u) => momentRow(rule, Math.exp(u)), low, high, 4, MOMENT_TOLERANCE, Math.ceil((high - low) / 3));
  const kernel = kernelPieces(rule, coordinate, closed ? waves : null, low, high);
  // the sums compared with those on halved panels, along the range; and the rounding of a logarithm
  const steps = Array.from({ length: 13 }, (_, k) => low + ((high - low) * k) / 12);
  const sums = steps.map((u) => momentsByRule(rule, Math.exp(u)).error + 4e-14 * (1 + Math.max(...momentRow(rule, Math.exp(u)).map(Math.abs))));
  const fitted = Math.max(...moments.error);
  return {
    text: rule.phi.text,
    kinks: rule.kinks.slice(0, 64),
    jumps: rule.jumps.length > 0,
    rough: rule.rough,
    flat: rule.fine.slopes.every((slope) => slope === 0),
    even: isEven(rule.phi),
    ends: straightEnds(rule),
    range: [rule.range[0], top],
    moments,
    momentErrors: sums.map((error, k) => fitted + 2 * Math.max(error, sums[k - 1] ?? 0, sums[k + 1] ?? 0)),
    kernel: {
      angles: kernel.angles, qEdges: kernel.qEdges, qCount: kernel.qCount,
      coefficients: bothWays(kernel), errors: Float64Array.from(kernel.errors, (error) => error + kernel.qError + 1e-11),
    },
  };
}
