// The choice of a rate. There is no default: the last choice of this browser is kept, a new user must choose.

import { get } from "./api.js";
import { el, field, fill } from "./dom.js";

const RATES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];

/** A labelled choice of a rate; `kind` is "fmr" or "fpir". `value` is the rate as a text, empty for none. */
export class RateChoice {
  constructor(kind) {
    this.kind = kind;
    this.storedAs = `lineament.${kind}`;
    this.select = el("select", { required: true, on: { change: () => this.#keep() } });
    this.node = field(`rate.${kind}`, this.select, `rate.${kind}.hint`);
    this.#offer(RATES);
    if (kind === "fmr") this.#limit();
  }

  get value() {
    return this.select.value;
  }

  /** Whether a rate was chosen; else the user is told. */
  check() {
    return this.select.reportValidity();
  }

  #keep() {
    localStorage.setItem(this.storedAs, this.select.value);
  }

  #offer(rates) {
    const chosen = this.select.value || localStorage.getItem(this.storedAs);
    fill(
      this.select,
      el("option", { value: "", t: "rate.choose" }),
      rates.map((rate) =>
        el("option", { value: rate, t: [`rate.${this.kind}.option`, { n: Math.round(1 / rate), rate: percent(rate) }] }),
      ),
    );
    this.select.value = rates.includes(Number(chosen)) ? String(Number(chosen)) : "";
  }

  /** Offer only rates that the calibration record supports. */
  async #limit() {
    try {
      const used = (await get("/v1/calibrations")).find((record) => record.in_use);
      if (!used) return;
      this.#offer(RATES.filter((rate) => rate <= used.largest_fmr * 1.0001 && rate >= used.smallest_fmr * 0.9999));
    } catch {
      // a key without "read": the service will say what it refuses
    }
  }
}

/** A fraction as a percentage. */
export function percent(rate) {
  return `${Number((rate * 100).toPrecision(3))} %`;
}
