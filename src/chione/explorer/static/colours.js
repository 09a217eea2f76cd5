// Colours: of the theme, as the style sheet has them, and of the field of the diagram.
// The field's map climbs evenly in lightness (OKLab), so that it reads in grey as well: deep blue for
// order, grey in the middle, amber for chaos.

const LOWEST = { lightness: 0.36, chroma: 0.115, hue: 262 };
const HIGHEST = { lightness: 0.93, chroma: 0.115, hue: 82 };
const FIELD_STEPS = 256;

function gamma(x) {
  const v = Math.min(Math.max(x, 0), 1);
  return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}

// Björn Ottosson's OKLab to sRGB
function fromOklab(L, a, b) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function fieldColour(t) {
  const end = t < 0.5 ? LOWEST : HIGHEST;
  const chroma = end.chroma * Math.abs(2 * t - 1) ** 0.8;
  const angle = (end.hue * Math.PI) / 180;
  const lightness = LOWEST.lightness + t * (HIGHEST.lightness - LOWEST.lightness);
  return fromOklab(lightness, chroma * Math.cos(angle), chroma * Math.sin(angle));
}

/** 256 colours [r, g, b] of the field, from its lowest to its highest value. */
export const FIELD_MAP = Array.from({ length: FIELD_STEPS }, (_, i) => fieldColour(i / (FIELD_STEPS - 1)));

const THEME_NAMES = ["paper", "panel", "ink", "soft", "line", "cool", "warm", "band", "hatch"];

/** The theme's colours as text for a canvas, read from the style sheet. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(THEME_NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Follow the system's theme until `choose` names one; `changed` is called after each change. */
export function followTheme(changed) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)"), paper = window.matchMedia("print");
  let chosen;
  const apply = () => {
    // paper is white: light ink would vanish on it
    document.documentElement.dataset.theme = paper.matches ? "light" : chosen ?? (dark.matches ? "dark" : "light");
    changed();
  };
  dark.addEventListener("change", apply);
  paper.addEventListener("change", apply);
  apply();
  return {
    toggle() {
      chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      apply();
    },
  };
}
