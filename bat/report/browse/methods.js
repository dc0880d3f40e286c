// Two methods of training: the test images that one keeps and the other loses under an attack.

import { fillChoices } from "./filters.js";

export const MOST = [0.501, 0.499];  // more than half of the seeds, and fewer

// The state that shows them: both methods' shares of right seeds as ranges.
export function keptAndLost(keeps, loses, attack) {
  const [kept, lost] = [keeps, loses].map((run) => `${run}:${attack}`);
  const ranges = { [kept]: [MOST[0], Infinity] };
  ranges[lost] = [-Infinity, MOST[1]];
  return { split: "test", sort: lost, down: false, ranges };
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
