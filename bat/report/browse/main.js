// The page: one state, kept in the address; every change goes through `go`.

import { readAddress, START, writeAddress } from "./address.js";
import { correlations, Scatter } from "./compare.js";
import { readContent } from "./data.js";
import { drawDetail, nameOf } from "./detail.js";
import { asList, asPython } from "./export.js";
import { askedRanges, drawChips, drawHistogram, fillChoices, showRange } from "./filters.js";
import { Grid } from "./grid.js";
import { offerMethods, showMethods } from "./methods.js";
import { selected } from "./order.js";
import { drawReview, exportVerdicts, VERDICTS, Verdicts } from "./review.js";
import { whenLacking } from "./sheets.js";
import { shortly } from "./text.js";

const $ = (id) => document.getElementById(id);
const content = readContent(JSON.parse($("content").textContent));
const verdicts = new Verdicts(content.fingerprint);
const sliders = { from: $("from"), to: $("to"), text: $("range") };
const VIEWS = ["grid", "compare", "review"];
const FIRST = { train: "memorization", test: "accuracy" };
const SECOND = { train: ["confidence", "accuracy_excluded"], test: ["max_influence"] };

let state = readAddress(location.hash);
let indices = new Uint32Array();  // of the images that are shown, in their order

const split = () => content.splits[state.split];
const column = () => split().columns.get(state.sort) ?? split().columns.get(FIRST[state.split]);
const addressOf = (show) => writeAddress({ ...state, show });
const open = (index) => go({ show: { split: state.split, index } }, true);

function axes() {
  const { columns } = split();
  const second = SECOND[state.split].find((name) => columns.has(name)) ?? "n_pairs";
  return [columns.get(state.x) ?? columns.get(FIRST[state.split]),
    columns.get(state.y) ?? columns.get(second)];
}

const grid = new Grid($("grid"), {
  open,
  describe: (index) => {
    const caption = shortly(column().values[index]), verdict = verdicts.of(state.split, index);
    const parts = [nameOf(content, split(), index), `${column().title} ${caption}`, verdict];
    const name = parts.filter(Boolean).join(", ");
    return { caption, name, verdict, group: split().group[index] };
  },
});
const scatter = new Scatter($("scatter"), {
  open, brush: (ranges) => go({ ranges: { ...state.ranges, ...ranges } }, true),
});

// -- changes -----------------------------------------------------------------------------

let written = location.hash, timer = 0;  // `written` is what this page made of the address last

function write(put) {
  written = writeAddress(state);
  put(written);
}

// Change the state; `asStep` if the browser's back button is to come back to what was before.
function go(change, asStep = false) {
  state = { ...state, ...change };
  clearTimeout(timer);
  if (asStep) write((address) => { location.hash = address; });
  // browsers refuse many changes of the address in a short time
  else timer = setTimeout(() => write((address) => location.replace(address)), 150);
  show();
}

addEventListener("hashchange", () => {
  if (location.hash === written) return;
  clearTimeout(timer);
  state = readAddress(location.hash);
  written = location.hash;
  show();
});

// -- showing -----------------------------------------------------------------------------

let shownFilters = "", shownDetail = "";

function show() {
  const filters = writeAddress({ ...state, show: null, at: null });
  if (filters !== shownFilters) { shownFilters = filters; showFilters(); showView(); }
  if (state.view === "review") showReview();
  showDetail();
}

function showFilters() {
  const own = column();
  for (const name of ["train", "test"]) $(name).setAttribute("aria-pressed", name === state.split);
  fillChoices($("sort"), [...split().columns.values()].map(({ name, title }) => [name, title]));
  $("sort").value = own.name;
  $("about").textContent = own.about;
  $("order").textContent = state.down ? "↓ largest first" : "↑ smallest first";
  $("label").value = state.label;
  $("group").value = state.group;
  showMethods($, split(), state);
  if (document.activeElement !== $("find")) $("find").value = state.find;
  $("findable").textContent = split().names ? "Index or file name" : "Index";
  $("find").placeholder = split().names ? "17, 20-25 or a_bird.png" : "17, 20-25";
  indices = selected(split(), state, own);
  $("count").textContent =
    `${indices.length.toLocaleString("en")} of ${split().n.toLocaleString("en")} images`;
  $("nothing").hidden = indices.length > 0;
  showRange(sliders, state, own);
  drawHistogram($("histogram"), split(), state, own);
  drawChips($("chips"), split(), state, (name) => {
    const ranges = { ...state.ranges };
    delete ranges[name];
    go({ ranges });
  });
}

function showView() {
  for (const name of VIEWS) {
    $(`${name}view`).setAttribute("aria-pressed", name === state.view);
  }
  $("grid").hidden = state.view === "review" || !indices.length;
  $("comparing").hidden = state.view !== "compare";
  $("reviewing").hidden = state.view !== "review";
  if (state.view === "compare") showComparison();
  grid.show(split(), indices);
}

function showComparison() {
  const [x, y] = axes();
  for (const [id, own] of [["x", x], ["y", y]]) {
    fillChoices($(id), [...split().columns.values()].map(({ name, title }) => [name, title]));
    $(id).value = own.name;
  }
  scatter.show(split(), state, x, y);
  $("correlations").textContent = correlations(indices, x, y);
}

function showDetail() {
  const wanted = state.show ? `${state.show.split}-${state.show.index}` : "";
  const known = state.show && state.show.index < content.splits[state.show.split].n;
  $("detail").hidden = !known;
  if (wanted === shownDetail) return;
  shownDetail = wanted;
  if (known) {
    drawDetail($("shown"), content, state.show, addressOf);
    $("detail").scrollTop = 0;
    $("shown").querySelector("h2").focus();
    if (state.show.split === state.split) grid.point(state.show.index);
  } else $("grid").focus({ preventScroll: true });
}

function redraw() {  // what is drawn on canvases
  drawHistogram($("histogram"), split(), state, column());
  if (state.view === "compare") scatter.draw();
}

// -- the review --------------------------------------------------------------------------

const reviewed = () => (state.at === null ? 0 : Math.max(0, indices.indexOf(state.at)));

function showReview() {
  const at = reviewed();
  const place = { split: state.split, index: indices[at], at, of: indices.length };
  drawReview($("judged"), content, place, verdicts, addressOf);
  $("verdicts").textContent = verdicts.kept ? `${verdicts.count} verdicts in this browser`
    : "This browser keeps no verdicts when the page is closed; save them as CSV before.";
  $("save").disabled = verdicts.count === 0;
}

function step(by) {
  const at = reviewed() + by;
  if (at >= 0 && at < indices.length) go({ at: indices[at] });
}

function judge(verdict) {
  if (!indices.length) return;
  const at = reviewed();
  verdicts.give(state.split, indices[at], verdict);
  if (verdict && at + 1 < indices.length) step(1); else showReview();
}

function reviewKey(key) {
  if (key in VERDICTS) judge(VERDICTS[key]);
  else if (key === "ArrowLeft") step(-1);
  else if (key === "ArrowRight") step(1);
  else if (key === "Backspace") { step(-1); judge(""); }
  else return false;
  return true;
}

// -- wiring ------------------------------------------------------------------------------

const on = (id, kind, run) => $(id).addEventListener(kind, run);

for (const name of ["train", "test"]) {
  on(name, "click", () => go({ ...START, split: name, view: state.view }, true));
}
for (const view of VIEWS) on(`${view}view`, "click", () => go({ view }, true));
for (const key of ["sort", "label", "group", "x", "y"]) {
  on(key, "change", () => go({ [key]: $(key).value }, true));
}
on("order", "click", () => go({ down: !state.down }, true));
on("find", "input", () => go({ find: $("find").value }));
on("reset", "click", () => go({ ...START, split: state.split, view: state.view }, true));
on("close", "click", () => go({ show: null }, true));
for (const end of ["from", "to"]) {
  on(end, "input", () => go({ ranges: askedRanges(sliders, state, column()) }));
}
for (const [id, sort, down] of [["labels", "suspicion", true], ["copies", "nearest", false]]) {
  on(id, "click", () => {
    const known = split().columns.has(sort);
    go({ sort, down, at: null, split: known ? state.split : "train" }, true);
  });
}
for (const verdict of Object.values(VERDICTS)) on(verdict, "click", () => judge(verdict));
on("previous", "click", () => step(-1));
on("next", "click", () => step(1));
on("save", "click", () => { verdicts.refresh(); exportVerdicts(content, verdicts); });
addEventListener("storage", () => {  // another tab
  verdicts.refresh();
  grid.draw();
  if (state.view === "review") showReview();
});
on("export", "click", () => {
  $("list").value = asList(indices);
  $("python").value = asPython(content.dataset, state.split, indices);
  $("exported").showModal();
});
on("done", "click", () => $("exported").close());
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    $(button.dataset.copy).select();
    document.execCommand("copy");
  });
}

addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("exported").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && state.show) go({ show: null }, true);
  else if (event.key === "/" && !typing) { $("filters").open = true; $("find").focus(); }
  else if (typing || state.view !== "review" || !reviewKey(event.key)) return;
  event.preventDefault();
});

// -- colours -----------------------------------------------------------------------------

const THEMES = { "": "Colours: system", light: "Colours: light", dark: "Colours: dark" };

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = THEMES[theme];
  redraw();
}

function remembered() {
  try { return localStorage.getItem("bat-theme"); } catch { return null; }
}

on("theme", "click", () => {
  const names = Object.keys(THEMES), at = names.indexOf(document.documentElement.dataset.theme);
  const theme = names[(at + 1) % names.length];
  setTheme(theme);
  try { localStorage.setItem("bat-theme", theme); } catch { /* not kept */ }
});

whenLacking((address) => {
  const folder = address.slice(0, address.lastIndexOf("/"));
  $("lacking").hidden = false;
  $("lacking").textContent = `${address} cannot be read: images lie in ${folder} beside this page. `
    + "Copy that folder along with the page, or make the page again.";
});
offerMethods($, content.methods, (change) => go({ ...START, view: state.view, ...change }, true));
fillChoices($("label"), [["", "all"], ...content.classes.map((name, i) => [i, name])]);
if (matchMedia("(max-width: 50rem)").matches) $("filters").open = false;
show();
setTheme(remembered() in THEMES ? remembered() : "");
