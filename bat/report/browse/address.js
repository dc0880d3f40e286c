// The state of the page as the part of its address behind the #, and back.

export const START = {
  split: "train", sort: "", down: true, label: "", group: "", find: "", ranges: {}, show: null,
};

const GROUPS = ["typical", "atypical", "neither"];

// A state from an address; what it cannot mean is left out.
export function readAddress(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...START, ranges: {} };
  if (given.get("split") === "test") state.split = "test";
  state.sort = given.get("sort") ?? "";
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
  return state;
}

export function writeAddress(state) {
  const parts = new URLSearchParams();
  if (state.split !== START.split) parts.set("split", state.split);
  if (state.sort) parts.set("sort", state.sort);
  if (!state.down) parts.set("order", "up");
  if (state.label !== "") parts.set("class", state.label);
  if (state.group) parts.set("group", state.group);
  if (state.find.trim()) parts.set("find", state.find);
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    const [from, to] = [low, high].map((end) => (Number.isFinite(end) ? end : ""));
    parts.set(`range.${name}`, `${from}~${to}`);
  }
  if (state.show) parts.set("show", `${state.show.split}-${state.show.index}`);
  return `#${parts}`;
}
