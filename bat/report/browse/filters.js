// The controls beside the grid: what they show of the state, and the state that they ask for.

import { extent, histogram, passing } from "./order.js";
import { shortly } from "./text.js";

const BINS = 48, STEPS = 200;

export function fillChoices(element, choices) {
  element.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
}

// Bars of a score: all samples behind, those within its range in front.
export function drawHistogram(canvas, split, state, column) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const [low, high] = extent(column);
  const others = passing(split, state, [column.name]);
  const counts = histogram(column.values, others, low, high, BINS);
  const within = histogram(column.values, passing(split, state), low, high, BINS);
  const top = Math.max(1, ...counts);
  const place = canvas.getContext("2d"), style = getComputedStyle(canvas);
  place.scale(ratio, ratio);
  const bar = width / BINS;
  for (const [bars, color] of [[counts, "--bar"], [within, "--blue"]]) {
    place.fillStyle = style.getPropertyValue(color);
    bars.forEach((count, i) => {
      const tall = count ? Math.max(1.5, Math.sqrt(count / top) * height) : 0;
      place.fillRect(i * bar, height - tall, bar - 1, tall);
    });
  }
}

// The two sliders of a score's range and their numbers.
export function showRange(elements, state, column) {
  const [low, high] = extent(column);
  const [from, to] = state.ranges[column.name] ?? [low, high];
  const step = (value) => Math.round(((value - low) / (high - low || 1)) * STEPS);
  elements.from.value = step(Math.max(from, low));
  elements.to.value = step(Math.min(to, high));
  elements.text.textContent = `${shortly(Math.max(from, low))} to ${shortly(Math.min(to, high))}`;
  for (const [end, value] of [["from", from], ["to", to]]) {
    elements[end].setAttribute("aria-valuetext", shortly(value));
  }
}

// The ranges that the sliders ask for: an end that stands at its stop asks for nothing.
export function askedRanges(elements, state, column) {
  const [low, high] = extent(column);
  const ends = [Number(elements.from.value), Number(elements.to.value)].sort((a, b) => a - b);
  const value = (step) => Number((low + (step / STEPS) * (high - low)).toPrecision(4));
  const ranges = { ...state.ranges };
  if (ends[0] === 0 && ends[1] === STEPS) delete ranges[column.name];
  else {
    ranges[column.name] = [
      ends[0] === 0 ? -Infinity : value(ends[0]), ends[1] === STEPS ? Infinity : value(ends[1]),
    ];
  }
  return ranges;
}

// A button for each range that is set, which takes it away.
export function drawChips(box, split, state, remove) {
  const names = Object.keys(state.ranges).filter((name) => split.columns.has(name));
  box.replaceChildren(...names.map((name) => {
    const [low, high] = state.ranges[name];
    const chip = document.createElement("button");
    const ends = [Number.isFinite(low) ? `≥ ${shortly(low)}` : "",
      Number.isFinite(high) ? `≤ ${shortly(high)}` : ""].filter(Boolean);
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = `${split.columns.get(name).title} ${ends.join(", ")} ×`;
    chip.setAttribute("aria-label", `Remove the range of ${split.columns.get(name).title}`);
    chip.addEventListener("click", () => remove(name));
    return chip;
  }));
}
