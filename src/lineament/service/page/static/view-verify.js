// Are two pictures of the same person?

import { call } from "./api.js";
import { decisionCard, refusalMarks, refusalText } from "./decision.js";
import { el } from "./dom.js";
import { PicturePlace } from "./picture.js";
import { RateChoice } from "./rate.js";
import { run, whileShown } from "./task.js";

/** The view. */
export function verifyView(_rest, signal) {
  const forget = () => result.replaceChildren();
  const places = {
    reference: new PicturePlace("verify.reference", signal, forget),
    probe: new PicturePlace("verify.probe", signal, forget),
  };
  const rate = new RateChoice("fmr");
  const compare = el("button", { class: "main", t: "verify.compare" });
  const result = el("div", { class: "result", role: "status" });
  const form = el(
    "form",
    {
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          run(compare, result, () => verify(places, rate, signal), signal);
        },
      },
    },
    el("div", { class: "pair" }, places.reference.node, places.probe.node),
    el("div", { class: "ask" }, rate.node, compare),
  );
  return [form, result];
}

async function verify(places, rate, signal) {
  const missing = Object.keys(places).find((role) => !places[role].file);
  if (missing) return el("p", { class: "fault", t: `verify.missing.${missing}` });
  if (!rate.check()) return el("p", { class: "fault", t: "rate.missing" });
  const form = { reference: places.reference.file, probe: places.probe.file, fmr: rate.value };
  const isShown = () => places.reference.file === form.reference && places.probe.file === form.probe;
  const answer = await whileShown(isShown, () => call("POST", "/v1/verify", { form, signal }));
  if (!answer) return null;
  const { body, requestId } = answer;
  return body.refusal ? refused(body, requestId, places) : compared(body, requestId, places);
}

function compared(body, requestId, places) {
  for (const role of ["reference", "probe"]) {
    const face = body[role];
    places[role].show([{ box: face.box, kind: body.decision }], face.rotation_deg, notes(face));
  }
  const strength =
    body.log10_lr === null
      ? null
      : ["verify.lr", { t: [body.log10_lr >= 0 ? "verify.lr.for" : "verify.lr.against", { times: Number((10 ** Math.abs(body.log10_lr)).toPrecision(1)) }] }];
  return decisionCard({
    decision: body.decision,
    headline: `verify.${body.decision}`,
    similarity: body.similarity,
    point: body.point,
    rows: [strength, restoredRow(body.restored)],
    reply: body,
    requestId,
  });
}

/** That a mesh was taken off the reference, and what its similarity was before. */
function restoredRow(restored) {
  if (!restored) return null;
  const before = restored.unrestored_similarity;
  return before === null
    ? ["verify.restored", { t: "verify.restored.unseen" }]
    : ["verify.restored", { t: ["verify.restored.before", { similarity: before.toFixed(4) }] }];
}

function refused(body, requestId, places) {
  const { refusal } = body;
  const marks = refusalMarks(refusal);
  places[refusal.role].show(marks, refusal.rotation_deg, refusalText(refusal));
  places[refusal.role === "probe" ? "reference" : "probe"].show([]);
  return decisionCard(
    { decision: "refused", headline: "verify.refused", point: body.point, reply: body, requestId },
    el("p", {}, refusalText(refusal)),
  );
}

/** What a person should know about a face. */
export function notes(face) {
  return face.notes.map((note) => el("span", { lang: "en", class: "note" }, note));
}
