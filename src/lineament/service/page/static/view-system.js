// The system: is it ready, what does it work with, and what do its thresholds rest on?

import { call, get } from "./api.js";
import { button, el, facts, fill, table } from "./dom.js";
import { number } from "./i18n.js";
import { percent } from "./rate.js";
import { loaded } from "./task.js";

/** The view; `rest` may name an embedding space, whose calibration record is shown. */
export function systemView([space], signal) {
  if (space) return recordView(space, signal);
  return [
    el("section", {}, el("h2", { t: "system.state" }), loaded(state, drawState, signal)),
    el("section", {}, el("h2", { t: "system.models" }), loaded(() => get("/v1/models"), drawModels, signal)),
    el(
      "section",
      {},
      el("h2", { t: "system.calibrations" }),
      el("p", { t: "system.calibrations.about" }),
      loaded(() => get("/v1/calibrations"), drawCalibrations, signal),
    ),
    el("p", { class: "soft" }, el("a", { href: "/openapi.json", t: "system.openapi" })),
  ];
}

async function state() {
  const isReady = await call("GET", "/readyz", { tries: 1 }).then(() => true, () => false);
  const { body } = await call("GET", "/metrics");
  return { isReady, figures: parseMetrics(body) };
}

/** Sums of the metrics by name. */
function parseMetrics(lines) {
  const sums = {};
  for (const line of lines.split("\n")) {
    const found = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    if (found) sums[found[1]] = (sums[found[1]] ?? 0) + Number(found[2]);
  }
  return sums;
}

function drawState({ isReady, figures }) {
  const answers = figures.lineament_request_seconds_count ?? 0;
  const mean = answers ? (1000 * figures.lineament_request_seconds_sum) / answers : null;
  return facts([
    ["system.ready", { t: isReady ? "yes" : "no" }],
    ["system.running", number(figures.lineament_engine_running ?? 0)],
    ["system.waiting", number(figures.lineament_engine_waiting ?? 0)],
    ["system.answers", number(answers)],
    mean === null ? null : ["system.mean", `${number(Math.round(mean))} ms`],
    figures.process_resident_memory_bytes
      ? ["system.memory", `${number(Math.round(figures.process_resident_memory_bytes / 2 ** 20))} MiB`]
      : null,
  ]);
}

function drawModels(models) {
  const used = models.filter((model) => model.in_use);
  const all = el("div", { hidden: true }, models.filter((model) => !model.in_use).map(drawModel));
  const more = button(["system.models.more", { n: models.length - used.length }], () => {
    all.hidden = !all.hidden;
    more.setAttribute("aria-expanded", String(!all.hidden));
  }, { "aria-expanded": "false" });
  return [...used.map(drawModel), more, all];
}

function drawModel(model) {
  return el(
    "details",
    { class: "card", open: model.in_use },
    el("summary", {}, el("strong", {}, model.name), " ", el("span", { lang: "en" }, model.summary)),
    facts([
      ["model.task", el("span", { lang: "en" }, model.task)],
      ["model.publisher", el("span", { lang: "en" }, model.publisher)],
      ["model.licence", el("span", { lang: "en" }, model.licence.weights)],
      ["model.data", el("span", { lang: "en" }, model.licence.data)],
      ["model.commercial", { t: model.licence.commercial_use ? "yes" : "no" }],
      ...Object.entries(model.sha256).map(([role, digest]) => ["model.sha256", el("span", {}, `${role} `, el("code", {}, digest))]),
      ...model.figures.map((f) => [
        "model.figure",
        el("span", { lang: "en" }, `${f.name} ${number(f.value)}`, f.interval95 ? ` [${f.interval95.map(number).join(", ")}]` : "", ` · ${f.protocol} · ${f.measured_by}`),
      ]),
    ]),
  );
}

function drawCalibrations(records) {
  if (records.length === 0) return el("p", { t: "system.calibrations.none" });
  return table(
    "system.calibrations",
    ["record.name", "record.space", "record.nonmated", "record.rates", "record.used"],
    records.map((r) => [
      el("a", { href: `#/system/${encodeURIComponent(r.space)}` }, r.name),
      el("code", {}, r.space),
      number(r.n_nonmated),
      `${percent(r.smallest_fmr)} – ${percent(r.largest_fmr)}`,
      el("span", { t: r.in_use ? "yes" : "no" }),
    ]),
  );
}

function recordView(space, signal) {
  return [
    el("p", {}, el("a", { href: "#/system", t: "system.back" })),
    loaded(() => get(`/v1/calibrations/${encodeURIComponent(space)}`), drawRecord, signal),
  ];
}

function drawRecord(record) {
  const decades = record.rows.filter((row) => Math.abs(Math.log10(row.fmr) - Math.round(Math.log10(row.fmr))) < 1e-6);
  const place = el("div");
  const show = (rows) => fill(place, table("record.rows", ["record.fmr", "record.threshold", "record.fnmr"], rows.map(drawRow)));
  show(decades);
  const all = button("record.all", () => (show(record.rows), all.remove()));
  return [
    el("h2", {}, record.name),
    facts([
      ["record.space", el("code", {}, record.space)],
      ["record.protocol", el("span", { lang: "en" }, record.protocol)],
      ["record.subjects", number(record.n_subjects)],
      ["record.mated", number(record.n_mated)],
      ["record.nonmated", number(record.n_nonmated)],
      ...record.data.map((d) => ["record.data", el("span", {}, `${d.name} `, el("code", {}, d.digest))]),
    ]),
    place,
    all,
  ];
}

function drawRow(row) {
  const four = (value) => value.toFixed(4);
  return [
    percent(row.fmr),
    `${four(row.threshold)} [${four(row.low)}, ${four(row.high)}]`,
    `${percent(row.fnmr)} [${percent(row.fnmr_low)}, ${percent(row.fnmr_high)}]`,
  ];
}
