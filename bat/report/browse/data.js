// What the page holds: scores, labels, groups and pairs of samples, unpacked when first asked for.

const KINDS = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const unpacked = ({ kind, data }) => new KINDS[kind](bytesOf(data).buffer);

function lazily(target, name, make) {
  let made = null;
  Object.defineProperty(target, name, { enumerable: true, get: () => (made ??= make()) });
}

function readColumn({ name, title, about, values, se }) {
  const column = { name, title, about, hasError: Boolean(se) };
  lazily(column, "values", () => unpacked(values));
  lazily(column, "se", () => (se ? unpacked(se) : null));
  return column;
}

// What models without a sample predict: their number, and classes with shares, the largest first.
function readPredicted(raw, n) {
  const predicted = {};
  for (const key of ["models", "class", "share"]) lazily(predicted, key, () => unpacked(raw[key]));
  return (index) => {
    const each = predicted.class.length / n, classes = [];
    for (let at = index * each; at < (index + 1) * each && predicted.class[at] >= 0; at++) {
      classes.push({ label: predicted.class[at], share: predicted.share[at] });
    }
    return { models: predicted.models[index], classes };
  };
}

function readSplit(name, raw) {
  const split = {
    name, n: raw.n, columns: new Map(), sheets: { ...raw.sheets }, names: raw.names ?? null,
  };
  // as they are looked through
  lazily(split, "lowered", () => split.names?.map((file) => file.toLowerCase()) ?? []);
  for (const key of ["label", "source", "group"]) lazily(split, key, () => unpacked(raw[key]));
  lazily(split.sheets, "place", () => unpacked(raw.sheets.place));
  for (const column of raw.columns) split.columns.set(column.name, readColumn(column));
  if (raw.predicted) split.predictions = readPredicted(raw.predicted, raw.n);
  const index = { name: "index", title: "Index", about: "in the prepared data", hasError: false };
  lazily(index, "values", () => Float32Array.from({ length: raw.n }, (_, i) => i));
  split.columns.set("index", index);
  return split;
}

// Influence, from both sides: `of("train", i)` are the test samples that it carries, the largest
// first, `of("test", j)` the training samples that carry it.
function readPairs(raw, nTest) {
  const pairs = {};
  for (const key of ["start", "test", "influence", "se"]) {
    lazily(pairs, key, () => unpacked(raw[key]));
  }
  lazily(pairs, "byTest", () => {
    const lists = Array.from({ length: nTest }, () => []);
    for (let train = 0; train + 1 < pairs.start.length; train++) {
      for (let at = pairs.start[train]; at < pairs.start[train + 1]; at++) {
        lists[pairs.test[at]].push({ index: train, at });
      }
    }
    for (const list of lists) list.sort((a, b) => pairs.influence[b.at] - pairs.influence[a.at]);
    return lists;
  });
  pairs.of = (split, index) => {
    let found = [];
    if (split === "test") found = pairs.byTest[index];
    else {
      for (let at = pairs.start[index]; at < pairs.start[index + 1]; at++) {
        found.push({ index: pairs.test[at], at });
      }
    }
    return found.map(({ index: other, at }) => ({
      index: other, influence: pairs.influence[at], se: pairs.se[at],
    }));
  };
  return pairs;
}

// The images that are most alike: `of("train", i)` gives the nearest first, of either split.
function readNearest(raw, nTrain) {
  const nearest = {};
  for (const key of ["index", "distance"]) lazily(nearest, key, () => unpacked(raw[key]));
  nearest.of = (split, index) => {
    const row = (split === "train" ? index : nTrain + index) * raw.each;
    return Array.from({ length: raw.each }, (_, at) => {
      const number = nearest.index[row + at], inTrain = number < nTrain;
      return {
        split: inTrain ? "train" : "test",
        index: inTrain ? number : number - nTrain,
        distance: nearest.distance[row + at],
      };
    });
  };
  return nearest;
}

export function readContent(raw) {
  const splits = {};
  for (const [name, split] of Object.entries(raw.splits)) splits[name] = readSplit(name, split);
  const { train, test } = splits;
  const pairs = readPairs(raw.pairs, test.n), nearest = readNearest(raw.nearest, train.n);
  return { ...raw, splits, pairs, nearest };
}
