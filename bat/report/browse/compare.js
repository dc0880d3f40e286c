// Two scores against each other: a scatter plot to select from, and their rank correlations.

import { extent, passing } from "./order.js";
import { shortly } from "./text.js";

const EDGE = { left: 10, right: 10, top: 10, bottom: 24 };

// Ranks from 1, equal values sharing the mean of theirs.
export function ranks(values) {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  const found = new Float64Array(values.length);
  for (let first = 0; first < order.length;) {
    let last = first;
    while (last + 1 < order.length && values[order[last + 1]] === values[order[first]]) last++;
    for (let at = first; at <= last; at++) found[order[at]] = (first + last) / 2 + 1;
    first = last + 1;
  }
  return found;
}

export function spearman(x, y) {
  const [a, b] = [ranks(x), ranks(y)], middle = (x.length + 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    xy += (a[i] - middle) * (b[i] - middle);
    xx += (a[i] - middle) ** 2;
    yy += (b[i] - middle) ** 2;
  }
  return xy / Math.sqrt(xx * yy);
}

// Kendall's tau-b, by counting the exchanges of a merge sort (Knight, 1966).
export function kendall(x, y) {
  const n = x.length;
  const order = Uint32Array.from(x.keys()).sort((a, b) => x[a] - x[b] || y[a] - y[b]);
  const tied = (same) => {
    let [pairs, run] = [0, 1];
    for (let at = 1; at <= n; at++) {
      if (at < n && same(at - 1, at)) run++;
      else { pairs += (run * (run - 1)) / 2; run = 1; }
    }
    return pairs;
  };
  const tiedX = tied((a, b) => x[order[a]] === x[order[b]]);
  const tiedBoth = tied((a, b) => x[order[a]] === x[order[b]] && y[order[a]] === y[order[b]]);
  const sorted = Float64Array.from(order, (i) => y[i]);
  const exchanges = mergeSorted(sorted);
  const tiedY = tied((a, b) => sorted[a] === sorted[b]);
  const all = (n * (n - 1)) / 2;
  const concordant = all - tiedX - tiedY + tiedBoth - 2 * exchanges;
  return concordant / Math.sqrt((all - tiedX) * (all - tiedY));
}

// Sorts in place; the number of pairs that stood the wrong way round.
function mergeSorted(values) {
  let [from, to, exchanges] = [values, new Float64Array(values.length), 0];
  for (let width = 1; width < values.length; width *= 2) {
    for (let start = 0; start < values.length; start += 2 * width) {
      const middle = Math.min(start + width, values.length);
      const end = Math.min(start + 2 * width, values.length);
      let [a, b] = [start, middle];
      for (let at = start; at < end; at++) {
        if (b >= end || (a < middle && from[a] <= from[b])) to[at] = from[a++];
        else { to[at] = from[b++]; exchanges += middle - a; }
      }
    }
    [from, to] = [to, from];
  }
  if (from !== values) values.set(from);
  return exchanges;
}

// Both correlations of the samples that have both scores, in words.
export function correlations(indices, x, y) {
  const both = Array.from(indices).filter((i) => x.values[i] === x.values[i]
    && y.values[i] === y.values[i]);
  if (both.length < 3) return "Too few images for a correlation";
  const [a, b] = [x, y].map((column) => Float64Array.from(both, (i) => column.values[i]));
  const text = (value) => (
    Number.isNaN(value) ? "not defined" : value.toFixed(3).replace("-", "−"));
  return `Spearman ${text(spearman(a, b))}, Kendall ${text(kendall(a, b))} `
    + `on ${both.length.toLocaleString("en")} images`;
}

export class Scatter {
  // `brush(ranges)` is asked for with the ranges of both scores, `open(index)` by a click.
  constructor(canvas, { brush, open }) {
    Object.assign(this, { canvas, brush, open, from: null });
    canvas.addEventListener("pointerdown", (event) => {
      this.from = [event.offsetX, event.offsetY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.from) return;
      this.draw();
      this.#frame([event.offsetX, event.offsetY]);
    });
    canvas.addEventListener("pointerup", (event) => this.#end([event.offsetX, event.offsetY]));
  }

  show(split, state, x, y) {
    Object.assign(this, { split, x, y });
    this.around = passing(split, state, [x.name, y.name]);
    this.within = passing(split, state);
    this.draw();
  }

  // Functions from values to places, and back.
  #scales() {
    const { clientWidth, clientHeight } = this.canvas;
    const wide = clientWidth - EDGE.left - EDGE.right;
    const high = clientHeight - EDGE.top - EDGE.bottom;
    const [[x0, x1], [y0, y1]] = [extent(this.x), extent(this.y)];
    const [dx, dy] = [x1 - x0 || 1, y1 - y0 || 1];
    return {
      place: (i) => [EDGE.left + ((this.x.values[i] - x0) / dx) * wide,
        EDGE.top + (1 - (this.y.values[i] - y0) / dy) * high],
      value: ([left, top]) => [x0 + ((left - EDGE.left) / wide) * dx,
        y0 + (1 - (top - EDGE.top) / high) * dy],
      ends: [[x0, x1], [y0, y1]],
    };
  }

  draw() {
    const { canvas, split } = this, ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!split || !width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const place = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name);
    place.scale(ratio, ratio);
    const scales = this.#scales(), size = split.n > 5000 ? 2 : 4;
    for (const [pass, not, ink] of [[this.around, this.within, "--bar"],
      [this.within, null, "--blue"]]) {
      place.fillStyle = color(ink);
      for (let i = 0; i < split.n; i++) {
        if (!pass[i] || not?.[i]) continue;
        const [left, top] = scales.place(i);
        place.fillRect(left - size / 2, top - size / 2, size, size);
      }
    }
    this.#axes(place, scales.ends, width, height, color);
  }

  #axes(place, [[x0, x1], [y0, y1]], width, height, color) {
    place.strokeStyle = color("--edge");
    place.strokeRect(0.5, 0.5, width - 1, height - EDGE.bottom + EDGE.top / 2);
    place.fillStyle = color("--soft");
    place.font = "12px system-ui, sans-serif";
    place.textAlign = "right";
    const text = ({ title }, low, high) => `${title}, ${shortly(low)} to ${shortly(high)}`;
    place.fillText(`${text(this.x, x0, x1)} →`, width - 4, height - 6);
    place.fillText(`${text(this.y, y0, y1)} ↑`, width - 4, 16);
  }

  #frame([left, top]) {
    const place = this.canvas.getContext("2d"), [x, y] = this.from;
    place.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--ink");
    place.strokeRect(x, y, left - x, top - y);
  }

  #end(to) {
    if (!this.from) return;
    const from = this.from;
    this.from = null;
    if (Math.abs(to[0] - from[0]) < 4 && Math.abs(to[1] - from[1]) < 4) this.#openNear(to);
    else {
      const corners = [from, to].map(this.#scales().value);
      const ends = (axis) => corners.map((corner) => Number(corner[axis].toPrecision(4)))
        .sort((a, b) => a - b);
      this.brush({ [this.x.name]: ends(0), [this.y.name]: ends(1) });
    }
  }

  #openNear([left, top]) {
    const { place } = this.#scales();
    let best = { apart: 12 ** 2 };
    for (let i = 0; i < this.split.n; i++) {
      if (!this.around[i]) continue;
      const [x, y] = place(i), apart = (x - left) ** 2 + (y - top) ** 2;
      if (apart < best.apart) best = { apart, index: i };
    }
    if (best.index !== undefined) this.open(best.index);
  }
}
