// Who is in a picture?

import { call } from "./api.js";
import { decisionCard, madeWith, refusalMarks, refusalText } from "./decision.js";
import { el, table } from "./dom.js";
import { GalleryChoice, path } from "./gallery.js";
import { PicturePlace } from "./picture.js";
import { percent, RateChoice } from "./rate.js";
import { faultText, run, whileShown } from "./task.js";
import { notes } from "./view-verify.js";

/** The view. */
export function identifyView(_rest, signal) {
  const result = el("div", { class: "result", role: "status" });
  const place = new PicturePlace("identify.picture", signal, () => result.replaceChildren());
  const gallery = new GalleryChoice({ signal, onFault: (error) => result.append(faultText(error)) });
  const rate = new RateChoice("fpir");
  const everybody = el("input", { type: "checkbox", id: "everybody" });
  const search = el("button", { class: "main", t: "identify.button" });
  const form = el(
    "form",
    {
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          run(search, result, () => identify({ place, gallery, rate, everybody, signal }), signal);
        },
      },
    },
    el(
      "div",
      { class: "pair" },
      place.node,
      el(
        "div",
        {},
        gallery.node,
        rate.node,
        el("p", { class: "row choice" }, everybody, el("label", { for: "everybody", t: "identify.everybody" })),
        search,
      ),
    ),
  );
  return [form, result];
}

async function identify({ place, gallery, rate, everybody, signal }) {
  if (!place.file) return el("p", { class: "fault", t: "identify.missing" });
  if (!gallery.value) return el("p", { class: "fault", t: "gallery.first" });
  if (!rate.check()) return el("p", { class: "fault", t: "rate.missing" });
  const form = { picture: place.file, fpir: rate.value, faces: everybody.checked ? "all" : "one" };
  const isShown = () => place.file === form.picture;
  const answer = await whileShown(isShown, () => call("POST", path(gallery.value, "identify"), { form, signal }));
  if (!answer) return null;
  const { body, requestId } = answer;
  if (body.refusal) {
    place.show(refusalMarks(body.refusal), body.refusal.rotation_deg, refusalText(body.refusal));
    return decisionCard(
      { decision: "refused", headline: "identify.refused", point: body.point, asked: askedRow(body), reply: body, requestId },
      el("p", {}, refusalText(body.refusal)),
    );
  }
  place.show(
    body.faces.map((face, i) => ({ box: face.box, kind: face.decision, label: `${i + 1} ${nameOf(face) ?? ""}`.trim() })),
    body.faces[0]?.rotation_deg ?? 0,
    body.faces.flatMap(notes),
  );
  if (body.faces.length === 0) return [el("p", { t: "identify.nobody" }), madeWith(body, requestId)];
  return body.faces.map((face, i) => drawFace(face, i, body, requestId));
}

function drawFace(face, position, body, requestId) {
  const name = nameOf(face);
  const number = body.faces.length > 1 ? `${position + 1}. ` : "";
  const candidates = [...face.candidates, ...face.undecided];
  return decisionCard(
    {
      decision: face.decision,
      headline: [`identify.${face.decision}`, { name, number }],
      similarity: face.nearest?.similarity,
      point: body.point,
      asked: askedRow(body),
      rows: [["identify.nearest", face.nearest ? face.nearest.subject : el("span", { t: "identify.empty" })]],
      reply: body,
      requestId,
    },
    candidates.length
      ? table(
          "identify.candidates",
          ["people.name", "decision.similarity", "identify.says"],
          candidates.map((c) => [
            c.subject,
            c.similarity.toFixed(4),
            el("span", { t: face.candidates.includes(c) ? "identify.says.match" : "identify.says.undecided" }),
          ]),
        )
      : null,
  );
}

/** The name that a face gets: of the best match, else of the best that might be. */
export function nameOf(face) {
  return (face.candidates[0] ?? face.undecided[0])?.subject ?? null;
}

/** What was asked, and what it means for each comparison. */
export function askedRow(body) {
  const values = {
    rate: percent(body.fpir),
    n: Math.round(1 / body.fpir),
    size: body.gallery_size,
    fmr: percent(body.point.fmr),
  };
  return ["decision.asked", { t: ["identify.asked", values] }];
}
