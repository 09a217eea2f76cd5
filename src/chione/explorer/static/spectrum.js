// Eigenvalues lambda of J J^T for the input-output Jacobian J of L dense layers at infinite width
// (Pennington, Schoenholz, Ganguli 2018), in the form that is explicit in the argument w of M:
//
//   orthogonal  log z = L log(sigma_w^2 w) + (L - 1) (log M - log P)
//   Gaussian    log z = L log(sigma_w^2 w) + (L - 1) log M + log P
//   lambda rho(lambda) = -Im P / pi,  1 - cdf = Im U / pi,
//   U = L E log(w - t) + (L - 1) log M  [+ L M for Gaussian weights]
// on the curve Im log z = 0 of the upper half plane, along which lambda grows with |w|.

import { phiOf } from "./formula.js";
import { jumpsOf } from "./gaussian_rule.js";
import { panelNodes } from "./panels.js";
import { lawSums, slopeLaw } from "./slope_law.js";
import { normalCdf } from "./special_functions.js";

const NOTHING_BELOW = 1e-6; // mass under the lowest point that is drawn
const NOTHING_ABOVE = 1e-7; // the same above the highest, where the law has no end
const LONGEST_GAP = 0.012; // of the cdf between neighbours
const MOST_POINTS = 260;
const ANGLE_TRIES = 80;
const SMALLEST_ANGLE = 1e-12; // over the values of t, where sums keep no digits of anything less
const PANELS_LEAVE = 1e-10; // of density and cdf: panels to 1e-12 and 9 standard deviations leave up to half of it

const over = ([a, b], [c, d]) => { const n = c * c + d * d; return [(a * c + b * d) / n, (b * c - a * d) / n]; };
const product = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
// principal logarithm in the closed lower half plane, noise included
const lowerLog = ([a, b]) => [Math.log(Math.hypot(a, b)), -Math.abs(Math.atan2(b, a))];

// log z, its derivative S by log w, and the sums, at log |w| and the angle of w.
function masterAt(equation, logR, theta, care, angles) {
  const { law, logGain, depth, gaussian } = equation, r = Math.exp(logR);
  const sums = lawSums(law, r * Math.cos(theta), r * Math.sin(theta), {}, care, angles);
  const { m, p, q } = sums, logM = lowerLog(m), logP = lowerLog(p);
  let z, s;
  if (gaussian) {
    z = [depth * (logGain + logR) + (depth - 1) * logM[0] + logP[0], depth * theta + (depth - 1) * logM[1] + logP[1]];
    const [a, b] = [over(q, m), over(q, p)];
    s = [depth + (depth - 1) * a[0] + b[0], (depth - 1) * a[1] + b[1]];
  } else {
    let ratio = [logM[0] - logP[0], logM[1] - logP[1]];
    if (Math.hypot(...p) > 2) {
      // M / P = 1 - 1 / P: of a narrow bulk both are large, and their logarithms rough
      const [x, y] = over([-1, 0], p);
      ratio = [0.5 * Math.log1p(2 * x + x * x + y * y), Math.atan2(y, 1 + x)];
    }
    z = [depth * (logGain + logR) + (depth - 1) * ratio[0], depth * theta + (depth - 1) * ratio[1]];
    const a = over(q, product(m, p));
    s = [depth + (depth - 1) * a[0], (depth - 1) * a[1]];
  }
  return { ...sums, z, s, logM };
}

// The angle in (0, pi) with Im log z = 0 at a radius, by Newton inside a bracket; NaN if none.
function angleAt(equation, logR, start) {
  // a first guess that is too small would be lost in the rounding of the sums
  let low = 0, high = Math.PI, theta = Math.max(start, 1e-3);
  const outside = Math.exp(logR) > equation.law.top;
  for (let k = 0; k < ANGLE_TRIES; k++) {
    const { z, s } = masterAt(equation, logR, theta, 0.5, false), g = z[1];
    if (g < 0) low = theta;
    else high = theta;
    let newton = theta - g / s[0];
    // off the support the axis is a root itself: Newton in theta^2 for g / theta
    const square = 1 - (2 * g) / (theta * s[0] - g);
    if (outside && (g > 0 || theta < 0.5) && square > 0 && square < 9) newton = theta * Math.sqrt(square);
    const inside = newton > low && newton < high;
    const small = Math.abs(newton - theta) <= 1e-12 * Math.min(theta, Math.PI - theta);
    if ((small && s[0] > 0) || (k > 12 && Math.abs(g) <= 2e-15 * equation.depth)) return inside ? newton : theta;
    const middle = high > 8 * low ? (low > 0 ? Math.sqrt(low * high) : high / 8) : (low + high) / 2;
    theta = inside ? newton : middle;
    if (theta < (outside ? 1e-100 : SMALLEST_ANGLE)) return NaN;
    if (high - low <= 4e-16 * high) return theta;
  }
  return low > 0 ? theta : NaN;
}

// One point of the curve, or null where the radius has none.
function pointAt(equation, logR, start) {
  const theta = angleAt(equation, logR, start);
  if (!(theta > 0)) return null;
  const at = masterAt(equation, logR, theta, 0.5, true);
  const { depth, gaussian } = equation;
  const above = (sums) => (depth * sums.angle + (depth - 1) * sums.logM[1] + (gaussian ? depth * sums.m[1] : 0)) / Math.PI;
  // the same point with all panels halved once more where w is near, for the error
  const fine = masterAt(equation, logR, theta, 1.2, true);
  const moved = Math.hypot(at.z[0] - fine.z[0], fine.z[1]) + 1e-15 * depth * (1 + Math.abs(logR));
  const steep = Math.hypot(...over(fine.q, fine.s)) / Math.PI;
  const density = Math.max(0, -fine.p[1] / Math.PI);
  return {
    logR, theta, density,
    logLambda: fine.z[0],
    cdf: Math.min(1, Math.max(0, 1 - above(fine))),
    error: Math.hypot(at.p[0] - fine.p[0], at.p[1] - fine.p[1]) / Math.PI + steep * moved + PANELS_LEAVE * (0.25 + density),
    cdfError: Math.abs(above(at) - above(fine)) + density * moved + PANELS_LEAVE,
  };
}

// log |w| of the upper edge: the last stationary point of log z on the real axis beyond the law.
function upperEdge(equation) {
  const { law } = equation, slopeAt = (u) => masterAt(equation, Math.log(law.hull) + Math.log1p(Math.exp(u)), 0, 0.5, false).s[0];
  let high = Math.log(1e4 * equation.depth), low = high;
  while (low > -30 && slopeAt(low) > 0) low -= 0.5;
  if (low <= -30) return { logR: Math.log(law.hull), soft: false };
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (slopeAt(middle) > 0) high = middle;
    else low = middle;
  }
  return { logR: Math.log(law.hull) + Math.log1p(Math.exp(high)), soft: true };
}

// Points from the upper edge downwards, halved where the cdf or log lambda makes a long step.
function curveOf(equation, zeroMass) {
  const edge = upperEdge(equation), points = new Map();
  let start = 0.5;
  const add = (logR) => {
    const point = pointAt(equation, logR, start);
    if (point && point.cdf < 1 + 1e-9) start = Math.min(point.theta, 3);
    points.set(logR, point);
    return point;
  };
  let lowest = Infinity;
  for (let s = 1e-7; s < 700; s *= 1.6) {
    const point = add(edge.logR - s);
    if (point) lowest = Math.min(lowest, point.cdf - zeroMass);
    if (lowest < NOTHING_BELOW) break;
  }
  const good = (p) => p !== null;
  for (let round = 0; round < 14 && points.size < MOST_POINTS; round++) {
    const radii = [...points.keys()].sort((a, b) => a - b);
    const found = radii.map((r) => points.get(r)).filter(good);
    if (found.length < 2) break;
    const span = found[found.length - 1].logLambda - found[0].logLambda;
    const peak = Math.max(...found.map((p) => p.density));
    for (let k = 0; k + 1 < radii.length && points.size < MOST_POINTS; k++) {
      const a = points.get(radii[k]), b = points.get(radii[k + 1]);
      const edgeHere = good(a) !== good(b);
      const far = good(a) && good(b) && (Math.abs(a.cdf - b.cdf) > LONGEST_GAP || Math.abs(a.density - b.density) > 0.06 * peak ||
        (Math.abs(a.logLambda - b.logLambda) > 0.05 * span && Math.abs(a.cdf - b.cdf) > 2e-5));
      if (edgeHere || far) {
        start = (a ?? b).theta;
        add((radii[k] + radii[k + 1]) / 2);
      }
    }
  }
  const found = [];
  // from the top down; below the lowest edge roots are rounding, and log lambda no longer falls
  for (const point of [...points.values()].filter(good).sort((a, b) => b.logR - a.logR)) {
    const above = found[0];
    if (equation.law.open && point.cdf > 1 - NOTHING_ABOVE) continue;
    if (above && (point.logLambda >= above.logLambda || above.cdf <= zeroMass + 1e-13)) break;
    found.unshift(point);
  }
  if (edge.soft && found.length && !equation.law.open) {
    const top = masterAt(equation, edge.logR, 0, 0.5, false);
    // the density leaves the edge as a root, so rounding of its place shows as the root of that
    const peak = Math.max(...found.map((p) => p.density));
    const error = 4 * peak * Math.sqrt(4e-14 * equation.depth * (1 + Math.abs(edge.logR)));
    found.push({ logLambda: top.z[0], density: 0, cdf: 1, error, cdfError: PANELS_LEAVE });
  }
  return found;
}

// Point masses: at zero that of phi' = 0; with orthogonal weights 1 - L (1 - p) at (sigma_w^2 t)^L.
function atomsOf({ law, logGain, depth, gaussian }) {
  const out = [];
  for (const { t, p } of law.atoms) {
    const mass = t === 0 ? p : gaussian ? 0 : 1 - depth * (1 - p);
    if (mass > 1e-12) out.push({ at: t === 0 ? 0 : Math.exp(depth * (logGain + Math.log(t))), logAt: t === 0 ? -Infinity : depth * (logGain + Math.log(t)), mass: Math.min(1, mass) });
  }
  return out;
}

// Where t turns between neighbouring nodes, by the golden section.
function turningPoints(t, nodes) {
  const ratio = (Math.sqrt(5) - 1) / 2, found = [];
  for (let k = 1; k + 1 < nodes.length; k++) {
    const [before, here, after] = [nodes[k - 1], nodes[k], nodes[k + 1]].map(t);
    const sign = here > before && here > after ? 1 : here < before && here < after ? -1 : 0;
    if (sign === 0) continue;
    let [a, b] = [nodes[k - 1], nodes[k + 1]];
    for (let step = 0; step < 60; step++) {
      const left = b - ratio * (b - a), right = a + ratio * (b - a);
      if (sign * (t(left) - t(right)) > 0) b = right;
      else a = left;
    }
    found.push((a + b) / 2);
  }
  return found;
}

// One orthogonal layer: lambda = sigma_w^2 t, so the law is that of t itself, read along h.
function oneLayer({ law, logGain }) {
  const { phi, q } = law, s = Math.sqrt(q), t = (h) => phi.slope(h) ** 2;
  // a little inside the panels, at whose ends the slope may jump
  const inward = ({ a, b }) => [a + 1e-12 * (b - a), ...panelNodes(a, b), b - 1e-12 * (b - a)];
  const nodes = law.panels.flatMap(inward).sort((a, b) => a - b);
  const marks = [...nodes, ...turningPoints(t, nodes)].sort((a, b) => a - b);
  const seen = marks.map(t), out = [];
  const levels = [];
  for (let z = -3.7; z <= 3.7; z += 0.05) levels.push(t(z * s + 1e-3 * s));
  for (const level of [...new Set(levels)].sort((a, b) => a - b)) {
    if (!(level > 0) || law.atoms.some((atom) => atom.t === level)) continue;
    let density = 0, below = law.atoms.reduce((sum, atom) => sum + (atom.t <= level ? atom.p : 0), 0);
    let error = 0;
    for (let k = 0; k + 1 < marks.length; k++) {
      let [a, b] = [marks[k], marks[k + 1]];
      const [low, high] = [seen[k] <= level, seen[k + 1] <= level];
      const mass = normalCdf(b / s) - normalCdf(a / s);
      if (law.panels.every((panel) => a < panel.a || b > panel.b)) continue; // an atom's stretch
      if (low && high) below += mass;
      if (low === high) continue;
      for (let step = 0; step < 60; step++) {
        const middle = (a + b) / 2;
        if (t(middle) <= level === low) a = middle;
        else b = middle;
      }
      below += low ? normalCdf(a / s) - normalCdf(marks[k] / s) : normalCdf(marks[k + 1] / s) - normalCdf(a / s);
      const step = Math.min(1e-3 * s, ...law.kinks.map((kink) => Math.abs(a - kink) / 3)), around = [-2, -1, 1, 2].map((m) => t(a + m * step));
      const slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step);
      const rough = (around[2] - around[1]) / (2 * step);
      const part = (Math.exp((-a * a) / (2 * q)) / Math.sqrt(2 * Math.PI * q) / Math.abs(slope)) * level;
      density += part;
      error += part * (Math.abs((slope - rough) / slope) + (4e-16 * level) / Math.abs(step * slope)) + 1e-14;
    }
    if (Number.isFinite(density)) out.push({ logLambda: logGain + Math.log(level), density, cdf: below, error, cdfError: 1e-9 });
  }
  return out;
}

const noSpectrum = (status) => ({ logLambda: [], density: [], cdf: [], error: [], cdfError: [], atoms: [], status });

// The spectrum at the fixed point `qStar` of the lengths; `density` is that of log lambda.
export function jacobianSpectrum({ activation, sigma_w, depth, weights, qStar }) {
  const phi = phiOf(activation);
  if (!(qStar > 0 && qStar < 1e100)) return noSpectrum(qStar === 0 ? "Lengths shrink to zero, where the network is linear: no spectrum is drawn." : "Lengths have no fixed point here, so there is no spectrum.");
  if (!(sigma_w > 0)) return noSpectrum("At sigma_w = 0 the Jacobian is zero.");
  const [jump] = jumpsOf(phi, phi.kinks());
  if (jump) return noSpectrum(`The activation jumps at ${jump.at}, where its slope is infinite: there is no spectrum.`);
  const law = slopeLaw(phi, qStar);
  if (law.status !== "ok") return noSpectrum(law.status);
  if (!(law.top > 0)) return noSpectrum("The activation is flat almost everywhere, so its Jacobian is zero.");
  const equation = { law, logGain: 2 * Math.log(sigma_w), depth, gaussian: weights !== "orthogonal" };
  const atoms = atomsOf(equation);
  const zeroMass = atoms.filter(({ at }) => at === 0).reduce((sum, { mass }) => sum + mass, 0);
  const alone = atoms.reduce((sum, { mass }) => sum + mass, 0) > 1 - 1e-10;
  const points = alone ? [] : depth === 1 && !equation.gaussian ? oneLayer(equation) : curveOf(equation, zeroMass);
  return {
    logLambda: points.map((p) => p.logLambda),
    density: points.map((p) => p.density),
    cdf: points.map((p) => p.cdf),
    error: points.map((p) => p.error),
    cdfError: points.map((p) => p.cdfError),
    atoms,
    chi: sigma_w * sigma_w * law.mean,
    status: "ok",
  };
}
