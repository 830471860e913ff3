// Who is enrolled: enroll, decide about samples that wait, look, and open one person.

import { call, get } from "./api.js";
import { refusalMarks, refusalText } from "./decision.js";
import { button, el, facts, field, fill, table } from "./dom.js";
import { all, createGallery, GalleryChoice, path } from "./gallery.js";
import { moment, number } from "./i18n.js";
import { PicturePlace } from "./picture.js";
import { faultText, loaded, run, whileShown } from "./task.js";
import { bulkParts } from "./view-bulk.js";
import { personView } from "./view-person.js";
import { notes } from "./view-verify.js";

const SHOWN = 100;

/** The view; `rest` may name a gallery, and a person of it. */
export function peopleView([gallery, subject], signal) {
  if (gallery && subject) return personView(gallery, subject, signal);
  const about = el("div");
  const choice = new GalleryChoice({
    chosen: gallery,
    signal,
    onChange: (name) => fill(about, name ? galleryParts(name, signal) : el("p", { t: "gallery.first" })),
    onFault: (error) => fill(about, faultText(error)),
  });
  return [el("div", { class: "ask" }, choice.node, newGallery()), about];
}

function newGallery() {
  const input = el("input", { required: true, pattern: "[a-z][a-z0-9_]{0,39}", autocomplete: "off" });
  const make = el("button", { t: "gallery.make" });
  const place = el("div", { role: "status" });
  return el(
    "details",
    {},
    el("summary", { t: "gallery.new" }),
    el(
      "form",
      {
        on: {
          submit: (event) => {
            event.preventDefault();
            run(make, place, async () => {
              await createGallery(input.value);
              location.hash = `#/people/${input.value}`;
            });
          },
        },
      },
      field("gallery.name", input, "gallery.name.hint"),
      make,
      place,
    ),
  );
}

function galleryParts(gallery, signal) {
  const numbers = el("div");
  const held = el("div");
  const people = el("div");
  const refresh = () => {
    fill(numbers, loaded(() => get(path(gallery), { signal }), drawNumbers, signal));
    fill(held, loaded(() => get(`${path(gallery, "held")}?state=pending`, { signal }), (rows) => drawHeld(gallery, rows, refresh), signal));
    fill(people, loaded(() => all(path(gallery, "subjects"), "subjects", signal), (rows) => drawPeople(gallery, rows), signal));
  };
  refresh();
  return [
    numbers,
    el("section", {}, el("h2", { t: "enroll.title" }), enrollForm(gallery, refresh, signal)),
    el("section", {}, el("h2", { t: "bulk.title" }), bulkParts(gallery, refresh, signal)),
    el("section", {}, el("h2", { t: "held.title" }), held),
    el("section", {}, el("h2", { t: "people.list" }), people),
  ];
}

function drawNumbers(info) {
  return facts([
    ["gallery.size", { t: ["gallery.counts", { people: info.subjects, samples: info.samples, held: info.held }] }],
    ["gallery.encrypted", { t: info.encrypted ? "yes" : "no" }],
    ["made.space", el("code", {}, info.space)],
  ]);
}

function enrollForm(gallery, refresh, signal) {
  const result = el("div", { class: "result", role: "status" });
  const forget = () => result.replaceChildren();
  const place = new PicturePlace("enroll.picture", signal, forget);
  const name = el("input", { required: true, maxlength: 200, autocomplete: "off", on: { input: forget } });
  const submit = el("button", { class: "main", t: "enroll.button" });
  const enroll = (form) =>
    run(submit, result, async () => {
      if (!form.picture) return el("p", { class: "fault", t: "enroll.missing" });
      const isShown = () => place.file === form.picture && name.value.trim() === form.subject;
      try {
        const answer = await whileShown(isShown, async () => {
          const said = await call("POST", path(gallery, "samples"), { form, signal });
          if (said.body.outcome !== "refused") refresh();
          return said;
        });
        return answer && drawEnrolled(answer.body, answer.requestId, place);
      } catch (error) {
        if (error.status !== 409 || !error.details[0]?.subject) throw error;
        return drawConflict(gallery, error, (conflict) => enroll({ ...form, conflict }));
      }
    }, signal);
  const send = () => enroll({ picture: place.file, subject: name.value.trim(), conflict: "refuse" });
  return el(
    "form",
    { on: { submit: (event) => (event.preventDefault(), send()) } },
    el("div", { class: "pair" }, place.node, el("div", {}, field("enroll.name", name, "enroll.name.hint"), submit, result)),
  );
}

function drawEnrolled(body, requestId, place) {
  if (body.refusal) {
    place.show(refusalMarks(body.refusal), body.refusal.rotation_deg, refusalText(body.refusal));
    return el("div", { class: "fault" }, el("strong", { t: "enroll.refused" }), el("p", {}, refusalText(body.refusal)));
  }
  place.show([{ box: body.face.box, kind: "face", label: body.subject }], body.face.rotation_deg, notes(body.face));
  return el(
    "div",
    { class: "done" },
    el("p", {}, el("strong", { t: [`enroll.${body.outcome}`, { name: body.subject }] })),
    body.findings.map(findingText),
    el("p", { class: "soft small" }, el("span", { t: "made.request" }), " ", el("code", {}, requestId)),
  );
}

function drawConflict(gallery, error, enroll) {
  const [{ subject, similarity }] = error.details;
  const looksLike = error.code === "conflict";
  return el(
    "div",
    { class: "fault" },
    el("p", {}, el("strong", { t: "enroll.conflict" }), " ", personLink(gallery, subject), ` (${similarity.toFixed(4)})`),
    el("p", { lang: "en" }, error.message),
    looksLike
      ? el("div", { class: "row" }, button("enroll.review", () => enroll("review")), button("enroll.anyway", () => enroll("ignore"), { class: "danger" }))
      : null,
  );
}

function drawHeld(gallery, samples, refresh) {
  if (samples.length === 0) return el("p", { class: "soft", t: "held.none" });
  return samples.map((sample) => {
    const place = el("div", { role: "status" });
    const decide = (decision) => (event) =>
      run(event.currentTarget, place, async () => {
        await call("POST", path(gallery, "decisions"), { json: { sample: sample.sample, decision } });
        refresh();
      });
    return el(
      "article",
      { class: "card" },
      el("h3", { t: ["held.sample", { name: sample.subject, made: moment(sample.created_s) }] }),
      sample.findings.map(findingText),
      el("div", { class: "row" }, button("held.approve", decide("approve"), { class: "main" }), button("held.reject", decide("reject"), { class: "danger" })),
      place,
    );
  });
}

/** Why a sample waits, in words. */
export function findingText(finding) {
  const values = {
    name: finding.subject,
    value: finding.value === null ? "–" : finding.value.toFixed(4),
    limit: finding.limit.toFixed(4),
  };
  return el("p", { t: [`finding.${finding.kind}`, values] });
}

function drawPeople(gallery, subjects) {
  if (subjects.length === 0) return el("p", { class: "soft", t: "people.none" });
  const find = el("input", { type: "search", autocomplete: "off" });
  const count = el("p", { class: "soft small", role: "status" });
  const rows = el("div");
  const draw = () => {
    const wanted = find.value.trim().toLocaleLowerCase();
    const found = subjects.filter((s) => s.subject.toLocaleLowerCase().includes(wanted));
    fill(count, el("span", { t: ["people.count", { found: found.length, shown: Math.min(found.length, SHOWN) }] }));
    fill(rows, table("people.list", ["people.name", "people.samples", "people.since"], found.slice(0, SHOWN).map((s) => row(gallery, s))));
  };
  find.addEventListener("input", draw);
  draw();
  return [field("people.find", find), count, rows];
}

function row(gallery, subject) {
  return [personLink(gallery, subject.subject), number(subject.samples), moment(subject.created_s)];
}

function personLink(gallery, subject) {
  return el("a", { href: `#/people/${gallery}/${encodeURIComponent(subject)}` }, subject);
}
