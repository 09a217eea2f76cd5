// The field for the activation: a list to search by name, or a formula to type.

import { byId, made } from "./dom.js";
import { readActivation } from "./named_activation.js";

// A name that is understood as it stands, in whatever spelling; otherwise the list may complete it.
function isUnderstood(text) {
  try {
    return Boolean(readActivation(text));
  } catch {
    return false;
  }
}

/** The picker; `entries` are {name, formula}, `chosen(text)` is called with a name or a formula. */
export function createPicker(entries, chosen) {
  const input = byId("activation");
  const list = byId("activation-list");
  let shown = [];
  let active = -1;

  function open(filter) {
    const wanted = filter.trim().toLowerCase();
    shown = entries.filter((e) => e.name.includes(wanted) || (wanted.length > 1 && e.formula?.toLowerCase().includes(wanted)));
    list.replaceChildren(...shown.map((entry, i) => {
      const option = made("div", { id: `activation-${i}` }, made("span", { textContent: entry.name }), made("code", { textContent: entry.formula ?? "" }));
      option.setAttribute("role", "option");
      option.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        take(entry.name);
      });
      return option;
    }));
    list.hidden = shown.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(-1);
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    active = index;
    Array.from(list.children).forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", `activation-${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    }
  }

  function take(text) {
    input.value = text;
    close();
    chosen(text.trim());
  }

  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => open(""));
  input.addEventListener("input", () => open(input.value));
  input.addEventListener("blur", () => {
    if (!list.hidden) close();
    if (input.value.trim() && input.value.trim() !== input.dataset.shown) take(input.value);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open("");
      const by = event.key === "ArrowDown" ? 1 : -1;
      mark((active + by + shown.length) % Math.max(shown.length, 1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const only = shown.length && !isUnderstood(input.value) ? shown[0].name : input.value;
      take(active >= 0 ? shown[active].name : only);
    } else if (event.key === "Escape") {
      input.value = input.dataset.shown ?? "";
      close();
    }
  });

  return {
    show(text, sentence) {
      if (document.activeElement !== input || list.hidden) input.value = text;
      input.dataset.shown = text;
      input.title = text; // a long formula is wider than its field
      byId("activation-error").textContent = sentence ?? "";
      input.setAttribute("aria-invalid", String(Boolean(sentence)));
    },
  };
}
