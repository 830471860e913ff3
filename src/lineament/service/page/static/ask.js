// Dialogs that ask before something is done for good, and receipts of what was done.

import { button, el, facts } from "./dom.js";
import { moment } from "./i18n.js";

/** Whether the user confirms; `question` and `act` are keys of texts or [key, values]. */
export function confirmed(question, act) {
  return new Promise((resolve) => {
    const dialog = el(
      "dialog",
      { aria: question, on: { close: () => (resolve(dialog.returnValue === "yes"), dialog.remove()) } },
      el("p", { t: question }),
      el(
        "div",
        { class: "row" },
        button("cancel", () => dialog.close("")),
        button(act, () => dialog.close("yes"), { class: "danger" }),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What a removal did, with its receipt to keep. */
export function removalCard(removal, name) {
  const { receipt } = removal;
  return el(
    "article",
    { class: "done" },
    el("h3", { t: ["removal.title", { name, n: removal.samples }] }),
    el("p", { t: removal.purged ? "removal.purged" : "removal.not_purged" }),
    receipt ? receiptParts(receipt) : el("p", { t: "removal.no_receipt" }),
  );
}

function receiptParts(receipt) {
  const link = el("a", {
    href: URL.createObjectURL(new Blob([receiptText(receipt)], { type: "application/json" })),
    download: `receipt-${receipt.gallery_id.slice(0, 8)}-${Math.round(receipt.removed_s)}.json`,
    t: "removal.save",
  });
  const copies = receipt.copies.map((copy) => el("li", { t: ["removal.copy", { path: copy.path, made: moment(copy.made_s) }] }));
  return [
    facts([
      ["removal.when", moment(receipt.removed_s)],
      ["removal.samples", el("code", {}, receipt.sample_ids.join(", "))],
      ["removal.key", el("code", {}, receipt.public_key)],
      ["removal.signature", el("code", {}, receipt.signature)],
    ]),
    copies.length ? [el("p", { t: "removal.copies" }), el("ul", {}, copies)] : el("p", { t: "removal.no_copies" }),
    el("p", {}, link),
  ];
}

/** The receipt as it was signed: whole moments have a decimal point, which JSON.stringify leaves out. */
function receiptText(receipt) {
  return JSON.stringify(receipt, null, 1).replace(/("(?:removed|made)_s": \d+)(?=[,\n])/g, "$1.0");
}
