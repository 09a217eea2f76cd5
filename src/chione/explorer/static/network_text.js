// The networks of the page's modes in the grammar of chione's network files.

/** Whether a state is what `chione analyze` takes by its sigmas alone. */
export function isPlainMode(state) {
  return state.mode === "plain";
}

function dense(state) {
  const layer = { kind: "dense", sigma_w: state.sigma_w, sigma_b: state.sigma_b, out: state.width };
  if (state.weights !== "gaussian") layer.weights = state.weights;
  return layer;
}

// two inputs; of a transformer two tokens of one input
function inputOf(state) {
  const { width, q, c, tokens } = state;
  if (state.mode === "transformer") return { width, grid: [tokens], inputs: [[q]], positions: c };
  return { width, inputs: [[q, q * c], [q * c, q]] };
}

function repeated(times, layers) {
  return times > 0 ? [{ kind: "repeat", times, layers }] : [];
}

// attention at initialisation looks at all tokens alike
function attention(state) {
  return { kind: "attention", heads: 1, sigma_q: 0, sigma_k: 0, sigma_v: state.sigma_w, sigma_o: state.sigma_w };
}

/** A state as JSON types that chione.Network.from_dict reads. */
export function networkDescription(state) {
  const phi = { kind: "nonlinearity", activation: state.activation };
  const branch = (layers) => ({ kind: "residual", branch: layers, scale: state.alpha });
  const normed = branch([{ kind: "norm" }, dense(state), phi, dense(state)]);
  const blocks = {
    residual: () => repeated(state.depth, [branch([phi, dense(state)])]),
    prenorm: () => repeated(state.depth, [normed]),
    transformer: () => repeated(state.depth, [branch([{ kind: "norm" }, attention(state)]), normed]),
    dropout: () => [dense(state), ...repeated(state.depth - 1, [phi, { kind: "dropout", keep: Number((1 - state.dropout).toFixed(12)) }, dense(state)])],
  };
  return { input: inputOf(state), layers: blocks[state.mode]() };
}
