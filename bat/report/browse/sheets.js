// Images cut from the sheets that hold many of them.

import { bytesOf } from "./data.js";

let lacking = () => {};

// Have a function told of a sheet that lies beside the page and cannot be had.
export function whenLacking(run) { lacking = run; }

// A sheet as an address that many elements can name: of data, one of a blob.
function addressOf(sheets, number) {
  sheets.made ??= [];
  if (!sheets.made[number]) {
    const given = sheets.addresses[number];
    const data = /^data:image\/png;base64,(.*)$/.exec(given);
    if (!data) {
      const sheet = new Image();
      sheet.addEventListener("error", () => lacking(given));
      sheet.src = sheets.made[number] = given;
    } else {
      const blob = new Blob([bytesOf(data[1])], { type: "image/png" });
      sheets.made[number] = URL.createObjectURL(blob);
    }
  }
  return sheets.made[number];
}

// The height of an image that is so wide; whole multiples of its pixels where it is enlarged.
export function sizeWithin({ width, height }, edge) {
  const scale = edge / Math.max(width, height);
  const used = scale > 1 ? Math.floor(scale) : scale;
  return { width: Math.round(width * used), height: Math.round(height * used), scale: used };
}

// Have an element show an image, as large as it fits into a square.
export function paint(element, split, index, edge) {
  const { sheets } = split, place = sheets.place[index];
  const { width, height, scale } = sizeWithin(sheets, edge);
  const number = Math.floor(place / sheets.each), at = place % sheets.each;
  const onSheet = Math.min(sheets.each, split.n - number * sheets.each);
  const across = Math.min(sheets.across, onSheet);
  const down = Math.ceil(onSheet / across);
  const [column, row] = [at % across, Math.floor(at / across)];
  const { style } = element;
  style.width = `${width}px`;
  style.height = `${height}px`;
  style.backgroundImage = `url("${addressOf(sheets, number)}")`;
  style.backgroundSize = `${across * sheets.width * scale}px ${down * sheets.height * scale}px`;
  const [x, y] = [-column * sheets.width * scale, -row * sheets.height * scale];
  style.backgroundPosition = `${x}px ${y}px`;
}
