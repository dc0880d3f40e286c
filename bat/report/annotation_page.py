"""The annotators' page: one HTML file that loads nothing and sends nothing.

Images are PNG data inside of it, and its content security policy lets it fetch
nothing. Answers stay in the browser (``localStorage``) until they are saved as
CSV.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bat.escaping import for_html, plain


class Item(NamedTuple):
    """An image and the two class names beside it, in the order shown."""

    item: int
    image: np.ndarray  # (C, H, W) uint8, 1 or 3 channels
    first: str
    second: str


def page(sheet: str, dataset: str, items: Sequence[Item]) -> str:
    """Make the page.

    Parameters
    ----------
    sheet : str
        The sheet's name, which answers carry.
    dataset : str
        Shown on the first screen.
    items : sequence of Item
        In the order shown.

    Returns
    -------
    str
        HTML that holds nothing of the items but what is in them.
    """
    content = {
        "sheet": sheet,
        "items": [
            {
                "item": item.item,
                "image": png_uri(item.image),
                "names": [plain(item.first), plain(item.second)],
            }
            for item in items
        ],
    }
    # no tag of a class name may end the script
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    parts = {"DATASET": for_html(dataset), "COUNT": str(len(items)), "SHEET": text}
    # all at once: what is put in is not looked at again
    return re.sub("@(DATASET|COUNT|SHEET)@", lambda found: parts[found[1]], _PAGE)


def png_uri(image: np.ndarray) -> str:
    """An image, uint8 of shape (C, H, W), as a data URI."""
    from PIL import Image

    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


_PAGE = r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
  style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Which label fits? @DATASET@</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light; --ink: #1d1d1f; --soft: #6a6a6e; --line: #cfcfd4; --blue: #0072b2; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; color: var(--ink);
    background: #ececee; font: 16px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  header { display: flex; align-items: center; gap: 1rem; padding: .6rem 1.2rem;
    background: #fff; border-bottom: 1px solid var(--line); }
  header progress { flex: 1; height: .55rem; accent-color: var(--blue); }
  #count { font-variant-numeric: tabular-nums; white-space: nowrap; }
  #who { color: var(--soft); max-width: 14rem; overflow: hidden; text-overflow: ellipsis;
    white-space: nowrap; }
  main { flex: 1; width: 100%; max-width: 54rem; margin: 0 auto; padding: 1.2rem; display: flex;
    flex-direction: column; justify-content: center; }
  .card { background: #fff; border: 1px solid var(--line); border-radius: .6rem;
    padding: 1.6rem 2rem; max-width: 40rem; margin: 0 auto; }
  h1 { font-size: 1.35rem; margin: 0 0 .6rem; }
  h2 { font-size: 1.1rem; font-weight: 600; margin: 0 0 1rem; text-align: center; }
  button, input { font: inherit; color: inherit; }
  button { background: #fff; border: 1px solid #a9a9b0; border-radius: .45rem;
    padding: .45rem .9rem; cursor: pointer; }
  button:hover { border-color: var(--blue); }
  button:focus-visible, input:focus-visible { outline: 3px solid #56b4e9; outline-offset: 1px; }
  button:disabled { color: #a9a9b0; cursor: default; border-color: var(--line); }
  button.main { background: var(--blue); border-color: var(--blue); color: #fff; }
  input { width: 100%; padding: .45rem .6rem; border: 1px solid #a9a9b0; border-radius: .45rem; }
  .pictures { display: flex; align-items: flex-end; justify-content: center; gap: 1.2rem;
    margin-bottom: 1.2rem; }
  .pictures img { image-rendering: pixelated; outline: 1px solid #a9a9b0; max-width: 90%; }
  .choices { display: grid; grid-template-columns: repeat(4, 1fr); gap: .7rem; }
  .choices button { display: flex; flex-direction: column; align-items: center; gap: .35rem;
    padding: .7rem .5rem; min-height: 5rem; overflow-wrap: anywhere; }
  .choices b { font-size: 1.05rem; font-weight: 600; }
  .choices kbd { margin-top: auto; }
  kbd { font: .8rem/1 ui-monospace, "DejaVu Sans Mono", monospace; color: var(--soft);
    border: 1px solid var(--line); border-bottom-width: 2px; border-radius: .25rem;
    padding: .18rem .4rem; background: #f7f7f8; }
  .below { display: flex; justify-content: center; margin-top: 1.1rem; }
  .note { color: var(--soft); font-size: .92rem; }
  #warning { background: #fff4d6; border-bottom: 1px solid #e69f00; padding: .5rem 1.2rem; }
  @media (max-width: 36rem) { .choices { grid-template-columns: 1fr 1fr; } #who { display: none; } }
</style>
</head>
<body>
<noscript><p class="card">This page needs JavaScript, which is switched off in this browser.</p>
</noscript>
<div id="warning" role="alert" hidden>This browser does not keep answers when the page is closed.
  Save them as CSV before you leave.</div>
<header id="bar" hidden>
  <span id="who"></span>
  <progress id="progress" value="0" max="@COUNT@" aria-label="Images answered"></progress>
  <span id="count" aria-live="polite"></span>
  <button id="save" type="button">Save answers</button>
</header>
<main>
  <section id="start" class="card">
    <h1>Which label fits?</h1>
    <p>You will see @COUNT@ small images, one at a time, each with two labels. Say which of the two
      fits what you see:</p>
    <p><kbd>key 1</kbd> the first &ensp; <kbd>key 2</kbd> the second &ensp; <kbd>key 3</kbd> both
      are likely &ensp; <kbd>key 4</kbd> neither</p>
    <p>Go by your own impression, without looking anything up and without asking others. The order
      of images and labels is random. <kbd>Backspace</kbd> takes the last answer back. You may stop
      and close the page at any time; this browser remembers where you were. When you are done, save
      the answers and send the file back.</p>
    <form id="begin">
      <label for="name">Your name or number, which is saved with the answers</label>
      <p><input id="name" autocomplete="off" maxlength="60" required></p>
      <p class="note" id="known" aria-live="polite"></p>
      <button class="main" type="submit" id="go">Begin</button>
    </form>
    <p class="note">Data set: @DATASET@. Nothing leaves this page but the file that you save.</p>
  </section>
  <section id="question" hidden>
    <h2>Which label fits this image?</h2>
    <div class="pictures">
      <img id="image" alt="The image to judge"><img id="small" alt="" aria-hidden="true">
    </div>
    <div class="choices">
      <button type="button" id="choice1"><b id="first"></b><kbd>key 1</kbd></button>
      <button type="button" id="choice2"><b id="second"></b><kbd>key 2</kbd></button>
      <button type="button" id="choice3"><b>Both</b><kbd>key 3</kbd></button>
      <button type="button" id="choice4"><b>Neither</b><kbd>key 4</kbd></button>
    </div>
    <div class="below"><button type="button" id="undo">Take back the last answer
      <kbd>Backspace</kbd></button></div>
  </section>
  <section id="done" class="card" hidden>
    <h1>All @COUNT@ images are answered. Thank you.</h1>
    <p>Save the answers and send the file back to whoever gave you this page.</p>
    <p><button class="main" type="button" id="finish">Save answers</button>
      <button type="button" id="undolast">Take back the last answer</button></p>
  </section>
  <p id="saved" class="note" role="status" style="text-align: center"></p>
</main>
<script type="application/json" id="sheet">@SHEET@</script>
<script>
"use strict";
const CHOICES = ["first", "second", "both", "neither"];
const sheet = JSON.parse(document.getElementById("sheet").textContent);
const items = sheet.items;
const $ = (id) => document.getElementById(id);

let annotator = "";
let answers = [];  // answers[i] is that to items[i]; there are no gaps
let kept = true;   // whether this browser remembers them
let unsaved = false;

// -- what the browser remembers ----------------------------------------------------------

const place = (name) => `bat-annotation/${sheet.sheet}/${name}`;
const tidy = (name) => name.trim().replace(/\s+/g, " ");

function remembered(name) {
  let found = null;
  try { found = JSON.parse(localStorage.getItem(place(name))); } catch { return []; }
  const sound = Array.isArray(found) && found.length <= items.length
    && found.every((answer) => CHOICES.includes(answer));
  return sound ? found : [];
}

function remember() {
  try {
    localStorage.setItem(place(annotator), JSON.stringify(answers));
    localStorage.setItem(place(""), annotator);  // the name is never empty
    kept = true;
  } catch { kept = false; }
  $("warning").hidden = kept;
}

// -- answering ---------------------------------------------------------------------------

function answer(choice) {
  if (answers.length === items.length) return;
  answers.push(CHOICES[choice]);
  changed();
}

function undo() {
  if (answers.length === 0) return;
  answers.pop();
  changed();
}

function changed() {
  unsaved = true;
  $("saved").textContent = "";
  remember();
  show();
}

function show() {
  const n = answers.length, finished = n === items.length;
  $("progress").value = n;
  $("count").textContent = `${n} of ${items.length}`;
  $("undo").disabled = n === 0;
  $("save").disabled = n === 0;
  $("question").hidden = finished;
  $("done").hidden = !finished;
  if (finished) { $("finish").focus(); return; }
  const { image, names } = items[n];
  $("image").src = image;
  $("small").src = image;
  $("first").textContent = names[0];
  $("second").textContent = names[1];
}

// whole multiples of the image's own size: pixels stay square and sharp
function scaled(picture, target) {
  picture.onload = () => {
    const edge = Math.max(picture.naturalWidth, picture.naturalHeight);
    const scale = Math.max(1, Math.floor(target() / edge));
    picture.width = picture.naturalWidth * scale;
  };
}
scaled($("image"), () => Math.min(384, innerHeight - 330));  // the rest of the screen in pixels
scaled($("small"), () => 96);

// -- saving ------------------------------------------------------------------------------

// what a spreadsheet would take for a formula is marked as text
const marked = (text) => /^\s*[=+\-@]/.test(text) ? `'${text}` : text;
const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function save() {
  const given = answers.map((choice, i) => [sheet.sheet, `${items[i].item}`, annotator, choice]);
  const rows = [["sheet", "item", "annotator", "answer"], ...given];
  const text = rows.map((row) => row.map(marked).map(quoted).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const who = annotator.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  link.download = `answers-${sheet.sheet}${who ? "-" + who : ""}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  $("saved").textContent = `${answers.length} answers saved as ${link.download}`;
}

// -- wiring ------------------------------------------------------------------------------

function greet() {
  const n = remembered(tidy($("name").value)).length;
  $("known").textContent = n ? `${n} of ${items.length} answered before in this browser.` : "";
  $("go").textContent = n ? "Continue" : "Begin";
}

$("name").addEventListener("input", greet);
$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = tidy($("name").value);
  if (!name) { $("name").value = ""; $("name").reportValidity(); return; }
  annotator = name;
  answers = remembered(annotator);
  $("who").textContent = annotator;
  $("start").hidden = true;
  $("bar").hidden = false;
  document.activeElement.blur();
  remember();
  show();
});
for (const number of [1, 2, 3, 4]) {
  $(`choice${number}`).addEventListener("click", () => answer(number - 1));
}
for (const id of ["undo", "undolast"]) $(id).addEventListener("click", undo);
for (const id of ["save", "finish"]) $(id).addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (!annotator || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  // the key's place where it gives no digit without Shift, as on French keyboards
  const digit = /^[1-4]$/.exec(event.key)?.[0] ?? /^Digit([1-4])$/.exec(event.code)?.[1];
  if (digit) answer(Number(digit) - 1);
  else if (event.key === "Backspace") undo();
  else return;
  event.preventDefault();
});
addEventListener("storage", (event) => {  // the same person in a second tab
  if (annotator && event.key === place(annotator)) { answers = remembered(annotator); show(); }
});
addEventListener("beforeunload", (event) => { if (!kept && unsaved) event.preventDefault(); });

try { $("name").value = localStorage.getItem(place("")) ?? ""; } catch { /* nothing is kept */ }
greet();
$("name").focus();
</script>
</body>
</html>
"""
