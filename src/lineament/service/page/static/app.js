// The frame of the page: views by address, language, colours, key, and whether the service is ready.

import { call, hasKey, pause, setKey } from "./api.js";
import { button, el, field, fill, say, translate } from "./dom.js";
import { currentLanguage, setLanguage, text } from "./i18n.js";
import { identifyView } from "./view-identify.js";
import { liveView } from "./view-live.js";
import { peopleView } from "./view-people.js";
import { reportsView } from "./view-reports.js";
import { systemView } from "./view-system.js";
import { verifyView } from "./view-verify.js";

const VIEWS = {
  verify: verifyView,
  people: peopleView,
  identify: identifyView,
  live: liveView,
  reports: reportsView,
  system: systemView,
};
const THEMES = ["auto", "light", "dark"];
const STORED_THEME = "lineament.theme";
const READY_CHECK_MS = 2000;

const main = el("main", { id: "main", tabindex: "-1" });
const banner = el("p", { class: "banner", role: "status", hidden: true });
const links = Object.fromEntries(
  Object.keys(VIEWS).map((name) => [name, el("a", { href: `#/${name}`, t: `nav.${name}` })]),
);
const languageButton = button("language.other", () => {
  setLanguage(currentLanguage() === "en" ? "zh" : "en");
  translate(document.body);
  nameWindow();
});
const themeButton = button("theme.auto", () => useTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]));
const keyButton = button("key.button", () => askForKey("key.about"));
const skip = el("a", {
  class: "skip",
  href: "#main",
  t: "skip",
  on: { click: (event) => (event.preventDefault(), main.focus()) }, // the address names the view
});

let leave = () => {};

document.body.append(
  skip,
  el(
    "header",
    {},
    el("a", { class: "brand", href: "#/verify" }, el("img", { src: "/page/icon.svg", alt: "", width: 28, height: 28 }), "Lineament"),
    el("nav", { aria: "nav.label" }, el("ul", {}, Object.values(links).map((link) => el("li", {}, link)))),
    el("div", { class: "tools" }, languageButton, themeButton, keyButton),
  ),
  banner,
  main,
);

useTheme(theme());
window.addEventListener("hashchange", () => open(true));
window.addEventListener("key-needed", () => askForKey(hasKey() ? "key.wrong" : "key.needed"));
open(false);
watchReadiness();

/** Show the view that the address names: `#/view/argument/…`. */
function open(moved) {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  const view = VIEWS[name] ? name : "verify";
  leave();
  const left = new AbortController(); // what a view began ends when it is left
  leave = () => left.abort();
  const heading = el("h1", { tabindex: "-1", t: `${view}.title` });
  fill(main, heading, el("p", { class: "lead", t: `${view}.lead` }), VIEWS[view](rest, left.signal));
  for (const [other, link] of Object.entries(links)) {
    if (other === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  nameWindow();
  if (moved) heading.focus();
}

/** A part of an address; one that somebody typed and that means nothing is no part. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

function nameWindow() {
  document.title = `${main.querySelector("h1").textContent} · Lineament`;
}

function theme() {
  const stored = localStorage.getItem(STORED_THEME);
  return THEMES.includes(stored) ? stored : "auto";
}

function useTheme(chosen) {
  localStorage.setItem(STORED_THEME, chosen);
  document.documentElement.dataset.theme = chosen;
  say(themeButton, { t: `theme.${chosen}` });
}

/** Ask for an API key, unless that is being done. */
function askForKey(why) {
  if (document.querySelector("dialog.key")) return;
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  const use = (key) => {
    setKey(key.trim());
    dialog.close();
    open(false);
  };
  const form = el(
    "form",
    { method: "dialog", on: { submit: (event) => (event.preventDefault(), use(input.value)) } },
    el("h2", { t: "key.title" }),
    el("p", { t: why }),
    field("key.field", input, "key.hint"),
    el(
      "div",
      { class: "row" },
      el("button", { class: "main", t: "key.use" }),
      hasKey() ? button("key.forget", () => use("")) : null,
      button("cancel", () => dialog.close()),
    ),
  );
  const dialog = el("dialog", { class: "key", aria: "key.title", on: { close: () => dialog.remove() } }, form);
  document.body.append(dialog);
  dialog.showModal();
}

/** Say so while the service takes no work. */
async function watchReadiness() {
  for (;;) {
    const fault = await call("GET", "/healthz").then(
      () => call("GET", "/readyz", { tries: 1 }).then(() => null, (error) => error),
      (error) => error,
    );
    const words = fault && (fault.status === 0 ? "banner.unreachable" : "banner.not_ready");
    if (words && (banner.hidden || banner.textContent !== text(words))) say(banner, { t: words });
    banner.hidden = !words;
    await pause(fault ? READY_CHECK_MS : 10 * READY_CHECK_MS);
  }
}
