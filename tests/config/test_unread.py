"""A key that nothing reads, for what other keys say, is refused where it was written."""

from __future__ import annotations

import pytest

from bat.config import ConfigError, Optimization, from_arguments, load_config, read_config
from bat.config.overlaying import overlay
from bat.config.yaml_files import read_yaml
from bat.errors import BatError


def unread(defaults=None, **settings) -> list[str]:
    raw = {"data": {"source": "digits"}} | settings
    try:
        load_config({"defaults": defaults or {}, "datasets": {"d": raw}})
    except ConfigError as error:
        return [line.split(": ")[0].removeprefix("datasets.d.") for line in error.problems]
    return []


def of_training(**training) -> dict:
    return {"training": training}


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        (of_training(schedule="cosine", milestones=[9]), ["training.milestones"]),
        (of_training(schedule="constant", gamma=0.5), ["training.gamma"]),
        (of_training(warmup=0.1), ["training.warmup"]),
        (of_training(schedule="one_cycle", warmup_epochs=2), ["training.warmup_epochs"]),
        ({"studies": of_training(warmup=0.1)}, ["studies.training.warmup"]),
        ({"scores": of_training(milestones=[9])}, ["scores.training.milestones"]),
        ({"proxies": of_training(milestones=[9])}, ["proxies.training.milestones"]),
        ({"selection": {"by": "last", "steps": 5, "validation": 0.1}}, 2),
        ({"selection": {"by": "test", "validation": 0.1}}, ["selection.validation"]),
        ({"runs": {"x": {"method": "erm", "train_on": {"seed": 3}}}}, ["runs.x.train_on.seed"]),
        ({"runs": {"x": {"method": "bat", "beta": 0, "form": "infonce"}}}, ["runs.x.form"]),
        ({"studies": {"seed": 3, "atypical": [0, 1]}}, ["studies.seed"]),
        ({"data": {"source": "digits", "subsample": {"seed": 2}}}, ["data.subsample.seed"]),
        ({"data": {"source": "digits", "label_noise": {"seed": 2}}}, ["data.label_noise.seed"]),
        ({"scores": {"trials": 9, "max_trials": 9}}, ["scores.max_trials"]),
        ({"scores": {"match": "index"}}, ["scores.match"]),
        ({"groups": {"bottom": 0.3}}, ["groups.bottom"]),
        ({"groups": {"score": "memorization", "top": 0.1, "typical_below": 0.01}}, 1),
    ],
)
def test_what_nothing_reads_is_refused_by_its_key(settings, keys):
    found = unread(**settings)
    assert len(found) == keys if isinstance(keys, int) else found == keys


COSINE = of_training(schedule="cosine")


@pytest.mark.parametrize(
    ("defaults", "settings"),
    [
        (None, of_training(milestones=[9]) | {"runs": {"x": {"method": "erm"} | COSINE}}),
        (of_training(milestones=[9]), COSINE),
        ({"scores": {"min_trials": 50}}, {"scores": {"trials": 60}}),
        ({"groups": {"typical_below": 0.01}}, {"groups": {"score": "memorization", "top": 0.1}}),
        # what one run reads is read
        (
            None,
            of_training(schedule="cosine", milestones=[9])
            | {"runs": {"x": {"method": "erm"} | of_training(schedule="piecewise")}},
        ),
        # what is empty, or 0, asks for nothing
        (None, of_training(schedule="cosine", milestones=[])),
        (None, of_training(warmup=0)),
        (None, {"selection": {"by": "last", "validation": 0}}),
        # one's own recipe may stay beside the scores of another, as it was before they came
        (None, {"scores": {"source": "scores.zip", "trials": 9}, "ensemble": {"members": 9}}),
    ],
)
def test_what_was_taken_over_and_chosen_otherwise_is_none(defaults, settings):
    assert unread(defaults, **settings) == []


def test_a_shared_key_is_refused_once_and_where_it_is():
    assert unread(of_training(warmup=0.1)) == ["defaults.training.warmup"]
    run = {"method": "erm"} | of_training(schedule="constant")  # it reads it no more than others
    assert unread(**of_training(schedule="cosine", milestones=[9]), runs={"x": run}) == [
        "training.milestones"
    ]
    run = {"method": "erm"} | of_training(milestones=[9])
    assert unread(**COSINE, runs={"x": run}) == ["runs.x.training.milestones"]


def test_one_data_set_that_reads_a_shared_key_is_enough():
    digits = {"data": {"source": "digits"}}
    shared = {"defaults": {"scores": {"min_trials": 50}}}
    load_config(shared | {"datasets": {"a": digits | {"scores": {"trials": "auto"}}, "b": digits}})
    with pytest.raises(ConfigError, match=r"  defaults\.scores\.min_trials: .* trials is 1000"):
        load_config(shared | {"datasets": {"b": digits}})


def test_a_file_laid_over_another_may_choose_otherwise(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(
        "datasets: {d: {data: {source: digits}, training: {milestones: [9]}, "
        "selection: {validation: 0.1, steps: 5}}}"
    )
    above.write_text("datasets: {d: {training: {schedule: cosine}, selection: {by: last}}}")
    chosen = read_config(below, above).datasets["d"]
    assert (chosen.training.schedule, chosen.selection.by) == ("cosine", "last")
    with pytest.raises(ConfigError, match=r"datasets\.d\.training\.milestones: only the schedule"):
        read_config(above, below)
    merged = overlay(*(read_yaml(path)[0] for path in (below, above)))
    assert load_config(merged, strict=False).datasets["d"] == chosen


def test_arguments_are_held_to_it_too():
    with pytest.raises(BatError, match="f: warmup: only the schedule one_cycle reads it"):
        from_arguments(Optimization, {"schedule": "cosine", "milestones": (), "warmup": 0.1}, "f")
