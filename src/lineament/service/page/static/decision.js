// A decision with everything that it rests on, or why there is none.

import { el, facts } from "./dom.js";
import { isText } from "./i18n.js";
import { percent } from "./rate.js";

const MARKS = { match: "✓", no_match: "✕", undecided: "?", refused: "!" };

/** A card; `headline` is a key of texts or [key, values], `rows` come after the similarity and its threshold. */
export function decisionCard({ decision, headline, similarity, point, asked, rows = [], reply, requestId }, ...more) {
  return el(
    "article",
    { class: `decision ${decision}` },
    el(
      "h2",
      {},
      el("span", { class: "mark", "aria-hidden": "true" }, MARKS[decision]),
      el("span", { t: headline }),
    ),
    ...more,
    similarity === null || similarity === undefined ? null : scale(similarity, point),
    facts([
      similarity === null || similarity === undefined ? null : ["decision.similarity", similarity.toFixed(4)],
      ["decision.threshold", { t: ["decision.interval", spread(point)] }],
      asked ?? ["decision.asked", { t: ["decision.fmr", { rate: percent(point.fmr), n: 1 / point.fmr }] }],
      ["decision.evidence", { t: ["decision.comparisons", { n: point.n_nonmated }] }],
      ["decision.record", recordLink(point.record, reply.restored?.calibration_space ?? reply.space)],
      ...rows,
    ]),
    madeWith(reply, requestId),
  );
}

/** Why a picture gave no face that can be compared. */
export function refusalText(refusal) {
  const known = `refusal.${refusal.reason}`;
  return [
    el("strong", { t: `refusal.role.${refusal.role}` }),
    " ",
    isText(known) ? el("span", { t: known }) : null,
    " ",
    el("span", { lang: "en", class: "soft" }, refusal.detail),
  ];
}

/** Marks for `drawMarks` of a refused picture. */
export function refusalMarks(refusal) {
  return refusal.boxes.map((box, i) => ({ box, kind: "refused", label: refusal.boxes.length > 1 ? `${i + 1}` : "" }));
}

/** What a result was made with, folded away. */
export function madeWith(reply, requestId) {
  return el(
    "details",
    {},
    el("summary", { t: "decision.made_with" }),
    facts([
      ["made.profile", reply.profile],
      ["made.space", el("code", {}, reply.space)],
      ...reply.weights.map((w) => [
        "made.weights",
        el("span", {}, w.name, " ", Object.values(w.sha256).map((digest) => el("code", {}, digest, " "))),
      ]),
      requestId ? ["made.request", el("code", {}, requestId)] : null,
    ]),
  );
}

/** A link to the calibration record of an embedding space. */
export function recordLink(name, space) {
  return el("a", { href: `#/system/${encodeURIComponent(space)}` }, name);
}

function spread(point) {
  const [low, high] = point.interval95.map((value) => value.toFixed(4));
  return { value: point.threshold.toFixed(4), low, high };
}

/** The similarity beside the threshold and its interval, from a little below both up to 1. */
function scale(similarity, point) {
  const [low, high] = point.interval95;
  const floor = Math.max(-1, Math.min(similarity, low) - 0.25 * (1 - Math.min(similarity, low)));
  const x = (value) => 10 + (380 * (value - floor)) / (1 - floor);
  return el(
    "svg",
    {
      class: "scale",
      viewBox: "0 0 400 44",
      role: "img",
      aria: ["decision.scale", { similarity: similarity.toFixed(4), threshold: point.threshold.toFixed(4) }],
    },
    el("rect", { class: "below", x: 10, y: 16, width: x(low) - 10, height: 12 }),
    el("rect", { class: "within", x: x(low), y: 16, width: Math.max(1, x(high) - x(low)), height: 12 }),
    el("rect", { class: "above", x: x(high), y: 16, width: x(1) - x(high), height: 12 }),
    el("line", { class: "threshold", x1: x(point.threshold), x2: x(point.threshold), y1: 8, y2: 36 }),
    el("circle", { class: "similarity", cx: x(similarity), cy: 22, r: 8 }),
  );
}
