"""The Markdown that `benchmarks/gpu.py` writes of its numbers."""

from __future__ import annotations

import statistics

EPOCH = 50_000  # samples of an epoch, as CIFAR's


def report(found: dict, wanted: list[str]) -> str:
    """All that was measured as tables, and what was not.

    Parameters
    ----------
    found : dict
        The content of the JSON file.
    wanted : list of str
        The names of all measurements.
    """
    entries = {
        name: found["measurements"][name]
        for name in wanted
        if name in found["measurements"] and "missing" not in found["measurements"][name]["found"]
    }
    parts = ["# Measured on a GPU" if "gpu" in found["hardware"] else "# Measured on a CPU"]
    parts.append(", ".join(f"{key} {value}" for key, value in found["hardware"].items()))
    for table in (_trials, _steps, _accuracy, _evaluation):
        parts += table(entries)
    missing = [name for name in wanted if name not in entries]
    for name in missing:
        why = (
            found["measurements"].get(name, {}).get("found", {}).get("missing", "no time was left")
        )
        parts.append(f"Not measured: {name} ({why}).")
    return "\n\n".join(parts) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _of(entries: dict, kind: str) -> dict[str, dict]:
    return {name: e for name, e in entries.items() if e["asked"]["kind"] == kind}


def _gib(memory: int | None) -> str:
    return "–" if memory is None else f"{memory / 2**30:.1f}"


def trials_per_hour(jobs: list[dict]) -> float:
    """Trials that jobs beside each other finish in an hour, parts of a trial counted as such.

    >>> round(trials_per_hour([{"share": 1.0, "seconds": 9.0}, {"share": 0.5, "seconds": 10.0}]))
    540
    """
    return 3600 * sum(job["share"] for job in jobs) / max(job["seconds"] for job in jobs)


def _trials(entries: dict) -> list[str]:
    rows = []
    for name, entry in _of(entries, "trials").items():
        jobs = entry["found"].get("jobs", [entry["found"]])
        accuracies = [100 * job["included"] for job in jobs if "included" in job]
        whole = f"{min(accuracies):.2f}" if len(accuracies) == len(jobs) else "a part of a trial"
        rows.append(
            [
                name,
                f"{trials_per_hour(jobs):.0f}",
                whole,
                jobs[0]["precision"],
                _gib(max((job["memory"] or 0) for job in jobs) or None),
                f"{max(job['seconds_of_first_steps'] for job in jobs):.0f}",
            ]
        )
    if not rows:
        return []
    asked = next(iter(_of(entries, "trials").values()))["asked"]
    header = ["", "trials an hour", "accuracy on samples trained on (%), least", "precision"]
    header += ["GiB a job", "first steps (s)"]
    title = f"Subset trainings of {asked['architecture']}, 70 % of {asked['n_train']} images"
    return [f"## {title}", _table(header, rows)]


def _steps(entries: dict) -> list[str]:
    parts = []
    of_kind = _of(entries, "steps")
    for architecture in dict.fromkeys(e["asked"]["architecture"] for e in of_kind.values()):
        begin, rows = f"steps, {architecture}, ", []
        chosen = {n.removeprefix(begin): e for n, e in of_kind.items() if n.startswith(begin)}
        seconds = {n: e["found"]["seconds_per_step"] for n, e in chosen.items()}
        for name, entry in chosen.items():
            least, most = entry["found"]["range"]
            batch = entry["asked"]["batch_size"]
            ratios = [
                f"{seconds[other] / seconds[name]:.2f}" if other in seconds else "–"
                for other in ("plain", "plain, autocast")
            ]
            rows.append(
                [
                    name,
                    f"{1 / seconds[name]:.2f} ({1 / most:.2f} to {1 / least:.2f})",
                    *ratios,
                    f"{seconds[name] * (EPOCH // batch):.0f}",
                    _gib(entry["found"]["memory"]),
                    f"{entry['found']['seconds_of_first_steps']:.0f}",
                ]
            )
        asked = next(iter(chosen.values()))["asked"]
        title = f"PGD-{asked['attack_steps']} adversarial training of {architecture}"
        header = ["loop", "steps a second (range)", "times plain", "times autocast"]
        header += [f"s an epoch of {EPOCH}", "GiB", "first steps (s)"]
        parts += [f"## {title}, batches of {asked['batch_size']}", _table(header, rows)]
    return parts


def _accuracy(entries: dict) -> list[str]:
    rows = [
        [name.removeprefix("accuracy, "), *(_spread(e["found"][k]) for k in ("clean", "robust"))]
        for name, e in _of(entries, "accuracy").items()
    ]
    if not rows:
        return []
    asked = next(iter(_of(entries, "accuracy").values()))["asked"]
    steps = asked["epochs"] * (asked["n_train"] // asked["batch_size"])
    title = f"Accuracy of {asked['architecture']} after {steps} equal steps"
    header = ["loop", "clean (%), mean (range)", "PGD-20 (%), mean (range)"]
    return [f"## {title}, {len(asked['seeds'])} seeds", _table(header, rows)]


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _evaluation(entries: dict) -> list[str]:
    chosen = _of(entries, "evaluation")
    rows = []
    for entry in chosen.values():
        found = entry["found"]
        rate, memory = f"{found['samples_per_second']:.0f}", _gib(found["memory"])
        rows.append([entry["asked"]["architecture"], rate, memory])
    if not rows:
        return []
    steps = next(iter(chosen.values()))["asked"]["attack_steps"]
    title = f"Evaluation under PGD-{steps} in float32, all samples attacked"
    return [f"## {title}", _table(["network", "samples a second", "GiB"], rows)]
