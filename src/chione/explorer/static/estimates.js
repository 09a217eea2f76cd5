// A number with its error, or the reason why there is none: {value, error, status}.

export const EPSILON = 2 ** -52;
export const LARGEST_LENGTH = 1e300; // beyond it lengths count as divergent

export function estimate(value, error, status = "ok") {
  return { value, error, status };
}

export function missing(status) {
  return { value: NaN, error: NaN, status };
}
