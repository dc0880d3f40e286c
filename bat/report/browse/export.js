// What is selected, for use elsewhere: as a list, as a line of Python, as a file.

export function saveText(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export const asList = (indices) => `[${Array.from(indices).join(", ")}]`;

// A line that reads the score table's rows of the selection, in its order.
export function asPython(dataset, split, indices) {
  const table = split === "train" ? "memorization" : "test";
  const folder = JSON.stringify(`results/${dataset}`);
  return `import bat; selected = bat.read_scores(${folder}).${table}`
    + `.set_index("index").loc[${asList(indices)}]`;
}
