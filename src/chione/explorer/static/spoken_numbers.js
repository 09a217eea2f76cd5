// Numbers in sentences, digit for digit as Python writes them (chione.diagnosis.numbers).

const MOST_PLACES = 100; // that toFixed can write: more than a halfway case has

// toFixed and toExponential round a halfway case up, Python rounds it to the even digit.
function halfToEven(short, long, kept) {
  const [digits, power = ""] = short.split(/(?=e)/);
  const rest = long.split("e")[0].slice(kept);
  const halfway = /^\.?50*$/.test(rest);
  const odd = (digits.charCodeAt(digits.length - 1) - 48) % 2 === 1;
  if (!halfway || !odd) return short;
  // rounded up to an odd digit: one less, which borrows nothing
  return digits.slice(0, -1) + String(Number(digits.at(-1)) - 1) + power;
}

/** As Python's `f"{x:.{places}f}"`, for |x| < 1e21. */
export function fixedText(x, places) {
  const long = x.toFixed(MOST_PLACES);
  const point = long.indexOf(".");
  return halfToEven(x.toFixed(places), long, places === 0 ? point : point + 1 + places);
}

/** As Python's `f"{x:.{places}e}"`. */
export function exponentText(x, places) {
  const long = x.toExponential(MOST_PLACES);
  const point = long.indexOf(".");
  const text = halfToEven(x.toExponential(places), long, places === 0 ? point : point + 1 + places);
  return text.replace(/e([+-])(\d)$/, (_, sign, digit) => `e${sign}0${digit}`);
}

/** A factor as people say it: 1.09x, 74x, 665x, 2.9e-04x. */
export function factorText(factor) {
  if (factor === 0) return "0x";
  if (!Number.isFinite(factor)) return Number.isNaN(factor) ? "nanx" : factor > 0 ? "infx" : "-infx";
  if (factor > 0.8 && factor < 1.25) {
    const distance = Math.abs(factor - 1);
    const places = distance < 5e-10 ? 2 : Math.max(2, -Math.floor(Math.log10(distance)));
    return `${fixedText(factor, places)}x`;
  }
  if (factor >= 0.01 && factor < 100) {
    const digits = factor > 1 && factor < 10 ? 3 : 2;
    return `${fixedText(factor, Math.max(0, digits - 1 - Math.floor(Math.log10(factor))))}x`;
  }
  if (factor >= 100 && factor < 1e4) return `${fixedText(factor, 0)}x`;
  return `${exponentText(factor, 1)}x`;
}

/** A factor given by its decimal logarithm, also where no number could hold it. */
export function powerText(log10) {
  if (Number.isNaN(log10)) return "unknown";
  if (Math.abs(log10) < 300) return factorText(10 ** log10);
  if (Math.abs(log10) === Infinity) return log10 > 0 ? "infinite" : "0x";
  return `1e${log10 > 0 ? "+" : ""}${fixedText(log10, 0)}x`;
}

/** The decades of a natural logarithm, without sign. */
export function decadesText(log) {
  const size = Math.abs(log) / Math.LN10;
  if (size === Infinity) return "all";
  return fixedText(size, size < 9.95 ? 1 : 0);
}
