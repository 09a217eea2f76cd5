// Both maps as curves, with the path that this network takes on them.

const PATH_STEPS = 40;

// Of tokens, whose lengths depend on their correlation, the map at that of the last layer and the path on it.
export function lengthPicture(map, network, found, depth) {
  const gap = depth.oneMinusC.at(-1);
  const next = map.lengthAt ? (x) => map.lengthAt(x, gap) : map.length;
  const path = [];
  for (let l = 0, x = depth.q[0]; l + 1 < depth.q.length && l < PATH_STEPS; l++) {
    const after = map.lengthAt ? next(x) : depth.q[l + 1];
    if (Number.isFinite(after)) path.push([x, after]);
    x = after;
  }
  let top = Math.max(found.qStar.value || 0, depth.q[0], ...path.slice(0, 6).map((p) => p[1]));
  if (!(top > 0 && top < 1e12)) top = 1;
  top *= 1.25;
  const n = 121;
  const q = new Float64Array(n);
  const image = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    q[i] = top * i / (n - 1);
    image[i] = next(q[i]);
  }
  return { q, image, path };
}

// The map at q* (or at the last length), and the path that a pair takes on this very map.
export function correlationPicture(map, found, depth) {
  const known = depth.q.filter((v) => Number.isFinite(v) && v > 0);
  const q = found.qStar.value > 0 ? found.qStar.value : known.length ? known.at(-1) : 1;
  const next = map.length(q);
  const least = map.leastCorrelation ?? -1;
  const n = 101;
  const c = new Float64Array(n);
  const image = new Float64Array(n);
  const step = (gap) => {
    if (gap === 0 && !map.noisy) return 0;
    return map.step ? map.step(q, gap).gap : map.pair(q, gap).distance / next;
  };
  for (let i = 0; i < n; i++) {
    c[i] = least + (1 - least) * i / (n - 1);
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
