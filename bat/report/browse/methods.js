// Two methods of training: the test images that one keeps and the other loses under an attack.

import { fillChoices } from "./filters.js";

export const MOST = [0.501, 0.499];  // more than half of the seeds, and fewer

// The state that shows them: both methods' shares of right seeds as ranges.
export function keptAndLost(keeps, loses, attack) {
  const [kept, lost] = [keeps, loses].map((run) => `${run}:${attack}`);
  const ranges = kept === lost ? { [kept]: MOST }  // which no share is in
    : { [kept]: [MOST[0], Infinity], [lost]: [-Infinity, MOST[1]] };
  return { split: "test", sort: lost, down: false, ranges };
}

// Have the controls say which methods a state shows, as after a link.
export function showMethods($, split, { ranges }) {
  for (const [name, [low, high]] of Object.entries(ranges)) {
    const at = name.lastIndexOf(":");
    if (at < 0 || !split.columns.has(name)) continue;
    if (low === MOST[0]) $("keeps").value = name.slice(0, at);
    if (high === MOST[1]) $("loses").value = name.slice(0, at);
    $("attack").value = name.slice(at + 1);
  }
}

// Have the controls offer what there is; they stay hidden where no method was evaluated.
export function offerMethods($, methods, run) {
  if (!methods?.runs.length) return;
  $("methods").hidden = false;
  for (const id of ["keeps", "loses"]) fillChoices($(id), methods.runs);
  fillChoices($("attack"), methods.attacks);
  if (methods.runs.length > 1) $("loses").selectedIndex = 1;
  $("attack").selectedIndex = methods.attacks.length > 1 ? 1 : 0;
  $("between").addEventListener("click", () => run(
    keptAndLost($("keeps").value, $("loses").value, $("attack").value)));
}
