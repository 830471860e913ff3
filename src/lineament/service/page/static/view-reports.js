// Evaluation reports of the folder that the settings name.

import { call, get } from "./api.js";
import { el, table } from "./dom.js";
import { loaded } from "./task.js";

const STYLE = /<style>([\s\S]*?)<\/style>/g;
const NEVER = "script, style, iframe, frame, object, embed, form, link, meta, base";

/** The view; `rest` may name a report, which is shown. */
export function reportsView([name], signal) {
  if (name) {
    return [
      el("p", {}, el("a", { href: "#/reports", t: "reports.back" })),
      loaded(() => call("GET", `/v1/reports/${encodeURIComponent(name)}/page`, { signal }), drawReport, signal),
    ];
  }
  return loaded(() => get("/v1/reports", { signal }), drawList, signal);
}

function drawList(reports) {
  if (reports.length === 0) return el("p", { t: "reports.none" });
  return table(
    "reports.title",
    ["reports.name", "reports.systems", "reports.datasets"],
    reports.map((report) => [
      el("a", { href: `#/reports/${encodeURIComponent(report.name)}` }, report.name),
      el("span", { lang: "en" }, report.systems.join(", ")),
      el("span", { lang: "en" }, report.datasets.join(", ")),
    ]),
  );
}

/** The page of a report, apart from this one's styles. Nothing in it runs: this page's policy forbids scripts in it. */
function drawReport({ body }) {
  const styles = [];
  const bare = body.replace(STYLE, (_, rules) => (styles.push(rules), "")); // as elements they are not allowed here
  const content = new DOMParser().parseFromString(bare, "text/html").querySelector("main");
  for (const node of content.querySelectorAll(NEVER)) node.remove();
  const host = el("div", { class: "report", lang: "en" });
  const shadow = host.attachShadow({ mode: "open" });
  shadow.adoptedStyleSheets = styles.map((rules) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(rules);
    return sheet;
  });
  shadow.append(content);
  shadow.addEventListener("click", (event) => {
    const anchor = event.target.closest?.('a[href^="#"]')?.getAttribute("href").slice(1);
    if (!anchor) return;
    event.preventDefault(); // the address names the view
    shadow.getElementById(anchor)?.scrollIntoView();
  });
  return host;
}
