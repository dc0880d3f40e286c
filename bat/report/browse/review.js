// Images one by one, each kept, wrong or unsure: verdicts stay in this browser until exported.

import { apart, image, linked, takenFor } from "./detail.js";
import { saveText } from "./export.js";
import { element, shortly } from "./text.js";

export const VERDICTS = { k: "keep", w: "wrong", u: "unsure" };

export class Verdicts {
  constructor(fingerprint) {
    this.place = `bat-review/${fingerprint}`;
    this.kept = true;
    this.given = this.#read();
  }

  // Take in what other tabs have given or cleared; where nothing is kept, this page's are all.
  refresh() { if (this.kept) this.given = this.#read(); }

  #read() {
    try {
      const found = JSON.parse(localStorage.getItem(this.place)) ?? {};
      const sound = ([key, value]) => /^(train|test)-\d+$/.test(key)
        && Object.values(VERDICTS).includes(value);
      return Object.fromEntries(Object.entries(found).filter(sound));
    } catch { return {}; }
  }

  of(split, index) { return this.given[`${split}-${index}`] ?? ""; }

  give(split, index, verdict) {
    this.refresh();
    if (verdict) this.given[`${split}-${index}`] = verdict;
    else delete this.given[`${split}-${index}`];
    try {
      localStorage.setItem(this.place, JSON.stringify(this.given));
      this.kept = true;
    } catch { this.kept = false; }
  }

  get count() { return Object.keys(this.given).length; }
}

// What a spreadsheet would take for a formula is marked as text.
const cell = (text) => {
  const marked = /^\s*[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(marked) ? `"${marked.replaceAll('"', '""')}"` : marked;
};

export function verdictsCsv(content, verdicts) {
  const entries = Object.entries(verdicts.given).map(([key, verdict]) => {
    const [split, index] = key.split("-");
    return { split, index: Number(index), verdict };
  }).filter(({ split, index }) => index < content.splits[split].n);
  entries.sort((a, b) => b.split.localeCompare(a.split) || a.index - b.index);
  const named = Object.values(content.splits).some(({ names }) => names);
  const rows = entries.map(({ split, index, verdict }) => {
    const { source, label, names } = content.splits[split];
    const name = content.classes[label[index]];
    const row = [split, `${index}`, `${source[index]}`, `${label[index]}`, name, verdict];
    return named ? [...row, names?.[index] ?? ""] : row;
  });
  const head = ["split", "index", "source_index", "label", "class", "verdict"];
  if (named) head.push("file");
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

export function exportVerdicts(content, verdicts) {
  const name = content.dataset.replace(/[^\p{L}\p{N}]+/gu, "-");
  saveText(verdictsCsv(content, verdicts), `review-${name}.csv`, "text/csv");
}

// The image to judge, what it is called, and the image that is most like it.
export function drawReview(box, content, { split: name, index, at, of }, verdicts, addressOf) {
  if (index === undefined) { box.replaceChildren(); return; }
  const split = content.splits[name], label = content.classes[split.label[index]];
  const scores = ["suspicion", "memorization", "accuracy", "confidence"].filter((column) =>
    split.columns.has(column)).map((column) => {
    const { title, values } = split.columns.get(column);
    return `${title} ${shortly(values[index])}`;
  });
  const taken = takenFor(content, split, index);
  const [near] = content.nearest.of(name, index);
  const edge = Math.max(96, Math.min(256, innerWidth - 180, innerHeight - 360));
  box.replaceChildren(
    element("h2", { text: `Is this “${label}”?` }),
    element("div", { class: "pair" }, image(split, index, edge, `${name} ${index}, ${label}`),
      ...(near ? [element("div", {}, element("p", { class: "note", text: "Most like it:" }),
        linked(content, [{ ...near, caption: `${near.split}, ${apart(near.distance)}` }], 64,
          addressOf))] : [])),
    element("p", {
      class: "judged", text: `${split.name} ${index}, ${at + 1} of ${of}. ${scores.join(", ")}.`,
    }),
    ...(taken ? [element("p", { class: "taken", text: taken })] : []),
    element("p", { text: `Verdict: ${verdicts.of(name, index) || "none yet"}` }),
  );
}
