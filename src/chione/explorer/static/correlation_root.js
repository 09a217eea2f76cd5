// Where a pair keeps its correlation: the root of average(1 - c) = 1 with
//
// average = (1 - c') / (1 - c), which falls from the slope at c = 1 as the inputs part.

import { EPSILON, estimate } from "./estimates.js";

// average(gap) gives {factor, slope}: slope is that of the correlation map. `noise` is the error of
// a factor, `start` a guess of 1 - c.
export function correlationRoot(average, noise, start) {
  const last = average(1);
  if (last.factor - 1 >= -noise) {
    return {
      c: estimate(0, noise / Math.max(1 - last.slope, EPSILON)),
      gap: estimate(1, noise / Math.max(1 - last.slope, EPSILON)),
      slope: estimate(last.slope, noise),
    };
  }
  let a = 0;
  let b = 1;
  let gap = start;
  let found = average(gap);
  for (let step = 0; step < 80; step++) {
    const f = found.factor - 1;
    if (f > 0) a = gap;
    else b = gap;
    let next = gap - f * gap / (found.slope - found.factor);
    if (!(next > a && next < b)) next = a > 0 ? Math.sqrt(a * b) : 0.01 * b;
    const moved = Math.abs(next - gap);
    gap = next;
    found = average(gap);
    if (moved <= 4 * EPSILON * gap || b - a <= 2 * EPSILON * b) break;
  }
  const size = noise * gap / Math.max(1 - found.slope, EPSILON);
  return {
    c: estimate(1 - gap, size + EPSILON),
    gap: estimate(gap, size + 4 * EPSILON * gap),
    slope: estimate(found.slope, noise * Math.max(1, Math.abs(found.slope)) * 4),
  };
}
