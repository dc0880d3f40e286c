"""What this package does on the GPU that is there, in minutes, as one JSON and one Markdown file.

    python benchmarks/gpu.py --minutes 9           # writes gpu.json and gpu.md; go on: again
    python benchmarks/gpu.py --toy --minutes 1     # on a CPU, to see that it runs

Measured are subset trainings an hour, compiled and not, one and several jobs on the GPU;
steps of PGD-AT against a plain float32 loop and one with autocast
(`benchmarks/adversarial_training.py` says what is in them); accuracy after equal steps;
attacks on test samples; memory. The most telling come first; what is left when the time
is over is measured by the next call. Each runs in a process of its own, so that its memory
is its own and a failure stops nothing else. Images are made; seconds do not depend on them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from gpu_measurements import LOOPS, measure
from gpu_report import report

from bat.errors import BatError
from bat.files import write_bytes
from bat.report.writing import with_suffix

COMMON = {"eps": 8 / 255, "n_test": 1000, "workers": 4, "rounds": 3, "edge": 32}
FULL = {
    "trials": {"architecture": "resnet9", "n_train": 50_000, "n_test": 10_000, "training": {}},
    "jobs": (2, 4),
    "steps": ("resnet18", "wrn-28-10"),
    "step": {"n_train": 10_000, "batch_size": 128, "attack_steps": 10},
    "accuracy": {
        "architecture": "resnet18-16",
        "n_train": 10_000,
        "batch_size": 128,
        "attack_steps": 10,
        "epochs": 2,
        "seeds": [0, 1, 2],
    },
    "evaluation": {"attack_steps": 20, "batch_size": 500},
    "seconds": {"trials": 60.0, "steps": 9.0, "accuracy": 0.0, "evaluation": 6.0},
}
TOY = {
    "trials": {
        "architecture": "resnet9-4",
        "n_train": 200,
        "n_test": 50,
        "training": {"epochs": 2, "batch_size": 50},
    },
    "jobs": (2,),
    "steps": ("resnet18-4", "wrn-10-1"),
    "step": {"n_train": 64, "batch_size": 8, "attack_steps": 2},
    "accuracy": {
        "architecture": "resnet9-4",
        "n_train": 64,
        "batch_size": 32,
        "attack_steps": 2,
        "epochs": 1,
        "seeds": [0],
    },
    "evaluation": {"attack_steps": 2, "batch_size": 50},
    "seconds": {"trials": 1.0, "steps": 0.1, "accuracy": 0.0, "evaluation": 0.0},
}
TOY_COMMON = COMMON | {"n_test": 50, "workers": 0, "rounds": 2, "edge": 8}


def measurements(toy: bool) -> dict[str, dict]:
    """What is measured, by name, in the order of its worth."""
    size, common = (TOY, TOY_COMMON) if toy else (FULL, COMMON)
    common = common | {"device": "cpu" if toy else "cuda", "threads": 1 if toy else 4}

    def spec(kind: str, *parts: dict, **more) -> dict:
        spec = {"kind": kind, "seconds": size["seconds"][kind]} | common
        for part in (*parts, more):
            spec |= part
        return spec

    def steps(architecture: str, loop: str, **more) -> dict:
        return spec("steps", size["step"], architecture=architecture, loop=loop, **more)

    small, large = size["steps"]
    found = {"trials": spec("trials", size["trials"])}
    for architecture in (small, large):
        for loop in ("plain", "ours"):
            found[f"steps, {architecture}, {loop}"] = steps(architecture, loop)
    for number in size["jobs"]:
        found[f"trials, {number} jobs"] = spec("trials", size["trials"], jobs=number)
    for architecture in (small, large):
        name = f"steps, {architecture}, plain, autocast"
        found[name] = steps(architecture, "plain, autocast")
    found["trials, not compiled"] = spec("trials", size["trials"], compile=False)
    for architecture in (small, large):
        name = f"evaluation, {architecture}"
        found[name] = spec("evaluation", size["evaluation"], architecture=architecture)
    for loop in LOOPS:
        found[f"accuracy, {loop}"] = spec("accuracy", size["accuracy"], loop=loop)
    for architecture in (small, large):
        name = f"steps, {architecture}, ours, not compiled"
        found[name] = steps(architecture, "ours", compile=False)
    return found


def run(spec: dict, seconds: float) -> dict:
    """The numbers of one measurement, or why there are none."""
    try:
        if spec.get("jobs", 1) > 1:
            with tempfile.TemporaryDirectory() as meeting:
                specs = [spec | {"meeting": meeting, "job": job} for job in range(spec["jobs"])]
                return {"jobs": in_processes(specs, seconds)}
        if spec["device"] == "cpu":
            return measure(spec)
        return in_processes([spec], seconds)[0]
    except subprocess.TimeoutExpired:
        return {"missing": f"not done within {seconds:.0f} s"}
    except Exception as error:
        return {"missing": f"{type(error).__name__}: {error}"}


def in_processes(specs: list[dict], seconds: float) -> list[dict]:
    """What measurements give that run at the same time, each in a process of its own.

    Where one fails the others, which may wait for it, are ended too.
    """
    script = Path(__file__).with_name("gpu_measurements.py")
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        files = [[stack.enter_context(tempfile.TemporaryFile("w+")) for _ in "oe"] for _ in specs]
        started = []
        try:
            for spec, (out, err) in zip(specs, files, strict=True):
                command = [sys.executable, str(script), json.dumps(spec)]
                started.append(subprocess.Popen(command, stdout=out, stderr=err))
            codes = [process.poll() for process in started]
            while None in codes and not any(codes):
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(script.name, seconds)
                time.sleep(0.05)
                codes = [process.poll() for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        for code, (out, err) in zip(codes, files, strict=True):
            out.seek(0)
            err.seek(0)
            if code:
                last = (err.read().strip().splitlines() or ["no message"])[-1]
                raise RuntimeError(f"ended with {code}: {last[:300]}")
        return [json.loads(out.read().splitlines()[-1]) for out, _ in files]


def hardware(toy: bool) -> dict[str, str]:
    """The machine and the versions, which results of several calls must share."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    found = {
        "processor": cpu or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    if not toy:
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name,
            "gpu_memory": f"{properties.total_memory / 2**30:.0f} GiB",
            "cuda": str(torch.version.cuda or torch.version.hip),
            "cudnn": str(torch.backends.cudnn.version()),
        }
    return found


def read(path: Path, of: dict[str, str], wanted: dict[str, dict]) -> dict:
    """What an earlier call left, without measurements that are no longer asked for as they were."""
    if not path.exists():
        return {"hardware": of, "measurements": {}}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        measured_on = kept["hardware"]
        measured = {
            name: entry
            for name, entry in kept["measurements"].items()
            if wanted.get(name) == entry["asked"] and isinstance(entry["found"], dict)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(
            f"{path} is there and holds no measurements of this benchmark ({error!r}); delete it, "
            "or give another --out"
        ) from None
    if measured_on != of:
        raise SystemExit(
            f"{path} was measured on {measured_on}, and here is {of}; give another --out"
        )
    return {"hardware": of, "measurements": measured}


def minutes(text: str) -> float:
    """Minutes from 0 up."""
    found = float(text)
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes from 0 up")
    return found


def write(out: Path, found: dict, names: list[str]) -> str:
    """Keep what was measured so far, in both files; the text of the second."""
    text = report(found, names)
    write_bytes(with_suffix(out, "json"), (json.dumps(found, indent=1) + "\n").encode())
    write_bytes(with_suffix(out, "md"), text.encode())
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=minutes, default=9.0, help="of this call, about")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="without suffix")
    parser.add_argument("--toy", action="store_true", help="tiny sizes, on the CPU")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    if not options.toy and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} finds no GPU; --toy runs on a CPU")
    if not options.out.name:
        raise SystemExit(f"--out {options.out} names no file; write it without suffix, as gpu")
    wanted, path = measurements(options.toy), with_suffix(options.out, "json")
    found = read(path, hardware(options.toy), wanted)
    try:
        # what cannot be written is said before the minutes are spent
        text = write(options.out, found, list(wanted))
    except BatError as error:
        raise SystemExit(str(error)) from None
    print(", ".join(found["hardware"].values()), flush=True)
    least = 0.5 if options.toy else 20.0  # seconds; less is not worth the start
    # what failed before comes last: it may take all the time of this call too
    for name in sorted(wanted, key=found["measurements"].__contains__):
        spec, before = wanted[name], found["measurements"].get(name)
        left, start = deadline - time.monotonic(), time.monotonic()
        if before is not None and "missing" not in before["found"]:
            print(f"{name}: measured before", flush=True)
            continue
        if left < least:
            print(f"{name}: left for the next call", flush=True)
            continue
        numbers = run(spec, left)
        entry = {"asked": spec, "found": numbers, "wall_seconds": time.monotonic() - start}
        found["measurements"][name] = json.loads(json.dumps(entry))
        text = write(options.out, found, list(wanted))
        print(f"{name}: {json.dumps(numbers)}, {entry['wall_seconds']:.0f} s", flush=True)
    print(text)


if __name__ == "__main__":
    main()
