// Many people at once: a ZIP archive becomes a job of the service, which goes on when the page is closed.

import { call, get, pause } from "./api.js";
import { button, el, fill, table } from "./dom.js";
import { all, path } from "./gallery.js";
import { isText, moment } from "./i18n.js";
import { faultText, loaded, run } from "./task.js";

const WATCH_MS = 1000;
const SETTLED_WELL = new Set(["enrolled", "already_there"]);

/** Upload and the jobs of a gallery; `refresh` is called when a job has changed the gallery. */
export function bulkParts(gallery, refresh, signal) {
  const input = el("input", { type: "file", accept: ".zip,application/zip", required: true, id: "archive", "aria-describedby": "archive-hint" });
  const submit = el("button", { t: "bulk.button" });
  const place = el("div", { role: "status" });
  const list = el("div");
  const show = (sent) => {
    const card = (job) => jobCard(gallery, job, job.job === sent, refresh, signal);
    return fill(list, loaded(() => all(path(gallery, "jobs"), "jobs", signal), (jobs) => jobs.reverse().map(card), signal));
  };
  const send = () =>
    run(submit, place, async () => {
      const { body: job } = await call("POST", path(gallery, "jobs"), { json: {}, signal });
      const route = path(gallery, "jobs", job.job);
      try {
        await call("POST", `${route}/pictures`, { form: { archive: input.files[0] }, signal });
      } catch (error) {
        await call("DELETE", route); // nothing was taken
        throw error;
      }
      input.value = "";
      show(job.job);
    }, signal);
  show();
  return [
    el(
      "form",
      { on: { submit: (event) => (event.preventDefault(), send()) } },
      el("div", { class: "field" }, el("label", { for: "archive", t: "bulk.archive" }), input, el("p", { class: "soft small", id: "archive-hint", t: "bulk.hint" })),
      submit,
      place,
    ),
    list,
  ];
}

/** One job; one that was `isNew` may be settled before it is seen, and has changed the gallery all the same. */
function jobCard(gallery, job, isNew, refresh, signal) {
  const route = path(gallery, "jobs", job.job);
  const progress = el("progress", { max: Math.max(1, job.total), aria: "bulk.progress" });
  const state = el("p", { role: "status" });
  const counts = el("p", { class: "soft" });
  const place = el("div");
  const card = el("article", { class: "card" }, el("h3", { t: ["bulk.job", { made: moment(job.created_s) }] }), progress, state, counts, place);
  const cancel = button("bulk.cancel", () => run(cancel, place, async () => draw((await call("POST", `${route}/cancel`)).body)), { class: "danger" });
  const forget = button("bulk.forget", () =>
    run(forget, place, async () => {
      await call("DELETE", route);
      card.remove();
    }),
  );
  const buttons = el("div", { class: "row" }, cancel, forget);
  card.append(buttons);
  const draw = (now) => {
    const works = now.state === "working" || now.state === "stuck";
    progress.value = now.total - now.waiting;
    cancel.hidden = !works;
    forget.hidden = works;
    fill(state, el("span", { t: [`bulk.${now.state}`, { done: now.total - now.waiting, total: now.total }] }));
    fill(counts, outcomes(now.outcomes));
    if (!works && Object.keys(now.outcomes).some((o) => !SETTLED_WELL.has(o))) {
      fill(place, loaded(() => all(`${route}/items`, "items", signal), drawItems, signal));
    }
    return null;
  };
  draw(job);
  watch(job, route, draw, card, signal).then((changed) => (changed || isNew) && refresh(), (error) => signal.aborted || fill(place, faultText(error)));
  return card;
}

/** Draw a job until it is settled, or its card is gone; whether it may have changed the gallery meanwhile. */
async function watch(job, route, draw, card, signal) {
  let now = job;
  while (!signal.aborted && (now.state === "working" || now.state === "stuck")) {
    await pause(WATCH_MS, signal);
    if (!card.isConnected) return !signal.aborted; // the list was drawn anew: another card watches the job
    now = await get(route, { signal });
    draw(now);
  }
  return now !== job;
}

function outcomes(counts) {
  return Object.entries(counts).map(([outcome, n]) => el("span", { class: "note" }, outcomeText(outcome), `: ${n}`));
}

function outcomeText(outcome) {
  const key = `outcome.${outcome}`;
  return isText(key) ? el("span", { t: key }) : outcome;
}

function drawItems(items) {
  const left = items.filter((item) => !SETTLED_WELL.has(item.outcome));
  return table(
    "bulk.left",
    ["bulk.picture", "people.name", "bulk.outcome"],
    left.map((item) => [item.name, item.subject, [outcomeText(item.outcome), " ", el("span", { lang: "en", class: "soft" }, why(item))]]),
  );
}

function why(item) {
  if (item.refusal) return item.refusal.detail;
  if (item.conflict) return `${item.conflict.subject}, ${item.conflict.similarity.toFixed(4)}`;
  return item.detail;
}
