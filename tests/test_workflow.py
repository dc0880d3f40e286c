"""The whole workflow by real snakemake commands, small: made, left alone, stopped, continued."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest
import yaml

from bat.files import read_json, read_table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

CONFIG = {
    "compute": {"device": "cpu"},
    "datasets": {
        "digits": {
            "data": {"source": "digits", "subsample": {"train": 300, "test": 200}},
            "scores": {
                "architecture": "small_cnn-4",
                "trials": 30,
                "trials_per_job": 15,
                "training": {
                    "epochs": 3,
                    "batch_size": 30,
                    "augmentation": {"crop": 0, "flip": False},
                },
            },
            "ensemble": {"architectures": ["small_cnn-4", "small_cnn-5"], "members": 25},
        }
    },
}
MEMORIZATION = "results/digits/scores/memorization.parquet"
FIGURES = ("fig5", "fig6", "fig7", "alignment", "convergence", "privacy", "groups")
TARGETS = ("scores", *FIGURES, "browse")
TABLES = ("memorization", "influence", "test", "disagreement", "confidence")


class Project:
    """A working directory with a configuration."""

    def __init__(self, folder, workflow):
        self.folder, self.workflow = folder, workflow
        self.data = folder / "results" / "digits"

    def configure(self, **changes):
        """Write the configuration with some keys of the data set's sections changed."""
        raw = yaml.safe_load(yaml.safe_dump(CONFIG))
        for section, values in changes.items():
            raw["datasets"]["digits"].setdefault(section, {}).update(values)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(raw))
        return self

    def command(self, *arguments, snakefile=None):
        snakefile = snakefile or self.workflow / "Snakefile"
        places = ["--snakefile", snakefile, "--directory", self.folder]
        config = ["--configfile", self.folder / "config.yaml"]
        start = [sys.executable, "-m", "snakemake", *places, "--cores", 2, *arguments, *config]
        return [str(part) for part in start]

    def run(self, *arguments, succeeds=True, snakefile=None, **environment):
        """Run snakemake to its end; what it printed."""
        done = subprocess.run(
            self.command(*arguments, snakefile=snakefile),
            env=os.environ | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode == 0) is succeeds, done.stdout
        return done.stdout

    def start(self, *targets):
        """Start snakemake, with its jobs in a process group of their own."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command(*targets), **silent, start_new_session=True)

    def trains(self, process, trial):
        """Wait until a trial is there, of a job that has not ended; in vain, end them."""
        partial, deadline = self.data / "trials" / ".partial", time.monotonic() + 600
        while not list(partial.glob(f"*/{trial:06d}.parquet")):
            if process.poll() is not None or time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                pytest.fail(f"trial {trial} is not there, and snakemake ended or takes too long")
            time.sleep(0.01)

    def planned(self, *arguments):
        """Rules that would run, each with its number of jobs, without those of no moment."""
        stats = self.run("--dry-run", *arguments).partition("Job stats:")[2].partition("total")[0]
        counts = re.findall(r"^(\w+) +(\d+)", stats, re.M)
        left_out = {"write_specification", *TARGETS}
        return {name: int(count) for name, count in counts if name not in left_out}

    def tree(self):
        """Every file and folder beside snakemake's own, with content and time."""
        return {
            path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
            for path in self.folder.rglob("*")
            if ".snakemake" not in path.parts
        }

    def tables(self, names=TABLES):
        """The bytes of score tables."""
        return {name: (self.data / "scores" / f"{name}.parquet").read_bytes() for name in names}

    def shards(self, architecture="small_cnn-4"):
        return sorted((self.data / "trials").glob(f"{architecture}-*.parquet"))

    def seconds(self, architecture="small_cnn-4"):
        """What each trial took: a trial that is trained again takes another time."""
        found = {}
        for path in self.shards(architecture):
            table, _ = read_table(path, "trials", columns=["trial", "seconds"])
            found[path.stem] = dict(zip(*table.to_pydict().values(), strict=True))
        return found


@pytest.fixture(scope="module")
def made(repository, tmp_path_factory):
    """A project in which everything was made, undisturbed."""
    project = Project(tmp_path_factory.mktemp("made"), repository / "workflow").configure()
    project.run(*TARGETS)
    return project


@pytest.fixture
def copied(made, tmp_path):
    """A copy of it that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(made.folder, folder)
    return Project(folder, made.workflow)


@pytest.fixture
def fresh(repository, tmp_path):
    """A project in which nothing was made."""
    return Project(tmp_path / "project", repository / "workflow").configure()


# -- made, and left alone -------------------------------------------------------------------


def test_everything_is_made(made):
    files = [f"scores/{name}.parquet" for name in TABLES]
    files += ["data/dataset.json", "scores/convergence.csv", "browse.html"]
    files += ["groups/train.parquet", "groups/test.parquet"]
    files += [f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png", "csv")]
    for file in files:
        assert (made.data / file).stat().st_size > 0, file
    names = ["000000-000014", "000015-000029"]
    assert [path.stem for path in made.shards()] == [f"small_cnn-4-{name}" for name in names]
    fingerprint = read_json(made.data / "data" / "dataset.json")["fingerprint"]
    for name in TABLES:
        path = made.data / "scores" / f"{name}.parquet"
        assert read_table(path, name, fingerprint=fingerprint)[0].num_rows > 0
    theirs = (".partial", ".snakemake_timestamp")  # of trials, and of snakemake in its folders
    hidden = [path for path in made.data.rglob(".*") if path.name not in theirs]
    assert hidden == []  # no temporary file is left


def test_a_second_run_does_nothing(made):
    assert "Nothing to be done" in made.run(*TARGETS)


def test_an_unrelated_key_trains_nothing_again(copied):
    copied.configure(groups={"min_accuracy": 0.7})
    attacked = dict.fromkeys(("membership_inference", "draw_privacy", "privacy_rates_table"), 1)
    assert (
        copied.planned(*TARGETS)
        == {
            "group_tables": 1,
            "draw_groups": 1,
            "draw_browse": 1,
        }
        | attacked
    )
    copied.configure(scores={"precision": 0.04})
    assert set(copied.planned(*TARGETS)) == {
        "privacy_rates_table",
        *(f"draw_{name}" for name in (*FIGURES, "browse")),
    }
    copied.configure(training={"epochs": 200})  # of the adversarial runs
    assert "Nothing to be done" in copied.run(*TARGETS)
    copied.configure()
    assert "Nothing to be done" in copied.run(*TARGETS)


def test_keys_of_the_training_train_again(copied):
    training = CONFIG["datasets"]["digits"]["scores"]["training"]
    copied.configure(scores={"training": training | {"epochs": 4}})
    assert copied.planned(*TARGETS)["trials"] == 4


# -- reading, and two configurations ----------------------------------------------------------


def locked(project):
    """Leave the folder as a running snakemake holds it."""
    locks = project.folder / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text(f"{MEMORIZATION}\n")


@pytest.mark.parametrize("state", ["fresh", "copied"])
def test_reading_the_workflow_changes_nothing(state, request):
    """In no mode, with a configuration of which nothing has been made."""
    project = request.getfixturevalue(state)
    project.configure(groups={"min_accuracy": 0.7}, scores={"seed": 3})
    before = project.tree()
    modes = [["--dry-run"]]
    if state == "copied":
        modes += [["--summary"], ["--dag"], ["--lint"], ["--list-rules"], ["--unlock"]]
    for mode in modes:
        project.run(MEMORIZATION, *mode)
        assert project.tree() == before, mode
    locked(project)
    assert "LockException" in project.run(MEMORIZATION, succeeds=False)
    assert project.tree() == before


def test_back_to_the_first_configuration(made, copied):
    groups = "results/digits/groups/train.parquet"
    copied.configure(groups={"atypical_above": 0.3, "significance": 1})
    copied.run(groups)
    assert (copied.folder / groups).read_bytes() != (made.folder / groups).read_bytes()
    assert len(list((copied.data / "specs").glob("groups-*.json"))) == 2
    copied.configure()
    copied.run(groups)
    assert (copied.folder / groups).read_bytes() == (made.folder / groups).read_bytes()
    assert copied.planned(groups) == {}


def test_jobs_read_the_configuration_that_the_workflow_was_started_with(fresh):
    """Jobs that read the workflow anew: those of Slurm, and of rules with Python code."""
    path = fresh.folder / "Snakefile"
    path.write_text(
        f"""
include: {str(fresh.workflow / "Snakefile")!r}

rule edit:
    output: "edited"
    shell: "sed -i s/digits:/other:/ config.yaml && touch {{output}}"

rule tell:
    input: "edited"
    output: "told"
    run:
        with open(output[0], "w") as file:
            print(*CONFIG.datasets, *SPECS_BY_NAME, file=file)
"""
    )
    fresh.run("told", snakefile=path)
    assert "other:" in (fresh.folder / "config.yaml").read_text()
    told = (fresh.folder / "told").read_text()
    assert "digits" in told
    assert "other" not in told
    (kept,) = (fresh.folder / "results" / "specs").glob("configuration-*.json")
    assert read_json(kept) == CONFIG


# -- more trials, other jobs ----------------------------------------------------------------


def test_more_trials_train_only_the_new_ones(copied):
    before = copied.seconds()
    copied.configure(scores={"trials": 40})
    assert copied.planned(MEMORIZATION)["trials"] == 1
    copied.configure(scores={"trials": 40, "trials_per_job": 20})  # other shards, in part known
    copied.run(MEMORIZATION)
    after = copied.seconds()
    new = after["small_cnn-4-000000-000019"] | after["small_cnn-4-000020-000039"]
    assert new.keys() == set(range(40))
    known = {trial: took for shard in before.values() for trial, took in shard.items()}
    assert {trial: new[trial] for trial in known} == known
    _, metadata = read_table(copied.folder / MEMORIZATION, "memorization")
    assert metadata["recipe"]["trials"] == 40


# -- single targets -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["results/digits/figures/fig6.pdf", "fig6"])
def test_one_figure_needs_its_own_inputs_only(fresh, target):
    assert fresh.planned(target) == {"prepare": 1, "trials": 2, "memorization": 1, "draw_fig6": 1}


def test_an_external_model_is_judged_as_the_architecture_it_is_of(fresh):
    path = fresh.folder / "config.yaml"
    raw = yaml.safe_load(path.read_text())
    (fresh.folder / "theirs.pt").touch()
    raw["datasets"]["digits"] |= {
        "architectures": ["small_cnn-4", "small_cnn-6"],
        "external": {
            "one": {"checkpoint": "theirs.pt", "key": "ema.model"},
            "two": {"checkpoint": "theirs.pt", "normalize": False, "architecture": "small_cnn-6"},
        },
    }
    path.write_text(yaml.safe_dump(raw))
    tables = [f"results/digits/small_cnn-{width}/tables/methods.csv" for width in (4, 6)]
    printed = fresh.run("--dry-run", "--printshellcmds", *tables)
    commands = [line for line in printed.splitlines() if "--checkpoint" in line]
    theirs = [line for line in commands if "theirs.pt" in line]
    assert len(theirs) == 2
    for line in theirs:
        one = "/evaluations/one/" in line
        assert ("--arch small_cnn-4 " in line) is one
        assert ("--key 'ema.model'" in line) is one
        assert ("--no-normalize" in line) is not one
    assert all("--normalize" in line for line in set(commands) - set(theirs))
    asked = "results/digits/small_cnn-6/evaluations/one/seed0.parquet"
    assert "is of small_cnn-4, and asked for as small_cnn-6" in fresh.run(asked, succeeds=False)


def test_a_removed_figure_is_drawn_again_from_the_tables(copied):
    (copied.data / "figures" / "fig6.pdf").unlink()
    target = "results/digits/figures/fig6.pdf"
    assert copied.planned(target) == {"draw_fig6": 1}
    copied.run(target)
    assert (copied.data / "figures" / "fig6.pdf").read_bytes()[:5] == b"%PDF-"


def test_report_without_a_network(made, tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    before = made.tree()
    made.run(*TARGETS, "--report", tmp_path / "report.zip", **nowhere)
    assert made.tree() == before
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        names = report.namelist()
        assert sum(name.endswith(".png") for name in names) == len(FIGURES)
        page = next(name for name in names if name.endswith("report.html"))
        text = report.read(page).decode()
    assert "Memorization" in text or "memorization" in text


# -- stopped --------------------------------------------------------------------------------


@pytest.mark.parametrize("killed", ["snakemake", "everything"])
def test_a_killed_workflow_ends_with_the_same_tables(made, fresh, killed):
    """The head alone, whose jobs go on beside the new ones, or all at once, as in a power cut."""
    names = TABLES if killed == "snakemake" else TABLES[:3]
    targets = [f"results/digits/scores/{name}.parquet" for name in names]
    process = fresh.start(*targets)
    fresh.trains(process, 2)
    if killed == "snakemake":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (fresh.data / "scores").exists()
    fresh.run("--unlock")
    fresh.run(*targets)
    assert fresh.tables(names) == made.tables(names)


def test_a_damaged_shard_is_named_and_made_again(made, copied):
    shard = copied.shards()[1]
    stamp = shard.stat()
    shard.write_bytes(shard.read_bytes()[:-100])
    os.utime(shard, (stamp.st_atime, stamp.st_mtime))
    (copied.folder / MEMORIZATION).unlink()
    copied.run(MEMORIZATION, succeeds=False)
    logs = "".join(path.read_text() for path in (copied.folder / "logs").rglob("*.log"))
    assert f"{shard.relative_to(copied.folder)}: damaged, and set aside" in logs
    copied.run(MEMORIZATION)
    assert copied.tables(TABLES[:3]) == made.tables(TABLES[:3])


# -- refused --------------------------------------------------------------------------------


def test_a_wrong_configuration_shows_all_errors_and_runs_nothing(fresh):
    fresh.configure(scores={"trails": 3}, groups={"min_accuracy": 8})
    path = fresh.folder / "config.yaml"
    path.write_text(path.read_text() + "compute: {device: gpu}\n")
    printed = fresh.run(succeeds=False)
    for part in (
        "the key 'compute' is given twice",
        "datasets.digits.scores.trails: unknown key; did you mean 'trials'?",
        "datasets.digits.groups.min_accuracy: ",
        "compute.device: ",
    ):
        assert part in printed
    assert "Traceback" not in printed
    assert not (fresh.folder / "results").exists()


def test_too_few_trials_stop_before_any_job(fresh):
    fresh.configure(scores={"trials": 3}, ensemble={"members": 2})
    printed = fresh.run(MEMORIZATION, succeeds=False)
    assert "datasets.digits.scores.trials = 3: " in printed
    assert not (fresh.folder / "results").exists()
