"""When trials are enough: known standard errors, and decisions of real shards of trials."""

from __future__ import annotations

import numpy as np
import pytest

from bat.config import ConfigError, load_config
from bat.errors import ArtifactError
from bat.files import signed, write_json
from bat.plan.costs import plan
from bat.plan.enough import Reached, decision_file, reached
from bat.plan.shards import covered_trials, rounds, score_shards
from bat.plan.specifications import all_specifications, enough_specification
from bat.scoring.enough import following_round

ROUNDS = [20, 30, 40, 50, 100]


def of_rounds(errors, n_trials, precision, share=1.0):
    asked = {"precision": precision, "share": share, "rounds": ROUNDS}
    return following_round(np.array(errors), n_trials, **asked)


@pytest.mark.parametrize(
    ("errors", "n_trials", "share", "following"),
    [
        ([0.1, 0.1, 0.1], 20, 1, None),  # all hold: as wanted, not only below
        ([0.1, 0.1, 0.12], 20, 2 / 3, None),  # the share holds
        ([0.1, 0.1, 0.12], 20, 1, 30),  # 20 * 1.2 ** 2 is 28.8
        ([0.1, 0.1, 0.13], 20, 1, 40),  # 33.8
        ([0.1, 0.1, 0.9], 20, 1, 40),  # no more than twice
        ([0.1, 0.1, 0.9], 100, 1, None),  # the last round ends it
        ([0.9, 0.9, 0.9], 50, 1, 100),
    ],
)
def test_the_next_round_is_the_one_that_the_errors_ask_for(errors, n_trials, share, following):
    assert of_rounds(errors, n_trials, 0.1, share) == following


def test_a_next_round_that_is_more_than_twice_is_taken_if_there_is_none_before():
    assert following_round(np.array([1.0]), 10, precision=0.1, share=1, rounds=[10, 50, 90]) == 50


def configured(tmp_path, members=10, data=None, **scores):
    return load_config(
        {
            "results": str(tmp_path / "results"),
            "compute": {"device": "cpu"},
            "datasets": {
                "digits": {
                    "data": {"source": "digits"} | (data or {}),
                    "scores": {"architecture": "small_cnn", "trials_per_job": 15} | scores,
                    "ensemble": {"architectures": ["small_cnn", "wrn-10-1"], "members": members},
                    "architectures": ["small_cnn"],
                }
            },
        }
    )


AUTO = {"trials": "auto", "min_trials": 20, "max_trials": 70}


def decide(folder, n_trials, following, asked):
    decision = {"trials": n_trials, "next": following, "asked": asked}
    write_json(folder / decision_file(n_trials), signed(decision))


def test_the_trials_that_were_reached_follow_the_decisions(tmp_path):
    dataset = configured(tmp_path, **AUTO).datasets["digits"]
    asked = enough_specification("digits", dataset, tmp_path)
    files = [decision_file(n_trials) for n_trials in (30, 60)]
    assert rounds(dataset.scores) == [30, 45, 60, 70]

    def now(asked=asked):
        return reached(dataset.scores, tmp_path, asked)

    assert now() == Reached(30, (files[0],), final=False)
    decide(tmp_path, 45, 70, asked)  # of a round that was passed over
    assert now() == Reached(30, (files[0],), final=False)
    decide(tmp_path, 30, 60, asked)
    assert now() == Reached(60, tuple(files), final=False)
    decide(tmp_path, 60, None, asked)
    assert now() == Reached(60, tuple(files))
    assert now(asked | {"precision": 0.04}) == Reached(30, (files[0],), final=False)
    (tmp_path / files[0]).write_text("{")
    with pytest.raises(ArtifactError, match="enough-000030"):
        now()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"trials": 45}, r"enough-000030\.json: says what follows 45 trials, expected 30"),
        ({"next": 30}, "says that 30 comes next, expected null or a later round"),
        ({"next": 7}, "says that 7 comes next"),
        ({"next": 60.0}, r"says that 60\.0 comes next"),
        ({"next": []}, r"says that \[\] comes next"),
    ],
)
def test_a_decision_that_none_could_be_is_refused(tmp_path, changed, found):
    dataset = configured(tmp_path, **AUTO).datasets["digits"]
    asked = enough_specification("digits", dataset, tmp_path)
    path = tmp_path / decision_file(30)
    write_json(path, {"trials": 30, "next": 60, "asked": asked} | changed)
    with pytest.raises(ArtifactError, match=found):
        reached(dataset.scores, tmp_path, asked)
    write_json(path, {"trials": 30, "asked": asked})
    with pytest.raises(ArtifactError, match="says that nothing comes next"):
        reached(dataset.scores, tmp_path, asked)
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(ArtifactError, match="is a link that leads to no file"):
        reached(dataset.scores, tmp_path, asked)


def test_what_was_decided_for_other_images_does_not_count(tmp_path):
    def now(**data):
        config = configured(tmp_path, data=data, **AUTO)
        dataset, asked = config.datasets["digits"], all_specifications(config)["digits", "enough"]
        return reached(dataset.scores, tmp_path, asked), asked

    decide(tmp_path, 30, None, now()[1])
    assert now()[0].final
    assert not now(n_test=200)[0].final
    assert not now(label_noise={"share": 0.1})[0].final


def test_a_number_of_trials_is_decided(tmp_path):
    scores = configured(tmp_path, trials=40).datasets["digits"].scores
    assert reached(scores, tmp_path, None) == Reached(40)


def test_shards_of_rounds_are_those_of_whole_jobs(tmp_path):
    dataset = configured(tmp_path, **AUTO).datasets["digits"]
    assert len(score_shards(dataset, 60)) == 4
    assert score_shards(dataset, 70)[-1].endswith("000060-000069.parquet")
    assert covered_trials(dataset, "small_cnn")[0] == 30


def test_the_tables_do_not_depend_on_what_is_asked_but_on_the_trials(tmp_path):
    def specs(**more):
        return all_specifications(configured(tmp_path, **AUTO, **more))

    one, two = specs(), specs(precise_share=0.9)
    changed = {stage for (_, stage), spec in two.items() if one["digits", stage] != spec}
    assert changed == {"enough"}
    assert ("digits", "enough") not in all_specifications(configured(tmp_path, trials=30))


def test_the_plan_says_what_is_sure_and_what_may_come(tmp_path):
    config = configured(tmp_path, **AUTO)
    dataset = config.datasets["digits"]

    def rows(config=config):
        found = {row.stage: row for row in plan(config)}
        return {stage: row for stage, row in found.items() if stage.endswith(", small_cnn")}

    def trials():
        return [stage for stage in rows() if "trials" in stage or "more" in stage]

    sure, more = rows()["30 trials, small_cnn"], rows()["at most 40 more, small_cnn"]
    assert (sure.jobs, more.jobs) == (2, 3)
    whole = rows(configured(tmp_path, trials=70))["70 trials, small_cnn"]
    assert sure.hours + more.hours == pytest.approx(whole.hours)
    assert sure.bytes + more.bytes == pytest.approx(whole.bytes)
    folder = config.results / "digits"
    asked = enough_specification("digits", dataset, folder)
    decide(folder, 30, 45, asked)
    assert trials() == ["45 trials, small_cnn", "at most 25 more, small_cnn"]
    decide(folder, 45, None, asked)
    assert trials() == ["45 trials, small_cnn"]


@pytest.mark.parametrize(
    ("members", "scores", "text"),
    [
        (10, {"trials": 30, "max_trials": 70}, "max_trials says when trials: auto has enough"),
        (10, AUTO | {"min_trials": 80}, r"min_trials \(80\) must not exceed max_trials \(70\)"),
        (25, AUTO, r"ensemble.members \(25\) must not exceed scores.min_trials \(20\)"),
        (10, {"trials": "autom"}, "'autom' is no number of trials"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, members, scores, text):
    with pytest.raises(ConfigError, match=text):
        configured(tmp_path, members, **scores)
