// The known name that is most like a mistyped one, as difflib in Python measures it.

// The share of letters in common.
function commonLetters(a, b) {
  let best = 0, endA = 0, endB = 0;
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j < b.length; j++) {
      let k = 0;
      while (i + k < a.length && j + k < b.length && a[i + k] === b[j + k]) k++;
      if (k > best) [best, endA, endB] = [k, i, j];
    }
  }
  if (!best) return 0;
  return best + commonLetters(a.slice(0, endA), b.slice(0, endB)) + commonLetters(a.slice(endA + best), b.slice(endB + best));
}

export function nearestName(name, known, least = 0.6) {
  const score = (other) => (2 * commonLetters(other, name)) / (other.length + name.length);
  const good = known.filter((other) => score(other) >= least);
  return good.sort((a, b) => score(b) - score(a) || (a < b ? 1 : -1))[0];
}
