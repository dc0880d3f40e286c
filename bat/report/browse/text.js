// Numbers as readers see them, and elements of the page.

export function shortly(value) {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "not known";
  const size = Math.abs(value);
  let text = String(value);
  if (!Number.isInteger(value)) {
    text = size >= 1e4 || size < 1e-3 ? value.toExponential(1) : value.toFixed(size < 10 ? 3 : 1);
  }
  return text.replaceAll("-", "−");
}

export function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}
