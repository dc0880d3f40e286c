// The state of the page as the part of its address behind the #, and back.

export const START = {
  split: "train", view: "grid", sort: "", down: true, x: "", y: "", label: "", group: "", find: "",
  ranges: {}, show: null, at: null,
};

const GROUPS = ["typical", "atypical", "neither"], VIEWS = ["grid", "compare", "review"];

// A state from an address; what it cannot mean is left out.
export function readAddress(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...START, ranges: {} };
  if (given.get("split") === "test") state.split = "test";
  if (VIEWS.includes(given.get("view"))) state.view = given.get("view");
  for (const key of ["sort", "x", "y"]) state[key] = given.get(key) ?? "";
  state.down = given.get("order") !== "up";
  if (/^\d+$/.test(given.get("class") ?? "")) state.label = given.get("class");
  if (GROUPS.includes(given.get("group"))) state.group = given.get("group");
  state.find = given.get("find") ?? "";
  for (const [key, text] of given) {
    const range = /^(-?[\d.e+-]+)?~(-?[\d.e+-]+)?$/.exec(text);
    if (!key.startsWith("range.") || !range) continue;
    const [low, high] = [Number(range[1] ?? -Infinity), Number(range[2] ?? Infinity)];
    if (!Number.isNaN(low) && !Number.isNaN(high)) state.ranges[key.slice(6)] = [low, high];
  }
  const shown = /^(train|test)-(\d+)$/.exec(given.get("show") ?? "");
  if (shown) state.show = { split: shown[1], index: Number(shown[2]) };
  if (/^\d+$/.test(given.get("at") ?? "")) state.at = Number(given.get("at"));
  return state;
}

export function writeAddress(state) {
  const parts = new URLSearchParams();
  if (state.split !== START.split) parts.set("split", state.split);
  if (state.view !== START.view) parts.set("view", state.view);
  for (const key of ["sort", "x", "y"]) if (state[key]) parts.set(key, state[key]);
  if (!state.down) parts.set("order", "up");
  if (state.label !== "") parts.set("class", state.label);
  if (state.group) parts.set("group", state.group);
  if (state.find.trim()) parts.set("find", state.find);
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    const [from, to] = [low, high].map((end) => (Number.isFinite(end) ? end : ""));
    parts.set(`range.${name}`, `${from}~${to}`);
  }
  if (state.show) parts.set("show", `${state.show.split}-${state.show.index}`);
  if (state.view === "review" && state.at !== null) parts.set("at", state.at);
  return `#${parts}`;
}
