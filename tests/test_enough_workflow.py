"""Trials until they are enough, by real snakemake commands in one folder, one after the other."""

import pytest
from test_workflow import MEMORIZATION, Project

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
    def ask(self, **scores):
        return self.configure(
            data={"subsample": {"train": 100, "test": 60}},
            scores=FEW | scores,
            ensemble={"members": 20},
        )

    def scored(self):
        """Trials that the scores are made of."""
        return read_table(self.folder / MEMORIZATION, "memorization")[1]["recipe"]["trials"]

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


def test_a_fresh_folder_plans_its_first_round(repository, tmp_path):
    fresh = Trials(tmp_path / "project", repository / "workflow").ask(**NEVER)
    planned = {"prepare": 1, "trials": 1, "enough": 1, "memorization": 1}
    assert fresh.planned(MEMORIZATION) == planned
    assert fresh.planned("scores", "convergence", "privacy")["enough"] == 1
