"""The workflow on a real Slurm, undisturbed and with everything that dies on a cluster.

Run by ``make test-slurm``. Each test works in a copy of the repository of its
own and ends with score tables equal, byte for byte, to those of a run without
Slurm. Processes are held with SIGSTOP at a known place where a test needs it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cluster import Cluster, wait

REPOSITORY = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
CONFIG = "tests/slurm/config.yaml"
TRIALS = Path("results/digits/trials")
SCORES = Path("results/digits/scores")
MEMORIZATION = SCORES / "memorization.parquet"  # comes with influence.parquet and test.parquet
SHARD = "small_cnn-4-000000-000011"
JOB = "small_cnn-4_000000_000011"  # in the comment of its Slurm job
RUN = Path("results/digits/small_cnn-4/runs/pgd-at/seed0")
PATIENCE = 600  # seconds; the machine may be busy with other work


class Site:
    """A copy of the repository from which heads are started."""

    def __init__(self, folder: Path, cluster: Cluster | None = None):
        self.folder, self.cluster = folder, cluster
        self.heads: list[Head] = []
        for name in ("bat", "workflow", "slurm", "config", "environment.yml"):
            source = REPOSITORY / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)
        (folder / CONFIG).parent.mkdir(parents=True)
        shutil.copy2(REPOSITORY / CONFIG, folder / CONFIG)

    def head(self, *arguments: object) -> Head:
        """Start ``snakemake --profile slurm``, or without Slurm where there is no cluster."""
        where = ["--profile", "slurm"] if self.cluster else ["--cores", "2"]
        variables = {"PYTHONPATH": str(self.folder)}
        if self.cluster:
            variables |= self.cluster.environment
            variables |= {"BAT_SLURM_POLL": "2", "BAT_SLURM_STATUS": "squeue"}
            variables |= {"BAT_SLURM_PARTITION": "gpu"}
        log = self.folder / f"head{len(self.heads) + 1}.log"
        command = [SNAKEMAKE, *where, *arguments, "--configfile", CONFIG]
        with log.open("w") as out:
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=self.folder,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.heads.append(Head(process, log))
        return self.heads[-1]

    def run(self, *arguments: object) -> Head:
        """Start a head and see it end well."""
        head = self.head(*arguments)
        head.ends(0)
        return head

    def tables(self) -> dict[str, bytes]:
        """The score tables of the three kinds that come from one rule."""
        names = ("memorization", "influence", "test")
        return {name: (self.folder / SCORES / f"{name}.parquet").read_bytes() for name in names}

    def run_results(self) -> dict[str, bytes]:
        """Weights and history of the run."""
        names = ("last.pt", "best.pt", "history.parquet")
        return {name: (self.folder / RUN / name).read_bytes() for name in names}

    def partial(self, shard: str = SHARD) -> list[Path]:
        """Trials of the shard that are on disk one by one."""
        architecture, first, last = shard.rsplit("-", 2)
        folder = self.folder / TRIALS / ".partial" / architecture
        return [p for p in folder.glob("*.parquet") if int(first) <= int(p.stem) <= int(last)]

    def trained(self, n_trials: int, head: Head, shard: str = SHARD) -> None:
        """Wait until a head's job has trained a number of trials of the shard."""

        def enough() -> bool:
            if head.process.poll() is not None:
                pytest.fail(f"the head ended first:\n{head.log[-4000:]}")
            return len(self.partial(shard)) >= n_trials

        wait(enough, PATIENCE, f"{n_trials} trials")

    def processes(self, command: str, output: Path) -> list[int]:
        """Processes of the package that write an output, in this copy and in no other."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode().split("\0")
                here = (process / "cwd").readlink() == self.folder
            except OSError:
                continue
            if here and words[1:4] == ["-m", "bat", command] and str(output) in words:
                found.append(int(process.name))
        return found

    def hold(self, command: str, output: Path) -> int:
        """Make the one process that writes an output hang; its number."""
        (process,) = self.processes(command, output)
        os.kill(process, signal.SIGSTOP)
        return process

    def log(self, job: str) -> str:
        """What one Slurm job said so far; it may run before its log is there."""
        paths = list((self.folder / "logs/slurm").rglob(f"{job}.log"))
        return paths[0].read_text() if paths else ""

    def close(self) -> None:
        """End the heads that still run, as after a failure, with their jobs."""
        for head in self.heads:
            if head.process.poll() is None:
                os.killpg(head.process.pid, signal.SIGKILL)
                head.process.wait()


class Head:
    """A running ``snakemake``."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    @property
    def jobs(self) -> list[str]:
        """Numbers of the Slurm jobs that it submitted."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.log)

    def ends(self, *expected: int) -> int:
        """Wait for its end, with one of the expected statuses."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"no end within {PATIENCE} s:\n{self.log[-4000:]}")
        if status not in expected:
            pytest.fail(f"ended with {status}, not {expected}:\n{self.log[-4000:]}")
        return status

    def kill(self) -> None:
        """Kill it as a crash of the machine would."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="bat-slurm-"))
    cluster = Cluster(folder)
    cluster.up()
    yield cluster
    cluster.down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def site(tmp_path, cluster):
    site = Site(tmp_path, cluster)
    yield site
    site.close()
    cluster.clear()


@pytest.fixture
def alone(tmp_path_factory):
    """A copy of the repository for a run without Slurm beside the one with it."""
    site = Site(tmp_path_factory.mktemp("alone"))
    yield site
    site.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run without Slurm."""
    site = Site(tmp_path_factory.mktemp("undisturbed"))
    site.run(MEMORIZATION)
    return site.tables()


@pytest.fixture(scope="session")
def undisturbed_run(tmp_path_factory) -> dict[str, bytes]:
    """The results of an adversarial training without Slurm."""
    site = Site(tmp_path_factory.mktemp("undisturbed-run"))
    site.run(RUN / "last.pt")
    return site.run_results()


def job_of(cluster: Cluster, rule: str) -> str:
    """Number of the one job in Slurm's queue whose comment names a rule and wildcards."""
    lines = [line.split() for line in cluster.jobs("-o", "%i %k")]
    (job,) = [number for number, comment in lines if rule in comment]
    return job


def state_of(cluster: Cluster, job: str) -> str:
    """State of a job, also of one that has ended."""
    return cluster.command("squeue", "-h", "--states=all", "-j", job, "-o", "%T")


def test_everything_goes_through_sbatch(site, cluster, undisturbed):
    head = site.run("all", "--set-resources", "trials:gpu=1")
    found = [
        cluster.command("squeue", "-h", "--states=all", "-j", job, "-o", "%j %T %P %k").split()
        for job in head.jobs
    ]
    assert all(name.startswith("bat_") for name, *_ in found)
    assert {tuple(middle) for _, *middle, _ in found} == {("COMPLETED", "gpu")}
    rules = [comment.removeprefix("rule_").split("_wildcards")[0] for *_, comment in found]
    for job, rule in zip(head.jobs, rules, strict=True):
        asked = cluster.command("scontrol", "-o", "show", "job", job)
        assert ("TresPerJob=gres:gpu:1" in asked) == (rule == "trials")
    tables = {"convergence_table", "ensembles", "membership_inference", "memorization"}
    assert set(rules) >= tables | {"trials", "train", "evaluate"}
    assert not [rule for rule in rules if rule.startswith(("draw_", "group_", "prepare"))]
    assert all(rules.count(rule) == 1 for rule in tables)
    assert rules.count("trials") == 3
    assert site.tables() == undisturbed
    for job in head.jobs:
        assert len(list((site.folder / "logs/slurm").rglob(f"{job}.log"))) == 1
    assert "Nothing to be done" in site.run("all").log


def test_jobs_get_the_configuration_that_the_workflow_was_started_with(site, undisturbed):
    head = site.head(MEMORIZATION)
    wait(lambda: head.jobs, PATIENCE, "the first job to be submitted")
    config = site.folder / CONFIG
    edited = (
        config.read_text().replace("epochs: 20", "epochs: 1").replace("trials: 24", "trials: 6")
    )
    config.write_text(edited)
    head.ends(0)
    assert len(head.jobs) == 3  # two shards, and the tables that come after the edit
    assert site.tables() == undisturbed


def test_cancelled_job_goes_on(site, cluster, undisturbed):
    head = site.head(MEMORIZATION)
    site.trained(2, head)
    job = job_of(cluster, JOB)
    cluster.command("scancel", job)
    head.ends(0)
    assert state_of(cluster, job) == "CANCELLED"
    assert "stopped by SIGTERM" in site.log(job)
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in head.log
    assert len(head.jobs) == 4  # two shards, one of them again, and the scores
    assert re.search(r"\b([2-9]|1[01]) of 12 are there already", site.log(head.jobs[2]))
    assert site.tables() == undisturbed


def test_cancelled_job_of_a_round_goes_on(site, cluster, alone):
    """With ``trials: auto``, in the second of two rounds."""
    auto = "trials: auto\n      min_trials: 12\n      max_trials: 24\n      precision: 0.001"
    for each in (site, alone):
        config = each.folder / CONFIG
        config.write_text(config.read_text().replace("trials: 24", auto))
    undisturbed, head = alone.head(MEMORIZATION), site.head(MEMORIZATION)
    first, second = SHARD, SHARD.replace("000000-000011", "000012-000023")
    for shard in (first, second):
        site.trained(2, head, shard)
    job = job_of(cluster, second.replace("-0", "_0"))
    cluster.command("scancel", job)
    head.ends(0)
    assert state_of(cluster, job) == "CANCELLED"
    assert len(head.jobs) == 4  # a shard each round, one of them again, and the scores
    assert re.search(r"\b([2-9]|1[01]) of 12 are there already", site.log(head.jobs[2]))
    undisturbed.ends(0)
    assert site.tables() == alone.tables()


def test_trials_over_the_limit_go_on(site, cluster, undisturbed):
    head = site.head(MEMORIZATION, "--set-resources", "trials:runtime=attempt")
    site.trained(2, head)
    job = job_of(cluster, JOB)
    site.hold("trials", TRIALS / f"{SHARD}.parquet")
    head.ends(0)
    assert state_of(cluster, job) == "TIMEOUT"
    attempts = [
        line.split()
        for number in head.jobs
        for line in cluster.jobs("--states=all", "-j", number, "-o", "%i %l %k")
        if JOB in line
    ]
    assert [limit for _, limit, _ in attempts[:2]] == ["1:00", "2:00"]
    assert attempts[0][0] == job
    assert re.search(r"\b([2-9]|1[01]) of 12 are there already", site.log(attempts[1][0]))
    assert site.tables() == undisturbed


def test_training_over_the_limit_goes_on_from_its_checkpoint(site, cluster, undisturbed_run):
    head = site.head(RUN / "last.pt", "--set-resources", "train:runtime=attempt")
    wait(lambda: cluster.jobs("-t", "RUNNING"), PATIENCE, "the training's job")
    job = job_of(cluster, "rule_train_")
    wait(lambda: re.search(r"epochs: \d", site.log(job)), PATIENCE, "the first epochs")
    site.hold("train", RUN)
    head.ends(0)
    assert state_of(cluster, job) == "TIMEOUT"
    assert "state kept" in site.log(job)
    assert "going on in epoch" in site.log(head.jobs[-1])
    assert site.run_results() == undisturbed_run


def test_drained_node(site, cluster, undisturbed):
    head = site.head(MEMORIZATION)
    site.trained(2, head)
    node = ["scontrol", "update", f"NodeName={cluster.host}"]
    cluster.command(*node, "State=DRAIN", "Reason=test")
    wait(lambda: "PENDING" in cluster.jobs("-o", "%T"), PATIENCE, "a job that the node refuses")
    wait(lambda: cluster.state() == "drained", PATIENCE, "the running jobs to end")
    cluster.command(*node, "State=RESUME")
    head.ends(0)
    assert site.tables() == undisturbed


def test_node_that_dies(site, cluster, undisturbed):
    head = site.head(MEMORIZATION)
    site.trained(2, head)
    job = job_of(cluster, JOB)
    site.hold("trials", TRIALS / f"{SHARD}.parquet")  # else it would end well without slurmd
    cluster.kill("slurmd", signal.SIGKILL)
    wait(lambda: cluster.state().startswith("down"), 120, "Slurm to miss the node")
    cluster.start_slurmd()
    head.ends(0)
    restarts = cluster.command("scontrol", "-o", "show", "job", job)
    assert "Restarts=1" in restarts and "JobState=COMPLETED" in restarts
    assert re.search(r"\b([2-9]|1[01]) of 12 are there already", site.log(job))
    assert site.tables() == undisturbed


def test_head_killed_and_started_again_at_once(site, cluster, undisturbed):
    first = site.head(MEMORIZATION)
    site.trained(2, first)
    shard = TRIALS / f"{SHARD}.parquet"
    held = site.hold("trials", shard)  # so that its job is still there beside the next
    old = job_of(cluster, JOB)
    first.kill()
    refused = site.head(MEMORIZATION)
    refused.ends(1)
    assert "LockException" in refused.log
    site.run("--unlock", MEMORIZATION)
    second = site.head(MEMORIZATION)
    wait(lambda: len(site.processes("trials", shard)) == 2, PATIENCE, "two writers of a shard")
    os.kill(held, signal.SIGCONT)
    second.ends(0)
    wait(lambda: not cluster.jobs(), PATIENCE, "the first head's jobs to end")
    assert state_of(cluster, old) == "COMPLETED"
    assert old not in second.jobs
    assert site.tables() == undisturbed
    assert not site.partial()
    site.run(MEMORIZATION)
    assert site.tables() == undisturbed


def test_two_heads_at_once(site, undisturbed):
    heads = [site.head(MEMORIZATION) for _ in range(2)]
    statuses = [head.ends(0, 1) for head in heads]
    assert 0 in statuses
    for head, status in zip(heads, statuses, strict=True):
        assert status == 0 or "LockException" in head.log
    site.run(MEMORIZATION)
    assert site.tables() == undisturbed


@pytest.fixture
def small_disk(site):
    """The trials' folder on a file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = site.folder / TRIALS
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "bat-test", folder], check=True, timeout=60
    )
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=60)


def test_full_disk_while_a_shard_is_written(site, small_disk, undisturbed):
    shard = TRIALS / f"{SHARD}.parquet"
    head = site.head(shard, "--retries", "0")
    site.trained(6, head)
    held = site.hold("trials", shard)
    # space for the trials that are missing, each as large as the last, and one more: the shard
    # takes that of several
    space = os.stat(max(site.partial())).st_blocks * 512
    disk = os.statvfs(small_disk)
    ballast = small_disk / "ballast"
    free = disk.f_bavail * disk.f_frsize - (12 - len(site.partial()) + 1) * space
    ballast.write_bytes(b"0" * free)
    os.kill(held, signal.SIGCONT)
    head.ends(1)
    (job,) = head.jobs
    assert re.search(rf"{shard}: writing failed .*No space left on device", site.log(job))
    assert len(site.partial()) == 12
    assert sorted(path.name for path in small_disk.iterdir()) == [".partial", "ballast"]
    ballast.unlink()
    again = site.run(MEMORIZATION)
    assert any("12 of 12 are there already" in site.log(job) for job in again.jobs)
    assert site.tables() == undisturbed
