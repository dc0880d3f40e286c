"""Trials until they are enough, by real snakemake commands in one folder, one after the other."""

import os
import signal

import psutil
import pytest
from test_workflow import MEMORIZATION, TABLES, Project

from bat.files import read_json, read_table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("enough")]

FEW = {
    "architecture": "small_cnn-4",
    "subset_ratio": 0.5,
    "trials_per_job": 20,
    "allow_unfitted": True,
}
NEVER = {"trials": "auto", "min_trials": 20, "max_trials": 40, "precision": 1e-6}
ALWAYS = NEVER | {"precision": 1}
CONVERGENCE = "results/digits/scores/convergence.csv"


class Trials(Project):
    def ask(self, n_train=100, **scores):
        return self.configure(
            data={"subsample": {"train": n_train, "test": 60}},
            scores=FEW | scores,
            ensemble={"members": 20},
        )

    def scored(self):
        """Trials that the scores are made of."""
        return read_table(self.folder / MEMORIZATION, "memorization")[1]["recipe"]["trials"]

    def took(self):
        """Seconds of each trial that is there, also of jobs that have not ended."""
        found = {}
        for path in [*self.shards(), *self.data.glob("trials/.partial/*/*.parquet")]:
            table, _ = read_table(path, "trials", columns=["trial", "seconds"])
            found |= dict(zip(*table.to_pydict().values(), strict=True))
        return found

    def decided(self):
        """What was decided after each number of trials."""
        files = (self.data / "trials").glob("enough-*.json")
        return {int(file.stem.removeprefix("enough-")): read_json(file)["next"] for file in files}


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory):
    """A folder with tables of 20 trials, configured as a number."""
    project = Trials(tmp_path_factory.mktemp("enough") / "project", repository / "workflow")
    project.ask(trials=20).run(MEMORIZATION)
    assert project.scored() == 20
    assert project.decided() == {}
    return project


def test_from_a_number_to_enough_and_back(project):
    known = project.seconds()
    project.ask(**NEVER)
    assert project.planned(MEMORIZATION) == {"enough": 1, "memorization": 1}
    project.run(MEMORIZATION)
    assert project.decided() == {20: 40, 40: None}
    assert project.scored() == 40
    (first, _) = trained = project.seconds().values()
    assert [first] == list(known.values())  # none was trained again
    assert [len(shard) for shard in trained] == [20, 20]
    assert "Nothing to be done" in project.run(MEMORIZATION)

    killed = project.data / "trials"  # in the second round, and then in its decision
    (killed / "enough-000040.json").unlink()
    (project.folder / MEMORIZATION).unlink()
    assert project.planned(MEMORIZATION) == {"enough": 1, "memorization": 1}
    (shard,) = killed.glob("*-000020-000039.parquet")
    shard.rename(shard.with_suffix(".kept"))
    assert project.planned(MEMORIZATION) == {"trials": 1, "enough": 1, "memorization": 1}
    shard.with_suffix(".kept").rename(shard)
    project.run(MEMORIZATION)
    assert (project.decided(), project.scored()) == ({20: 40, 40: None}, 40)

    project.ask(**ALWAYS)  # another precision: those of the first round are enough
    project.run(MEMORIZATION)
    assert project.scored() == 20
    assert project.planned(CONVERGENCE) == {"convergence_table": 1}
    assert "Nothing to be done" in project.run(MEMORIZATION)

    project.ask(trials=40)
    assert project.planned(MEMORIZATION) == {"memorization": 1}
    project.ask(**NEVER)  # with the decisions of before
    assert project.planned(MEMORIZATION) == {"enough": 1, "memorization": 1}

    project.run(MEMORIZATION)
    project.ask(n_train=90, **NEVER)  # what was decided for other images does not count
    assert project.planned(MEMORIZATION)["trials"] == 1


@pytest.mark.parametrize("killed", ["everything", "job"])
def test_a_kill_in_the_second_round_ends_with_the_same_tables(
    killed, project, repository, tmp_path
):
    project.ask(**NEVER).run(MEMORIZATION)
    fresh = Trials(tmp_path / "project", repository / "workflow").ask(**NEVER)
    head = fresh.start(MEMORIZATION)
    fresh.trains(head, 22)
    if killed == "everything":
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        assert "can be removed with the --unlock argument" in fresh.run(
            MEMORIZATION, succeeds=False
        )
        fresh.run("--unlock")
    else:
        started = psutil.Process(head.pid).children(recursive=True)
        (job,) = (p for p in started if p.cmdline()[1:4] == ["-m", "bat", "trials"])
        job.kill()
        assert head.wait() == 1
    before = fresh.took()
    assert len(before) in range(23, 40)
    assert fresh.decided() == {20: 40}
    fresh.run(MEMORIZATION)
    assert fresh.tables(TABLES[:3]) == project.tables(TABLES[:3])
    assert before.items() <= fresh.took().items()  # none was trained again
    assert fresh.decided() == {20: 40, 40: None}


def test_a_fresh_folder_plans_its_first_round(repository, tmp_path):
    fresh = Trials(tmp_path / "project", repository / "workflow").ask(**NEVER)
    planned = {"prepare": 1, "trials": 1, "enough": 1, "memorization": 1}
    assert fresh.planned(MEMORIZATION) == planned
    assert fresh.planned("scores", "convergence", "privacy")["enough"] == 1
