// Work that a button begins: one at a time, said aloud, faults explained.

import { el, fill } from "./dom.js";
import { isText } from "./i18n.js";

/** Run `work` while `control` is busy; what it returns, or its fault, goes into `place`, a live region. */
export async function run(control, place, work, signal) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  fill(place, el("p", { class: "soft", t: "working" }));
  try {
    fill(place, await work());
  } catch (error) {
    if (!signal?.aborted) fill(place, faultText(error));
  } finally {
    control.removeAttribute("aria-busy");
  }
}

/** The answer of `ask`, or its fault; null instead when what was sent is no longer what is shown: `isShown` says so. */
export async function whileShown(isShown, ask) {
  try {
    const answer = await ask();
    return isShown() ? answer : null;
  } catch (error) {
    if (isShown()) throw error;
    return null;
  }
}

/** A fault in words: what it means, what the service said, and the id to quote. */
export function faultText(error) {
  const known = `error.${error.code}`;
  return el(
    "div",
    { class: "fault" },
    isText(known) ? el("p", {}, el("strong", { t: known })) : null,
    el("p", { lang: "en" }, error.message),
    error.requestId ? el("p", { class: "soft small" }, el("span", { t: "made.request" }), " ", el("code", {}, error.requestId)) : null,
  );
}

/** What `load` gives, drawn by `draw`, in an element that is there at once. */
export function loaded(load, draw, signal) {
  const place = el("div", { "aria-busy": "true" }, el("p", { class: "soft", t: "working" }));
  Promise.resolve().then(load).then(
    (value) => fill(place, draw(value)),
    (error) => signal?.aborted || fill(place, faultText(error)),
  ).finally(() => place.removeAttribute("aria-busy"));
  return place;
}
