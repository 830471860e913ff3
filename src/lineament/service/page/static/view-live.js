// The camera with boxes and names. Frames are judged one after another; none is kept. What is shown is the frame that
// was judged, so that a box never lies beside its face, nor a name on somebody else who has come into its place.

import { call, pause } from "./api.js";
import { fileOf, frameOf, startCamera, stopCamera } from "./camera.js";
import { recordLink } from "./decision.js";
import { button, el, facts, fill, say } from "./dom.js";
import { drawMarks, drawPicture, unturned } from "./draw.js";
import { GalleryChoice, path } from "./gallery.js";
import { number, text } from "./i18n.js";
import { RateChoice } from "./rate.js";
import { faultText } from "./task.js";
import { askedRow, nameOf } from "./view-identify.js";

const LARGEST = 960; // px: faces of 50 px stay above what can be compared at arm's length, and frames stay small
const SHORTEST_MS = 200; // between frames, so that one page leaves a key some requests

/** The view. */
export function liveView(_rest, signal) {
  const parts = {
    video: el("video", { muted: true, playsinline: true, aria: "camera.view" }),
    canvas: el("canvas", { "aria-hidden": "true" }),
    fault: el("div", { role: "alert" }),
    names: el("p", { role: "status", class: "names" }),
    seen: el("div"),
  };
  parts.gallery = new GalleryChoice({ none: "live.no_names", signal, onFault: (error) => fill(parts.fault, faultText(error)) });
  parts.rate = new RateChoice("fpir");
  let stop = null;
  const toggle = button("live.start", async () => {
    if (stop) return stop.abort();
    stop = new AbortController();
    say(toggle, { t: "live.stop" });
    await watch(parts, stop.signal);
    stop = null;
    say(toggle, { t: "live.start" });
  }, { class: "main" });
  signal.addEventListener("abort", () => stop?.abort(), { once: true });
  return [
    el("div", { class: "ask" }, parts.gallery.node, parts.rate.node, toggle),
    parts.fault,
    el("div", { class: "stage" }, parts.video, parts.canvas),
    parts.names,
    parts.seen,
    el("p", { class: "soft small", t: "live.privacy" }),
  ];
}

async function watch(parts, signal) {
  fill(parts.fault);
  await parts.gallery.ready;
  if (parts.gallery.value && !parts.rate.check()) return;
  try {
    await startCamera(parts.video);
    while (!signal.aborted) {
      const began = performance.now();
      if (!document.hidden) await judge(parts, signal, began);
      await pause(Math.max(0, SHORTEST_MS - (performance.now() - began)), signal);
    }
  } catch (error) {
    if (!signal.aborted) fill(parts.fault, error.code ? faultText(error) : el("p", { class: "fault", t: error.message }));
  } finally {
    stopCamera(parts.video);
    parts.canvas.width = 0;
    fill(parts.names);
    fill(parts.seen);
  }
}

async function judge(parts, signal, began) {
  const frame = frameOf(parts.video, LARGEST);
  const picture = await fileOf(frame);
  const gallery = parts.gallery.value;
  const route = gallery ? path(gallery, "identify") : "/v1/detect";
  const form = gallery ? { picture, faces: "all", fpir: parts.rate.value } : { picture };
  const { body } = await call("POST", route, { form, signal });
  if (signal.aborted) return;
  drawPicture(parts.canvas, frame);
  const marks = body.faces.map((face) => ({
    box: unturned(face.box, face.rotation_deg ?? body.rotation_deg ?? 0, frame),
    kind: face.decision ?? "face",
    label: gallery ? label(face) : "",
  }));
  drawMarks(parts.canvas, marks, 1);
  tell(parts, body, gallery, Math.round(performance.now() - began));
}

/** Names are said aloud when they change; figures are there to read. */
function tell(parts, body, gallery, ms) {
  const names = gallery ? body.faces.map((face) => nameOf(face) ?? text("live.unknown")).join(", ") : "";
  const said = text("live.faces", { n: body.faces.length }) + (names ? `: ${names}` : "");
  if (parts.names.textContent !== said) parts.names.textContent = said;
  fill(
    parts.seen,
    facts([
      ["live.time", `${ms} ms`],
      ...(gallery ? body.faces.map((face) => [`live.${face.decision}`, figures(face)]) : []),
      body.detected > body.faces.length ? ["live.left_out", number(body.detected - body.faces.length)] : null,
      gallery ? ["decision.threshold", body.point.threshold.toFixed(4)] : null,
      gallery ? askedRow(body) : null,
      gallery ? ["decision.record", recordLink(body.point.record, body.space)] : null,
    ]),
  );
}

function figures(face) {
  if (!face.nearest) return text("identify.empty");
  const name = nameOf(face);
  const similarity = face.nearest.similarity.toFixed(4);
  return name ? `${name}, ${similarity}` : text("live.nearest", { similarity });
}

function label(face) {
  const name = nameOf(face);
  const mark = face.decision === "undecided" ? "? " : "";
  return name ? `${mark}${name} ${face.nearest.similarity.toFixed(2)}` : text("live.unknown");
}
