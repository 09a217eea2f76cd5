// The networks of the page's modes in the grammar of chione's network files.

/** Whether a state is what `chione analyze` takes by its sigmas alone. */
export function isPlainMode(state) {
  return state.mode === "plain" && state.dropout === 0;
}

function dense(state) {
  const layer = { kind: "dense", sigma_w: state.sigma_w, sigma_b: state.sigma_b, out: state.width };
  if (state.weights !== "gaussian") layer.weights = state.weights;
  return layer;
}

function inputOf(state) {
  const cross = state.q * state.c;
  return { width: state.width, inputs: [[state.q, cross], [cross, state.q]] };
}

function blockLayers(state) {
  const phi = { kind: "nonlinearity", activation: state.activation };
  if (state.mode === "plain") return [dense(state), phi, { kind: "dropout", keep: Number((1 - state.dropout).toFixed(12)) }];
  const branch = { residual: [phi, dense(state)], prenorm: [{ kind: "norm" }, dense(state), phi, dense(state)] }[state.mode] ?? [phi, dense(state)];
  return [{ kind: "residual", branch, scale: state.alpha }];
}

/** A state as JSON types that chione.Network.from_dict reads. */
export function networkDescription(state) {
  return { input: inputOf(state), layers: [{ kind: "repeat", times: state.depth, layers: blockLayers(state) }] };
}
