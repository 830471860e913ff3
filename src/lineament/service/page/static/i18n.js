// The texts of the page in English and Chinese.

import { en } from "./en.js";
import { zh } from "./zh.js";

const TEXTS = { en, zh };
const STORED_AS = "lineament.language";
const stored = localStorage.getItem(STORED_AS);

let language = stored in TEXTS ? stored : navigator.language.startsWith("zh") ? "zh" : "en";
document.documentElement.lang = language;

export function currentLanguage() {
  return language;
}

export function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem(STORED_AS, chosen);
  document.documentElement.lang = chosen;
}

/** Whether there is such a text. */
export function isText(key) {
  return key in en;
}

/** A text; `{name}` in it stands for a value. Numbers are written as the language writes them. */
export function text(key, values = {}) {
  return (TEXTS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

/** A number as the language writes it. */
export function number(value) {
  const digits = Number.isInteger(value) ? {} : { maximumSignificantDigits: 6 };
  return new Intl.NumberFormat(language, digits).format(value);
}

/** A moment, given as s since 1970 UTC. */
export function moment(seconds) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);
}
