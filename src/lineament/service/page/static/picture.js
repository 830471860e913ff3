// A place for one picture: chosen, dropped, pasted or taken with the camera, and what was found in it.

import { takePicture } from "./camera.js";
import { button, el, fill, say } from "./dom.js";
import { drawMarks, drawPicture } from "./draw.js";

const places = new Set();

/**
 * A place for a picture. `file` is the picture or null; `onChange` is called when there is another one. The picture is
 * let go when `signal` says that the view is left.
 */
export class PicturePlace {
  constructor(title, signal, onChange) {
    this.file = null;
    this.title = title;
    this.onChange = onChange;
    this.bitmap = null;
    this.canvas = el("canvas", { role: "img", hidden: true, aria: title });
    this.empty = el("p", { class: "soft empty", t: "picture.empty" });
    this.note = el("p", { class: "soft small" });
    this.input = el("input", {
      type: "file",
      accept: "image/*",
      class: "visually-hidden",
      tabindex: "-1",
      aria: title,
      on: { change: () => this.input.files[0] && this.set(this.input.files[0]) },
    });
    this.clearButton = button("picture.clear", () => this.set(null), { hidden: true });
    this.node = el(
      "section",
      {
        class: "place",
        aria: title,
        on: {
          dragover: (event) => (event.preventDefault(), this.node.classList.add("over")),
          dragleave: () => this.node.classList.remove("over"),
          drop: (event) => this.#drop(event),
        },
      },
      el("p", { class: "title", t: title }),
      el("div", { class: "frame" }, this.canvas, this.empty),
      this.note,
      el(
        "div",
        { class: "row" },
        button("picture.choose", () => this.input.click()),
        button("picture.camera", () => this.#take()),
        this.clearButton,
      ),
      this.input,
    );
    places.add(this);
    signal.addEventListener("abort", () => (places.delete(this), this.#forget()), { once: true });
  }

  /** Take a file as the picture, or null for none. */
  async set(file) {
    this.#forget();
    this.file = file;
    this.input.value = "";
    this.canvas.hidden = true;
    this.clearButton.hidden = !file;
    say(this.empty, { t: file ? "picture.unshown" : "picture.empty" });
    this.empty.hidden = false;
    fill(this.note);
    this.onChange();
    if (!file) return;
    // the browser turns the picture as its metadata say, as the service does
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (this.file !== file || !bitmap) return bitmap?.close();
    this.bitmap = bitmap;
    this.show([]);
  }

  /** Show boxes of faces (`drawMarks`) on the picture, turned clockwise by `turnDeg`; `words` say what they show. */
  show(marks, turnDeg = 0, words = null) {
    if (words) fill(this.note, [words].flat());
    if (!this.bitmap) return;
    const scale = drawPicture(this.canvas, this.bitmap, turnDeg);
    drawMarks(this.canvas, marks, scale);
    this.canvas.hidden = false;
    this.empty.hidden = true;
  }

  #forget() {
    this.file = null;
    this.bitmap?.close();
    this.bitmap = null;
  }

  #drop(event) {
    event.preventDefault();
    this.node.classList.remove("over");
    const file = pictureIn(event.dataTransfer);
    if (file) this.set(file);
  }

  async #take() {
    const picture = await takePicture();
    if (picture) this.set(picture);
  }
}

// A pasted picture goes to the place that has the focus, else to the first empty one, else to the last.
document.addEventListener("paste", (event) => {
  const file = pictureIn(event.clipboardData);
  for (const place of places) if (!place.node.isConnected) places.delete(place);
  if (!file || places.size === 0) return;
  const shown = [...places];
  const place =
    shown.find((p) => p.node.contains(document.activeElement)) ?? shown.find((p) => !p.file) ?? shown.at(-1);
  event.preventDefault();
  place.set(file);
});

// A picture that misses its place must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

function pictureIn(transfer) {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}
