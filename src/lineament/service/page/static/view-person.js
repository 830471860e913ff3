// One person: samples, another name, one with somebody else, deletion with a receipt.

import { call, get } from "./api.js";
import { confirmed, removalCard } from "./ask.js";
import { button, el, field, fill, table } from "./dom.js";
import { all, path } from "./gallery.js";
import { moment } from "./i18n.js";
import { loaded, run } from "./task.js";

/** The view. */
export function personView(gallery, subject, signal) {
  const result = el("div", { class: "result", role: "status" });
  const body = el("div");
  const refresh = () =>
    fill(body, loaded(() => get(path(gallery, "subjects", subject), { signal }), (found) => draw(found), signal));
  const leaveEmpty = () => fill(body); // a person goes with the last sample
  const draw = ({ samples }) => [
    table(
      "person.samples",
      ["person.sample", "person.state", "people.since", "person.act"],
      samples.map((s) => [el("code", {}, s.sample), el("span", { t: `state.${s.state}` }), moment(s.created_s), actions(gallery, s, result, refresh, samples.length > 1 ? refresh : leaveEmpty)]),
    ),
    el("section", {}, el("h2", { t: "person.change" }), rename(gallery, subject, result), merge(gallery, subject, result, signal)),
    el("section", {}, el("h2", { t: "person.delete" }), el("p", { t: "person.delete.about" }), remove(gallery, subject, result, body)),
  ];
  refresh();
  return [
    el("p", {}, el("a", { href: `#/people/${gallery}`, t: ["person.back", { gallery }] })),
    el("h2", {}, subject),
    result,
    body,
  ];
}

function actions(gallery, sample, result, refresh, removed) {
  const decide = (decision) => (event) =>
    run(event.currentTarget, result, async () => {
      await call("POST", path(gallery, "decisions"), { json: { sample: sample.sample, decision } });
      refresh();
      return el("p", { class: "done", t: `decided.${decision}` });
    });
  const removeSample = async (event) => {
    const control = event.currentTarget;
    if (!(await confirmed(["person.delete.sample.ask", { sample: sample.sample }], "delete"))) return;
    await run(control, result, async () => {
      const { body } = await call("DELETE", path(gallery, "samples", sample.sample));
      removed();
      return removalCard(body, sample.subject);
    });
  };
  return el(
    "div",
    { class: "row" },
    sample.state === "active" ? button("person.quarantine", decide("quarantine")) : null,
    sample.state === "quarantined" ? button("person.release", decide("release")) : null,
    button("person.delete.sample", removeSample, { class: "danger" }),
  );
}

function rename(gallery, subject, result) {
  const input = el("input", { required: true, maxlength: 200, autocomplete: "off" });
  return changeForm("person.rename", field("person.rename.to", input), result, async () => {
    await call("POST", path(gallery, "renames"), { json: { subject, new: input.value.trim() } });
    location.hash = `#/people/${gallery}/${encodeURIComponent(input.value.trim())}`;
  });
}

function merge(gallery, subject, result, signal) {
  const select = el("select", { required: true });
  all(path(gallery, "subjects"), "subjects", signal).then(
    (subjects) =>
      fill(
        select,
        el("option", { value: "", t: "person.merge.choose" }),
        subjects.filter((s) => s.subject !== subject).map((s) => el("option", { value: s.subject }, s.subject)),
      ),
    () => {}, // the list of samples says what is wrong
  );
  return changeForm("person.merge", field("person.merge.into", select, "person.merge.hint"), result, async () => {
    if (!(await confirmed(["person.merge.ask", { source: subject, into: select.value }], "person.merge"))) return null;
    await call("POST", path(gallery, "merges"), { json: { into: select.value, source: subject } });
    location.hash = `#/people/${gallery}/${encodeURIComponent(select.value)}`;
    return null;
  });
}

function changeForm(words, input, result, work) {
  const submit = el("button", { t: words });
  return el(
    "form",
    { class: "ask", on: { submit: (event) => (event.preventDefault(), run(submit, result, work)) } },
    input,
    submit,
  );
}

function remove(gallery, subject, result, body) {
  return button(
    ["person.delete.button", { name: subject }],
    async (event) => {
      const control = event.currentTarget;
      if (!(await confirmed(["person.delete.ask", { name: subject }], "delete"))) return;
      await run(control, result, async () => {
        const answer = await call("DELETE", path(gallery, "subjects", subject));
        fill(body);
        return removalCard(answer.body, subject);
      });
      result.scrollIntoView({ block: "nearest" });
    },
    { class: "danger" },
  );
}
