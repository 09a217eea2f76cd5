// Whether the network trains, in words: the rule of chione.theory.depth.trainability, by its limits.
//
// Plain layers have the rule for each optimiser (stiffness, contrast, forgotten depth scales, order);
// other modes the rule for a measured passage, which needs gradients and distances only.

import { decadesText, factorText, fixedText, powerText } from "./spoken_numbers.js";
import { squareSlopeBeside } from "./slope_beside.js";
import { verdictRule } from "./tables.js";

const OPTIMISERS = ["sgd", "momentum", "adam"];
const OPTIMISER_NAMES = { sgd: "plain gradient descent", momentum: "momentum", adam: "Adam" };
const TITLES = { yes: "Trains", doubtful: "May train", no: "Does not train" };
const LOG10 = Math.log(10);
const GOOD_SENTENCE = "Signals and gradients both pass through all layers.";

export function verdictOf(network, activation, map, found) {
  const rule = verdictRule();
  if (rule === null) return { kind: "none", title: "", problem: "", optimisers: {}, sentences: [] };
  const way = passageOf(network, activation, map, found);
  const answer = judge(way, rule, map.plain);
  const steep = activation.rough === true && !activation.jumps;
  const sentences = [phaseSentence(network, map, found, steep), answer.reason];
  if (found.message && !found.reached && found.status === "ok") sentences.push(found.message);
  return {
    kind: answer.answer,
    title: TITLES[answer.answer],
    problem: answer.problem,
    optimisers: answer.optimisers,
    sentences,
  };
}

// ---- the numbers of the rule -------------------------------------------------------------------

function farthest(values) {
  let best = 0;
  for (const v of values) {
    if (Number.isNaN(v)) return NaN;
    if (Math.abs(v) > Math.abs(best)) best = v;
  }
  return best;
}

function passageOf(network, activation, map, found) {
  const { depth } = found;
  const L = depth.q.length;
  // factors that back-propagation meets: it passes over jumps and follows the slope beside them
  const flat = activation.jumps === true && activation.flat === true;
  const beside = activation.jumps === true && !flat && map.plain;
  const unknown = (activation.jumps === true && !flat && !beside) || (activation.rough === true && !activation.jumps);
  const factor = (l) => (beside ? map.w2 * squareSlopeBeside(activation.name, depth.q[l]) : depth.chi[l]);
  const gradient = new Float64Array(L + 1);
  for (let l = L - 1; l >= 0; l--) {
    gradient[l] = gradient[l + 1] + (flat ? -Infinity : Math.log(factor(l)));
  }
  const lengths = Array.from(depth.q, (q) => Math.log(q));
  lengths.push(map.step ? Math.log(depth.q[L - 1]) : Math.log(map.length(depth.q[L - 1])));
  const difference = Math.log(depth.oneMinusC[L - 1] / (1 - network.c));
  const dead = depth.q.includes(0) || (depth.status === "ok" && lengths.slice(0, L).some(Number.isNaN));
  const own = map.normed ? gradient.map((g, l) => g + lengths[l] - lengths[L]) : gradient;
  const relative = gradient.map((g, l) => g + lengths[l] - lengths[L]);
  const way = {
    unknown,
    gradient: dead ? 0 : farthest(own),
    relative: dead ? 0 : Math.max(...relative),
    length: dead ? -Infinity : map.normed ? 0 : farthest(lengths.map((q) => q - lengths[0])),
    difference: dead ? NaN : difference,
    stiffness: NaN, contrast: NaN, forgotten: NaN, spread: NaN,
    layers: L,
    even: activation.even === true,
    pair: map.tokens === undefined ? "inputs" : "tokens", // of one input
  };
  if (map.plain && !dead) {
    const moved = tangentOf(network, map, depth, gradient);
    way.stiffness = moved.stiffness;
    way.contrast = moved.contrast;
    const xi = found.xiC.value;
    way.forgotten = found.phase === "chaotic" && xi > 0 ? L / xi : 0;
    const q = depth.q[L - 1];
    way.spread = (depth.high[L - 1] - q) / q;
  }
  return way;
}

// Logarithms of the squared gradient of an output, and of what differs of it between two inputs.
function tangentOf(network, map, depth, gradient) {
  const L = depth.q.length;
  const { w2, b2 } = map;
  const last = map.moments(depth.q[L - 1]).m2;
  const differs = Array.from(depth.q, (q, l) => q * depth.oneMinusC[l] / w2);
  const first = network.q * (1 - network.c);
  const step = L > 1 ? differs[L - 1] / differs[L - 2] : differs[0] / first;
  const next = Number.isFinite(step) ? differs[L - 1] * step : differs[L - 1];
  differs.push(Math.min(next, last));
  const all = [];
  const some = [];
  for (let l = 0; l <= L; l++) {
    const g = l < L ? gradient[l] - Math.log(w2) : 0;
    const p = l === 0 ? network.q : l < L ? (depth.q[l] - b2) / w2 : last;
    all.push(g + Math.log(network.width * Math.max(p, 0) + 1));
    some.push(g + Math.log(network.width * differs[l]));
  }
  return { stiffness: logSum(all), contrast: logSum(some) };
}

function logSum(logs) {
  let top = -Infinity;
  for (const x of logs) {
    if (Number.isNaN(x) || x === Infinity) return NaN;
    top = Math.max(top, x);
  }
  if (top === -Infinity) return top;
  let sum = 0;
  for (const x of logs) sum += Math.exp(x - top);
  return top + Math.log(sum);
}

// ---- the rule ----------------------------------------------------------------------------------

function told(answer, problem, reason, optimisers = {}) {
  return { answer, problem, reason, optimisers };
}

function judge(way, rule, plain) {
  if (way.unknown) {
    return told("doubtful", "none", "The mean square slope of the activation is infinite: the rule does not hold for it.");
  }
  const impossible = impossibleOf(way, rule);
  if (impossible !== null) return impossible;
  if (!plain || Number.isNaN(way.stiffness + way.contrast + way.forgotten)) {
    return asMeasured(way, rule);
  }
  const each = {};
  const answers = {};
  for (const name of OPTIMISERS) {
    each[name] = worstLimit(way, rule, name);
    answers[name] = each[name].excess > 1 ? "no" : each[name].excess < -1 ? "yes" : "doubtful";
  }
  const same = OPTIMISERS.every((name) => answers[name] === answers.adam);
  if (same) return spoken(each.adam, answers.adam, "", answers);
  let worst = each.sgd;
  for (const name of OPTIMISERS) if (each[name].excess > worst.excess) worst = each[name];
  return spoken(worst, "doubtful", dependsText(answers), answers);
}

function impossibleOf(way, rule) {
  const g = way.gradient;
  const m = way.length;
  const all = { sgd: "no", momentum: "no", adam: "no" };
  if (Number.isNaN(g)) {
    return told("no", "exploding signal", "The mean squares of a wide network are not finite.", all);
  }
  if (Math.abs(g) === Infinity) return told("no", "no gradient", "There is no gradient to follow.", all);
  if (!(g >= rule.vanished && g <= rule.exploded)) {
    const [flow, change] = g > 0 ? ["explode", "grows"] : ["vanish", "shrinks"];
    const text = `Gradients ${flow}: their mean square ${change} by ${decadesText(g)} decades, more than Adam makes up for in float32.`;
    return told("no", g > 0 ? "exploding gradient" : "vanishing gradient", text, all);
  }
  if (!(m >= rule.vanished && m <= rule.exploded)) {
    const [flow, change] = m > 0 ? ["explodes", "grows"] : ["vanishes", "shrinks"];
    const text = `The signal ${flow}: its mean square ${change} by ${decadesText(m)} decades, more than training in float32 can use.`;
    return told("no", m > 0 ? "exploding signal" : "vanishing signal", text, all);
  }
  return null;
}

function worstLimit(way, rule, name) {
  const adam = name === "adam";
  const root = Math.sqrt(way.layers);
  const excess = (table, value) => (value - table[name][0]) / table[name][1];
  const fades = way.gradient < -rule.careful;
  const steep = Math.max(way.relative, way.gradient) > rule.careful;
  const chaos = adam ? (way.forgotten > 0 ? way.relative : 0) : way.forgotten;
  const limits = [
    {
      excess: excess(rule.order, -way.difference * root),
      problem: fades ? "vanishing gradient" : "collapsed inputs",
      text: `inputs become alike, their squared distance shrinks by ${decadesText(way.difference)} decades over ${layersText(way.layers)}`,
    },
    {
      excess: excess(rule.forgotten, chaos),
      problem: "exploding gradient",
      text: `it is ${fixedText(way.forgotten, 1)} depth scales of chaos deep, after which similar inputs differ as much as others`,
    },
    {
      excess: excess(rule.stiff, way.stiffness + (adam ? 4 : 2) * Math.log(way.layers)),
      problem: steep ? "exploding gradient" : "exploding signal",
      text: `the squared gradient of an output is 10^${fixedText(way.stiffness / LOG10, 1)}, so that steps of any usual rate throw it about behind ${layersText(way.layers)}`,
    },
    {
      excess: excess(rule.faint, -way.contrast * root),
      problem: fades ? "vanishing gradient" : "vanishing signal",
      text: `what differs between inputs has a squared gradient of only 10^${fixedText(way.contrast / LOG10, 1)}, so that steps of any usual rate hardly move it`,
    },
    {
      excess: way.spread > rule.spread ? 0 : -Infinity,
      problem: "vanishing signal",
      text: `the mean square of the last layer spreads by ${fixedText(way.spread, 1)} times itself from network to network, so that most have far less than the mean`,
    },
    {
      excess: way.even && way.layers > rule.even_layers ? 0 : -Infinity,
      problem: "collapsed inputs",
      text: "an even activation does not tell an input from its negative, which trains at few layers only",
    },
  ];
  let worst = null;
  for (const one of limits) {
    if (!Number.isNaN(one.excess) && (worst === null || one.excess > worst.excess)) worst = one;
  }
  return worst;
}

function dependsText(answers) {
  const groups = [];
  const words = [["yes", "trains it", "train it"], ["doubtful", "may train it", "may train it"], ["no", "does not", "do not"]];
  for (const [word, one, more] of words) {
    const names = [...OPTIMISERS].reverse().filter((name) => answers[name] === word);
    if (names.length === 0) continue;
    const spelled = names.map((name) => OPTIMISER_NAMES[name]).join(" and ");
    groups.push(`${spelled} ${names.length === 1 ? one : more}`);
  }
  return capital(groups.join(", "));
}

function spoken(worst, answer, depends, answers) {
  if (answer === "yes") return told("yes", "none", GOOD_SENTENCE, answers);
  const text = depends ? `${depends}: ${worst.text}.` : `${capital(worst.text)}.`;
  return told(answer, worst.problem, text, answers);
}

function asMeasured(way, rule) {
  const { gradient: g, length: m, relative: s, difference: d } = way;
  if (s > rule.chaos) {
    return told("no", "exploding gradient", `Gradients explode: their mean square grows by ${decadesText(s)} decades relative to the signal (chaos), which no learning rate undoes.`);
  }
  if (d < rule.alike) return alike("no", way, rule);
  if (s > rule.careful) {
    return told("doubtful", "exploding gradient", `The mean square gradient grows by ${decadesText(s)} decades relative to the signal (chaos), so that training may fail.`);
  }
  if (d < -rule.careful) return alike("doubtful", way, rule);
  if (Math.abs(g) > rule.careful) {
    const change = g > 0 ? "grows" : "shrinks";
    return told("doubtful", `${g > 0 ? "exploding" : "vanishing"} gradient`, `The mean square gradient ${change} by ${decadesText(g)} decades, too much for plain gradient descent; Adam, which scales each gradient, may train it.`);
  }
  if (Math.abs(m) > rule.careful) {
    const change = m > 0 ? "grows" : "shrinks";
    return told("doubtful", `${m > 0 ? "exploding" : "vanishing"} signal`, `The mean square of the signal ${change} by ${decadesText(m)} decades, so that no one learning rate of plain gradient descent suits all layers; Adam may train it.`);
  }
  return told("yes", "none", GOOD_SENTENCE);
}

function alike(answer, { difference: d, gradient: g, pair }, rule) {
  const vanish = g < -rule.careful;
  const start = `${vanish ? `Gradients fade and ${pair}` : capital(pair)} become alike`;
  const end = answer === "no"
    ? "so that no optimiser finds the difference."
    : "too much for plain gradient descent; Adam may find the rest.";
  return told(answer, vanish ? "vanishing gradient" : "collapsed inputs", `${start}: their squared distance shrinks by ${decadesText(d)} decades, ${end}`);
}

// ---- words -------------------------------------------------------------------------------------

function phaseSentence(network, map, found, steep) {
  const L = found.depth.q.length;
  if (map.branched) return `${capital(map.step ? "transformer" : "residual")} stream: ${streamText(found.depth.log10Gradient[0], L, steep)}.`;
  const gradients = gradientText(found.depth.log10Gradient[0], found.depth.chi, L, found.phase, steep);
  if (found.continuum) return `Critical, every length stays: ${gradients}.`;
  if (found.status === "ok") {
    const where = found.reached ? "" : ", for small inputs only";
    return `${capital(found.phase)}${where}: ${gradients}.`;
  }
  return `${found.message} ${capital(gradients)}.`;
}

// From the first block to the last, as `chione.analyze` has it
function streamText(total, L, steep) {
  if (L === 1) return "one block, no gradient passes from block to block";
  const all = `from the first block to the last of ${L}`;
  if (Number.isNaN(total)) return `lengths leave the range of numbers within ${L} blocks`;
  if (total === Infinity) return infiniteText(steep);
  if (Math.abs(total) < 1e-9) return `gradients keep their size ${all}`;
  return `gradients ${total > 0 ? "grow" : "shrink"} ${factorText(10 ** (total / (L - 1)))} a block, ${powerText(total)} ${all}`;
}

function infiniteText(steep) {
  return `the ${steep ? "slope of the activation is infinite at a kink" : "activation jumps"}, so the mean square gradient is infinite`;
}

// Over all layers, the factor of the last one included, as it arrives from the read-out
function gradientText(log10First, chi, L, phase, steep) {
  const total = log10First + Math.log10(chi[L - 1]);
  if (Number.isNaN(total)) return `lengths leave the range of numbers within ${layersText(L)}`;
  if (total === Infinity) return infiniteText(steep);
  if (total === -Infinity) return `no gradient is left after ${layersText(L)}`;
  if (Math.abs(total) < 1e-9) return `gradients keep their size over ${layersText(L)}`;
  const verb = total > 0 ? "grow" : "shrink";
  if (phase === "critical") return `gradients ${verb} ${powerText(total)} over ${layersText(L)}`;
  return `gradients ${verb} ${factorText(10 ** (total / L))} a layer, ${powerText(total)} over ${layersText(L)}`;
}

function capital(text) {
  return text === "" ? text : text[0].toUpperCase() + text.slice(1);
}

function layersText(depth) {
  return `${depth} layer${depth > 1 ? "s" : ""}`;
}
