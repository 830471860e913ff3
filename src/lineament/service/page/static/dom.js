// Elements, and their texts in the chosen language: a change of language rewrites texts in place and loses nothing.

import { text } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "rect", "line", "circle", "path", "g"]);
const wordsOf = new WeakMap();

/**
 * An element.
 *
 * Properties are attributes (true: without value; false, null, undefined: left out), but for `t` (text), `aria`
 * (accessible name) and `placeholder`, which are keys of texts or [key, values], and `on` (handlers by event).
 */
export function el(tag, properties = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  const { t, aria, placeholder, on, ...attributes } = properties;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  say(node, { t, aria, placeholder });
  for (const [event, handler] of Object.entries(on ?? {})) node.addEventListener(event, handler);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Give an element other words: `{ t, aria, placeholder }` as for `el`. */
export function say(node, words) {
  const given = Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));
  if (Object.keys(given).length === 0) return;
  wordsOf.set(node, { ...wordsOf.get(node), ...given });
  node.setAttribute("data-words", "");
  write(node);
}

/** Write all texts below an element anew. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-words]")) write(node);
}

/** Put other children into an element. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A list of names and values; values are texts, elements or `{ t }`. */
export function facts(rows) {
  return el(
    "dl",
    { class: "facts" },
    rows.filter(Boolean).map(([name, value]) => [
      el("dt", { t: name }),
      value?.t ? el("dd", { t: value.t }) : el("dd", {}, value),
    ]),
  );
}

/** A table that scrolls inside a region that the keyboard reaches. `columns`: keys; cells: texts or elements. */
export function table(caption, columns, rows) {
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", aria: caption },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col", t: name })))),
      el(
        "tbody",
        {},
        rows.map((cells) =>
          el("tr", {}, cells.map((cell, i) => (i ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))),
        ),
      ),
    ),
  );
}

/** A button. */
export function button(words, onClick, properties = {}) {
  return el("button", { type: "button", t: words, on: { click: onClick }, ...properties });
}

/** A labelled field; `input` gets an id for its label. */
export function field(words, input, hint) {
  input.id ||= `field-${++fieldNumber}`;
  const note = hint ? el("p", { class: "soft small", id: `${input.id}-hint`, t: hint }) : null;
  if (note) input.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: input.id, t: words }), input, note);
}

let fieldNumber = 0;

function write(node) {
  const { t, aria, placeholder } = wordsOf.get(node);
  if (t !== undefined) node.textContent = text(...[t].flat());
  if (aria !== undefined) node.setAttribute("aria-label", text(...[aria].flat()));
  if (placeholder !== undefined) node.setAttribute("placeholder", text(...[placeholder].flat()));
}
