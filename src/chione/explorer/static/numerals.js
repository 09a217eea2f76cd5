// Numbers as people read them: 1.25, 665, 3.1×10⁻⁸, and the same with an error.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

export function raised(power) {
  return String(power).split("").map((mark) => RAISED[mark]).join("");
}

/** `value` with `digits` significant digits. */
export function numeral(value, digits = 4) {
  if (value === undefined || value === null || Number.isNaN(value)) return "none";
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) {
    const plain = Number(value.toPrecision(digits));
    return signed(String(plain));
  }
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  return `${signed(String(Number(mantissa)))}×10${raised(Number(power))}`;
}

function signed(text) {
  return text.replace("-", "−");
}

/** `{value, error, status}` or a plain number, with its error where one is known. */
export function numeralWithError(quantity, digits = 6) {
  const { value, error } = typeof quantity === "object" && quantity !== null ? quantity : { value: quantity };
  const text = numeral(value, digits);
  if (!Number.isFinite(value) || error === undefined || !Number.isFinite(error)) return text;
  return error === 0 ? `${text}, exact` : `${text} ± ${numeral(error, 1)}`;
}

/** A number as code is written: the shortest text that reads back as the same number. */
export function codeNumeral(value) {
  return String(value);
}

/** A length of time in layers. */
export function layersNumeral(value) {
  return value === Infinity ? "∞" : numeral(value, 3);
}
