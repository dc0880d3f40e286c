// One image: enlarged, all its scores, and the images that it carries or is carried by.

import { rankOf } from "./order.js";
import { paint } from "./sheets.js";
import { element, shortly } from "./text.js";

export function image(split, index, edge, name) {
  const made = element("span", { class: "image", role: "img", "aria-label": name });
  paint(made, split, index, edge);
  return made;
}

const withError = (value, se) =>
  Number.isFinite(se) ? `${shortly(value)} ± ${shortly(se)}` : shortly(value);

function scoreRows(split, index) {
  return [...split.columns.values()].filter(({ name }) => name !== "index").map((column) => {
    const rank = rankOf(column, index);
    const value = withError(column.values[index], column.se?.[index]);
    return element("tr", {},
      element("th", { scope: "row", text: column.title, title: column.about }),
      element("td", { text: value }),
      element("td", { text: rank === null ? "" : `${rank.toLocaleString("en")}.` }));
  });
}

const percent = (share) => `${Math.round(100 * share)} %`;

// What models without an image take it for, in words; empty where nobody knows.
export function takenFor(content, split, index) {
  const { models, classes } = split.predictions?.(index) ?? { models: 0 };
  if (!models) return "";
  const parts = classes.map(({ label, share }) => {
    const own = label === split.label[index] ? ", its label" : "";
    return `${content.classes[label]} (${percent(share)}${own})`;
  });
  const rest = 1 - classes.reduce((sum, { share }) => sum + share, 0);
  if (rest > 0.5 / models) parts.push(`others (${percent(rest)})`);
  return `Models without it (${models}) take it for ${parts.join(", ")}.`;
}

const STANDING = ["in neither group", "typical", "atypical"];

export function nameOf(content, split, index) {
  return `${split.name} ${index}, ${content.classes[split.label[index]]}`;
}

// A list of images, each a link to its own detail.
export function linked(content, entries, edge, addressOf) {
  const list = element("ul", { class: "linked" });
  for (const { split: of, index, caption } of entries) {
    const split = content.splits[of];
    const name = nameOf(content, split, index);
    const picture = image(split, index, edge, name);
    list.append(element("li", {}, element(
      "a", { href: addressOf({ split: of, index }) }, picture,
      element("span", { text: `${content.classes[split.label[index]]} · ${index}` }),
      element("small", { text: caption }),
    )));
  }
  return list;
}

const MOST = 60;

export function drawDetail(box, content, { split: name, index }, addressOf) {
  const split = content.splits[name], other = name === "train" ? "test" : "train";
  const pairs = content.pairs.of(name, index);
  const label = content.classes[split.label[index]];
  const edge = Math.min(320, window.innerWidth - 48);
  const kind = name === "train" ? "Training image" : "Test image";
  const title = name === "train" ? "Test images that it carries" : "Training images that carry it";
  const entries = pairs.slice(0, MOST).map(({ index: one, influence, se }) => (
    { split: other, index: one, caption: withError(influence, se) }));
  const more = pairs.length > MOST ? ` (the first ${MOST} of ${pairs.length})` : "";
  const source = split.source[index], taken = takenFor(content, split, index);
  box.replaceChildren(
    element("h2", { text: `${kind} ${index}`, tabindex: "-1" }),
    element("p", {
      text: `${label}, ${STANDING[split.group[index]]}. Row ${source} of the source.`,
    }),
    ...(split.names?.[index] ? [element("p", { class: "file", text: split.names[index] })] : []),
    image(split, index, edge, `${kind} ${index}, ${label}`),
    ...(taken ? [element("p", { class: "taken", text: taken })] : []),
    element("table", { class: "scores" },
      element("thead", {}, element("tr", {}, ...["Score", "± standard error", "Rank"].map(
        (text) => element("th", { scope: "col", text })))),
      element("tbody", {}, ...scoreRows(split, index))),
    element("h3", { text: `${title}${more}` }),
    entries.length ? linked(content, entries, 64, addressOf)
      : element("p", { class: "note", text: "None among the pairs that were kept." }),
    ...nearestRows(content, name, index, addressOf),
  );
}

function nearestRows(content, name, index, addressOf) {
  const entries = content.nearest.of(name, index).map(({ split, index: one, distance }) => (
    { split, index: one, caption: `${split}, ${apart(distance)}` }));
  if (!entries.length) return [];
  return [element("h3", { text: "Nearest images in pixels" }),
    linked(content, entries, 64, addressOf)];
}

export const apart = (distance) => (distance === 0 ? "equal" : `apart ${shortly(distance)}`);
