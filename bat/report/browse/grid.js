// The grid of images: only those in sight are in the document.

import { paint, sizeWithin } from "./sheets.js";

const GAP = 8, CAPTION = 18, TOP = 6;

export class Grid {
  // `box` scrolls; `describe(index)` gives an image's caption, name and group.
  constructor(box, { describe, open }) {
    Object.assign(this, { box, describe, open, indices: [], active: 0, cells: [], edge: 64 });
    this.floor = document.createElement("div");
    this.floor.className = "floor";
    this.floor.setAttribute("role", "presentation");
    box.append(this.floor);
    box.addEventListener("scroll", () => this.#soon());
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell) return;
      this.active = Number(cell.dataset.at);
      this.draw();
      this.open(this.indices[this.active]);
    });
    new ResizeObserver(() => this.#soon()).observe(box);
  }

  // Show these samples of a split, from the first on.
  show(split, indices) {
    Object.assign(this, { split, indices, active: 0 });
    this.box.scrollTop = 0;
    this.draw();
  }

  // Make a sample the one that keys go out from.
  point(index) {
    const at = this.indices.indexOf(index);
    if (at >= 0) this.#move(at);
  }

  #soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  #measure() {
    const size = sizeWithin(this.split.sheets, this.edge);
    const width = Math.max(size.width, 48) + GAP, height = size.height + CAPTION + GAP;
    const across = Math.max(1, Math.floor(this.box.clientWidth / width));
    return { width, height, across, rows: Math.ceil(this.indices.length / across) };
  }

  draw() {
    if (!this.split) return;
    const { width, height, across, rows } = this.#measure();
    this.floor.style.height = `${TOP + rows * height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - 2) * across;
    const lines = Math.ceil(this.box.clientHeight / height) + 4;
    const last = Math.min(this.indices.length, first + lines * across);
    while (this.cells.length < last - first) this.cells.push(newCell(this.floor));
    const margin = Math.max(0, (this.box.clientWidth - across * width) / 2);
    this.cells.forEach((cell, slot) => {
      const at = first + slot;
      cell.hidden = at >= last;
      if (cell.hidden) return;
      const x = margin + (at % across) * width, y = TOP + Math.floor(at / across) * height;
      cell.style.transform = `translate(${x}px, ${y}px)`;
      cell.style.width = `${width}px`;
      this.#fill(cell, at);
    });
    const shown = this.cells.find(
      (cell) => !cell.hidden && Number(cell.dataset.at) === this.active);
    if (shown) this.box.setAttribute("aria-activedescendant", shown.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  #fill(cell, at) {
    const index = this.indices[at], { caption, name, group, verdict } = this.describe(index);
    cell.dataset.at = at;
    cell.dataset.index = index;
    cell.dataset.group = group;
    cell.dataset.verdict = verdict;
    cell.setAttribute("aria-label", name);
    cell.setAttribute("aria-setsize", this.indices.length);
    cell.setAttribute("aria-posinset", at + 1);
    cell.setAttribute("aria-selected", at === this.active);
    cell.title = name;
    paint(cell.firstChild, this.split, index, this.edge);
    cell.lastChild.textContent = caption;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { height, across } = this.#measure();
    const page = Math.max(1, Math.floor(this.box.clientHeight / height)) * across;
    const end = this.indices.length - 1;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across,
      PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity,
    };
    if (event.key === "Enter" && end >= 0) this.open(this.indices[this.active]);
    else if (event.key in steps) {
      this.#move(Math.max(0, Math.min(end, this.active + steps[event.key])));
    } else return;
    event.preventDefault();
  }

  #move(at) {
    this.active = at;
    const { height, across } = this.#measure();
    const top = Math.floor(at / across) * height;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (TOP + top + height > scrollTop + clientHeight) {
      this.box.scrollTop = TOP + top + height - clientHeight;
    }
    this.draw();
  }
}

let made = 0;

function newCell(floor) {
  const cell = document.createElement("div");
  cell.className = "cell";
  cell.id = `cell${made++}`;
  cell.setAttribute("role", "option");
  cell.append(document.createElement("span"), document.createElement("small"));
  cell.firstChild.className = "image";
  floor.append(cell);
  return cell;
}
