// Both maps as curves, with the path that this network takes on them.

const PATH_STEPS = 40;

export function lengthPicture(map, network, found, depth) {
  const path = [];
  for (let l = 0; l + 1 < depth.q.length && l < PATH_STEPS; l++) {
    if (Number.isFinite(depth.q[l + 1])) path.push([depth.q[l], depth.q[l + 1]]);
  }
  let top = Math.max(found.qStar.value || 0, depth.q[0], ...path.slice(0, 6).map((p) => p[1]));
  if (!(top > 0 && top < 1e12)) top = 1;
  top *= 1.25;
  const n = 121;
  const q = new Float64Array(n);
  const image = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    q[i] = top * i / (n - 1);
    image[i] = map.length(q[i]);
  }
  return { q, image, path };
}

// The map at q* (or at the last length), and the path that a pair takes on this very map.
export function correlationPicture(map, found, depth) {
  const known = depth.q.filter((v) => Number.isFinite(v) && v > 0);
  const q = found.qStar.value > 0 ? found.qStar.value : known.length ? known.at(-1) : 1;
  const next = map.length(q);
  const n = 101;
  const c = new Float64Array(n);
  const image = new Float64Array(n);
  const step = (gap) => gap === 0 && !map.noisy ? 0 : map.pair(q, gap).distance / next;
  for (let i = 0; i < n; i++) {
    c[i] = -1 + 2 * i / (n - 1);
    image[i] = 1 - step(1 - c[i]);
  }
  const path = [];
  let gap = depth.oneMinusC[0];
  for (let i = 0; i < PATH_STEPS && Number.isFinite(gap); i++) {
    const after = step(gap);
    path.push([1 - gap, 1 - after]);
    if (Math.abs(after - gap) < 1e-9) break;
    gap = after;
  }
  return { q, c, image, path };
}
