// The camera: a stream, frames of it, and a dialog that takes one picture.

import { button, el } from "./dom.js";

const QUALITY = 0.92;

/** Begin to show the camera in a video element; returns its stream. Throws an Error whose message is a key of texts. */
export async function startCamera(video) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("camera.insecure");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
      audio: false,
    });
  } catch (error) {
    throw new Error(FAULTS[error.name] ?? "camera.failed");
  }
  video.srcObject = stream;
  await video.play();
  return stream;
}

/** Switch the camera off. */
export function stopCamera(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

/** The frame that is shown now, on a canvas whose longer side has at most `largest` px. */
export function frameOf(video, largest = Infinity) {
  const scale = Math.min(1, largest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A canvas as a JPEG file. */
export function fileOf(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** A picture that the user takes in a dialog, or null. */
export async function takePicture() {
  const video = el("video", { muted: true, playsinline: true, aria: "camera.view" });
  const fault = el("p", { class: "fault", role: "alert" });
  const take = button("camera.take", () => dialog.close("taken"), { class: "main", disabled: true });
  const dialog = el(
    "dialog",
    { aria: "camera.title", class: "camera" },
    el("h2", { t: "camera.title" }),
    video,
    fault,
    el("div", { class: "row" }, take, button("cancel", () => dialog.close(""))),
  );
  document.body.append(dialog);
  dialog.showModal();
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const started = startCamera(video).then(
    () => {
      if (!dialog.open) stopCamera(video); // closed while the user was asked for permission
      take.disabled = false;
      take.focus();
    },
    (error) => fault.append(el("span", { t: error.message })),
  );
  await closed;
  const picture = dialog.returnValue === "taken" ? await fileOf(frameOf(video)) : null;
  dialog.remove();
  stopCamera(video);
  started.finally(() => stopCamera(video));
  return picture;
}

const FAULTS = {
  NotAllowedError: "camera.denied",
  NotFoundError: "camera.none",
  NotReadableError: "camera.taken",
};
