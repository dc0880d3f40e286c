// Sorting, filtering and counting samples: functions of arrays, which know nothing of the page.

// Indices by value, smallest first; equal ones by index, what has no value last.
//
// A float32 and an index fit into the 53 bits of a number exactly, and plain numbers are sorted
// without calling a function for each pair.
export function sortedIndices(values) {
  const plain = new Float32Array(values);
  for (let i = 0; i < plain.length; i++) plain[i] += 0;  // no negative zero
  const bits = new Uint32Array(plain.buffer);
  const keys = new Float64Array(values.length), all = new Uint32Array(values.length);
  let known = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const rising = (bits[i] >>> 31 ? ~bits[i] : bits[i] | 0x80000000) >>> 0;
    keys[known++] = rising * INDICES + i;
  }
  const sorted = keys.subarray(0, known).sort();
  for (let at = 0; at < known; at++) all[at] = sorted[at] % INDICES;
  let at = known;
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) all[at++] = i;
  return { order: all, known };
}

const INDICES = 2 ** 21;

// Which of n samples "3, 7-9" names, 1 or 0 each; null if the text is empty or says something else.
export function readNumbers(text, n) {
  const parts = text.split(/[\s,;[\]()]+/).filter(Boolean), found = new Uint8Array(n);
  for (const part of parts) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!range) return null;
    const first = Number(range[1]);
    found.fill(1, first, Number(range[2] ?? first) + 1);
  }
  return parts.length ? found : null;
}

const GROUP_NAMES = ["neither", "typical", "atypical"];

// Which samples of a split a state lets through, 1 or 0 each; without the ranges of some scores.
export function passing(split, state, without = []) {
  const pass = new Uint8Array(split.n).fill(1);
  const drop = (test) => {
    for (let i = 0; i < split.n; i++) if (pass[i] && !test(i)) pass[i] = 0;
  };
  if (state.label !== "") drop((i) => split.label[i] === Number(state.label));
  if (state.group) drop((i) => GROUP_NAMES[split.group[i]] === state.group);
  const wanted = readNumbers(state.find, split.n), part = state.find.trim().toLowerCase();
  if (wanted) drop((i) => wanted[i]);
  else if (part && split.names) drop((i) => split.lowered[i].includes(part));
  for (const [name, [low, high]] of Object.entries(state.ranges)) {
    if (without.includes(name) || !split.columns.has(name)) continue;
    const { values } = split.columns.get(name);
    drop((i) => values[i] >= low && values[i] <= high);
  }
  return pass;
}

const orders = new WeakMap();  // of each column, made once

export function orderOf(column) {
  if (!orders.has(column)) orders.set(column, sortedIndices(column.values));
  return orders.get(column);
}

// What is shown, in its order.
export function selected(split, state, column) {
  const pass = passing(split, state);
  const { order, known } = orderOf(column);
  const found = new Uint32Array(split.n);
  let n = 0;
  const take = (i) => { if (pass[i]) found[n++] = i; };
  if (state.down) for (let at = known - 1; at >= 0; at--) take(order[at]);
  else for (let at = 0; at < known; at++) take(order[at]);
  for (let at = known; at < order.length; at++) take(order[at]);
  return found.subarray(0, n);
}

// The smallest and the largest value of a column.
export function extent(column) {
  const { order, known } = orderOf(column);
  if (!known) return [0, 1];
  return [column.values[order[0]], column.values[order[known - 1]]];
}

// Numbers of samples with values in equal bins from low to high.
export function histogram(values, pass, low, high, bins) {
  const counts = new Uint32Array(bins);
  const width = (high - low) / bins || 1;
  for (let i = 0; i < values.length; i++) {
    if (!pass[i] || !(values[i] >= low && values[i] <= high)) continue;
    counts[Math.min(bins - 1, Math.floor((values[i] - low) / width))] += 1;
  }
  return counts;
}

// Where a sample stands in a score, 1 for the largest.
export function rankOf(column, index) {
  const value = column.values[index];
  if (Number.isNaN(value)) return null;
  const { order, known } = orderOf(column);
  let low = 0, high = known;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column.values[order[middle]] <= value) low = middle + 1; else high = middle;
  }
  return known - low + 1;
}
