// The page: one state, kept in the address; every change goes through `go`.

import { readAddress, START, writeAddress } from "./address.js";
import { readContent } from "./data.js";
import { drawDetail, nameOf } from "./detail.js";
import { askedRanges, drawChips, drawHistogram, fillChoices, showRange } from "./filters.js";
import { Grid } from "./grid.js";
import { selected } from "./order.js";
import { shortly } from "./text.js";

const $ = (id) => document.getElementById(id);
const content = readContent(JSON.parse($("content").textContent));
const sliders = { from: $("from"), to: $("to"), text: $("range") };
const FIRST = { train: "memorization", test: "accuracy" };

let state = readAddress(location.hash);
let indices = new Uint32Array();

const split = () => content.splits[state.split];
const column = () => split().columns.get(state.sort) ?? split().columns.get(FIRST[state.split]);
const addressOf = (show) => writeAddress({ ...state, show });

const grid = new Grid($("grid"), {
  describe: (index) => {
    const value = shortly(column().values[index]);
    const name = `${nameOf(content, split(), index)}, ${column().title} ${value}`;
    return { caption: value, name, group: split().group[index] };
  },
  open: (index) => go({ show: { split: state.split, index } }, true),
});

// -- changes -----------------------------------------------------------------------------

let written = location.hash;

// Change the state; `asStep` if the browser's back button is to come back to what was before.
function go(change, asStep = false) {
  state = { ...state, ...change };
  written = writeAddress(state);
  if (asStep) location.hash = written;
  else later(() => location.replace(written));
  show();
}

let timer = 0;

function later(run) {  // browsers refuse many changes of the address in a short time
  clearTimeout(timer);
  timer = setTimeout(run, 150);
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
  const { show: _, ...rest } = state;
  const filters = writeAddress({ ...rest, show: null });
  if (filters !== shownFilters) { shownFilters = filters; showFilters(); }
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
  if (document.activeElement !== $("find")) $("find").value = state.find;
  indices = selected(split(), state, own);
  $("count").textContent =
    `${indices.length.toLocaleString("en")} of ${split().n.toLocaleString("en")} images`;
  $("nothing").hidden = indices.length > 0;
  showRange(sliders, state, own);
  drawHistogram($("histogram"), split(), state, own);
  drawChips($("chips"), split(), state, (name) => {
    const { [name]: _, ...ranges } = state.ranges;
    go({ ranges });
  });
  grid.show(split(), indices);
}

function showDetail() {
  const wanted = state.show ? `${state.show.split}-${state.show.index}` : "";
  const known = state.show && state.show.index < content.splits[state.show.split].n;
  $("detail").hidden = !known;
  document.body.classList.toggle("open", Boolean(known));
  if (wanted === shownDetail) return;
  shownDetail = wanted;
  if (known) {
    drawDetail($("shown"), content, state.show, addressOf);
    $("detail").scrollTop = 0;
    $("shown").querySelector("h2").focus();
    if (state.show.split === state.split) grid.point(state.show.index);
  } else $("grid").focus({ preventScroll: true });
}

// -- wiring ------------------------------------------------------------------------------

for (const name of ["train", "test"]) {
  $(name).addEventListener("click", () => go({ ...START, split: name }, true));
}
$("sort").addEventListener("change", () => go({ sort: $("sort").value }, true));
$("order").addEventListener("click", () => go({ down: !state.down }, true));
$("label").addEventListener("change", () => go({ label: $("label").value }, true));
$("group").addEventListener("change", () => go({ group: $("group").value }, true));
$("find").addEventListener("input", () => go({ find: $("find").value }));
$("reset").addEventListener("click", () => go({ ...START, split: state.split }, true));
$("close").addEventListener("click", () => go({ show: null }, true));
for (const end of ["from", "to"]) {
  sliders[end].addEventListener("input", () => go({ ranges: askedRanges(sliders, state, column()) }));
}
addEventListener("resize", () => drawHistogram($("histogram"), split(), state, column()));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target.matches("input:not([type=range]), select, textarea");
  if (event.key === "Escape" && state.show) go({ show: null }, true);
  else if (event.key === "/" && !typing) $("find").focus();
  else return;
  event.preventDefault();
});

fillChoices($("label"), [["", "all"], ...content.classes.map((name, i) => [i, name])]);
if (matchMedia("(max-width: 50rem)").matches) $("filters").open = false;
show();
