// Points worth a visit, and ways to break a network.

/** The sigmas of a preset, from the state and the recommended ones: {sigma_w, sigma_b}, or undefined. */
export const PRESETS = [
  { id: "small", label: "too small", words: "Weights of half the right size: gradients vanish.", at: (state, best) => best && { sigma_w: rounded(0.5 * best.sigma_w), sigma_b: best.sigma_b } },
  { id: "right", label: "just right", words: "The nearest point of the edge of chaos.", at: (state, best, nearest) => nearest ?? best },
  { id: "large", label: "too large", words: "Weights of twice the right size: gradients explode.", at: (state, best) => best && { sigma_w: rounded(2 * best.sigma_w), sigma_b: best.sigma_b } },
  { id: "torch", label: "PyTorch’s default", words: "torch.nn.Linear as it comes: weights and biases uniform within 1/√n.", at: (state) => torchDefault(state.width) },
  { id: "he", label: "He", words: "Variance 2/n, no biases: made for relu.", at: () => ({ sigma_w: 1.41421356, sigma_b: 0 }) },
  { id: "best", label: "recommended", words: "What chione recommends for this activation.", at: (state, best) => best },
];

function rounded(value) {
  return Number(value.toPrecision(6));
}

/** torch.nn.Linear's sigmas: both laws are uniform within 1/sqrt(n), of variance 1/(3 n). */
export function torchDefault(width) {
  return { sigma_w: rounded(Math.sqrt(1 / 3)), sigma_b: rounded(Math.sqrt(1 / (3 * width))) };
}

/** Each press of "break it" is the next of these: a change of the state and a sentence on it. */
export const BREAKAGES = [
  { change: (state, best) => ({ sigma_w: rounded(0.4 * (best?.sigma_w ?? 1)), depth: 100 }), words: "Weights too small: a hundred layers on, every input is the same." },
  { change: (state, best) => ({ sigma_w: Math.min(rounded(2.5 * (best?.sigma_w ?? 2)), 20), sigma_b: 0.05, depth: 100 }), words: "Weights too large: gradients explode, and near inputs part." },
  { change: (state, best) => ({ ...best, depth: 1000, width: 64 }), words: "The best initialisation, but 1000 layers of width 64: chance rules." },
  { change: (state, best) => ({ sigma_w: best?.sigma_w ?? 1.4, sigma_b: 3 }), words: "Biases drown the signal." },
  { change: () => ({ activation: "exp", sigma_w: 1.5, sigma_b: 0.1 }), words: "An activation that outgrows every scale: lengths have nowhere to settle." },
  { change: (state, best) => ({ ...torchDefault(state.width), depth: 200 }), words: "PyTorch’s default, 200 layers deep." },
];

/** The point of the critical line nearest to the state, in units of the view; undefined without a line. */
export function nearestCritical(line, state) {
  let best;
  let least = Infinity;
  for (let i = 0; i < (line?.sigma_w.length ?? 0); i++) {
    const far = (line.sigma_w[i] - state.sigma_w) ** 2 + (line.sigma_b[i] - state.sigma_b) ** 2;
    if (far < least) {
      least = far;
      best = { sigma_w: rounded(line.sigma_w[i]), sigma_b: rounded(line.sigma_b[i]) };
    }
  }
  return best;
}
