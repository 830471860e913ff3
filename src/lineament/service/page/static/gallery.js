// The choice of a gallery, and what the views ask of it.

import { ApiError, call, get } from "./api.js";
import { el, field, fill } from "./dom.js";

const STORED_AS = "lineament.gallery";
const PAGE = 1000; // entries, as many as the service gives at once

/** The path of a gallery's route; parts are encoded. */
export function path(gallery, ...parts) {
  // browsers take such parts, however they are encoded, for steps to another address: to that of the gallery itself
  if (parts.some((part) => part === "." || part === "..")) {
    throw new ApiError(0, "input_unusable", 'ids "." and ".." have no address; use the command line');
  }
  return ["/v1/galleries", ...[gallery, ...parts].map(encodeURIComponent)].join("/");
}

/** All entries of a list that comes in pages. */
export async function all(start, member, signal) {
  const entries = [];
  let after = null;
  do {
    const next = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    const page = await get(`${start}?limit=${PAGE}${next}`, { signal });
    entries.push(...page[member]);
    after = page.next;
  } while (after !== null);
  return entries;
}

/**
 * A labelled choice of a gallery; `value` is its name, empty for none. `none` is the text of that choice, which is
 * there only when it is given; `onChange` is called with the name once it is known and when it changes.
 */
export class GalleryChoice {
  constructor({ none = null, chosen = "", onChange = () => {}, onFault = () => {}, signal }) {
    this.select = el("select", { on: { change: () => this.#tell(true) } });
    this.node = field("gallery.field", this.select);
    this.onChange = onChange;
    this.ready = this.#load(none, chosen, signal).catch((error) => signal?.aborted || onFault(error));
  }

  get value() {
    return this.select.value;
  }

  async #load(none, chosen, signal) {
    const names = await all("/v1/galleries", "galleries", signal);
    const first = none ?? (names.length ? null : "gallery.none");
    fill(
      this.select,
      first ? el("option", { value: "", t: first }) : null,
      names.map((name) => el("option", { value: name }, name)),
    );
    const wanted = chosen || localStorage.getItem(STORED_AS);
    this.select.value = names.includes(wanted) ? wanted : this.select.options[0].value;
    this.#tell(false);
  }

  #tell(keep) {
    if (keep) localStorage.setItem(STORED_AS, this.value);
    this.onChange(this.value);
  }
}

/** Make a gallery and choose it. */
export async function createGallery(name) {
  await call("POST", "/v1/galleries", { json: { name } });
  localStorage.setItem(STORED_AS, name);
}
