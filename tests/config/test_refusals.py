"""What keys refuse: truth values for numbers, what is no section, what has no meaning."""

from __future__ import annotations

import pytest

from bat.config import ConfigError, load_config


def problems(**settings) -> list[str]:
    training = {"epochs": 4, "milestones": []}
    raw = {"data": {"source": "digits"}, "training": training} | settings
    try:
        load_config({"datasets": {"d": raw}})
    except ConfigError as error:
        return [line.removeprefix("datasets.d.") for line in error.problems]
    return []


def of_run(**run) -> list[str]:
    return [line.removeprefix("runs.x") for line in problems(runs={"x": {"method": "bat"} | run})]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"runs": {"x": {"method": "pgd-at", "awp": {"gamma": True}}}}, "runs.x.awp.gamma"),
        ({"runs": {"x": {"method": "pgd-at", "awp": {"warmup": False}}}}, "runs.x.awp.warmup"),
        ({"training": {"epochs": True, "milestones": []}}, "training.epochs"),
        ({"adversary": {"eps": True}}, "adversary.eps"),
        ({"history": {"every": False}}, "history.every"),
        ({"seeds": [0, True]}, "seeds.1"),
        ({"evaluation": {"pgd_more": [True]}}, "evaluation.pgd_more.0"),
    ],
)
def test_true_and_false_are_no_numbers(settings, key):
    (problem,) = problems(**settings)
    assert problem.startswith(f"{key}: ") and "is no number; write one" in problem


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (
            {"awp": True},
            ".awp: expected a section, of the keys gamma, warmup; {} takes their defaults "
            "(found True)",
        ),
        (
            {"averaging": "ema"},
            ".averaging: expected a section, of the keys kind, decay, start (found 'ema')",
        ),
        ({"samples": []}, ".samples: expected a section, of the keys drop, keep"),
        ({"samples": {"keep": 3}}, ".samples.keep: expected a path (found 3)"),
    ],
)
def test_where_a_section_is_due_its_keys_are_named(run, problem):
    assert of_run(**run) == [problem]


def test_a_list_and_names_are_asked_for():
    expected = "evaluation.pgd_more: expected a list, as [1, 2] (found 20)"
    assert problems(evaluation={"pgd_more": 20}) == [expected]
    expected = "external: expected a section, of names and what they stand for (found 3)"
    assert problems(external=3) == [expected]


@pytest.mark.parametrize("run", [{"score": "no"}, {"samples": {"drop": {"score": "no"}}}])
def test_an_unknown_score_is_one_problem_that_names_all_of_them(run):
    (problem,) = of_run(**run)
    assert "literal" not in problem
    assert "'memorization'" in problem and "'ssft' (found 'no')" in problem


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"training": {"momentum": 0, "nesterov": True}}, "nesterov is a kind of momentum"),
        ({"scores": {"training": {"momentum": 0}}}, "nesterov is a kind of momentum"),
        ({"seeds": [1, 0, 1]}, "seeds lists one twice"),
        ({"architectures": ["resnet18", "resnet18"]}, "architectures lists one twice"),
        ({"adversary": {"step": 0}}, "adversary.step: a step of 0 never moves an image"),
        ({"evaluation": {"pgd_step": "0/255"}}, "evaluation.pgd_step: a step of 0 never moves"),
        ({"runs": {"x": {"method": "mart", "step": 0}}}, "runs.x.step: a step of 0 never moves"),
        ({"selection": {"validation": 0}}, "validation (0) holds out none of the training"),
        ({"runs": {"x": {"method": "erm", "selection": {"validation": 1}}}}, "(1) holds out all"),
    ],
)
def test_what_only_a_training_would_stop_at_is_refused_before(settings, problem):
    if "training" in settings:
        settings["training"] |= {"epochs": 4, "milestones": []}
    (found,) = problems(**settings)
    assert problem in found
    for by in ("test", "last"):
        assert problems(selection={"by": by, "validation": 0}) == []


@pytest.mark.parametrize("method", ["mail-at", "mail-trades", "mail-mart"])
def test_weights_of_mail_that_never_set_in_are_refused(method):
    (problem,) = of_run(method=method, begin=1)
    assert problem == (
        ": begin (1) leaves none of the 4 epochs to weigh the samples in; choose a smaller share"
    )
    assert of_run(method=method, begin=0.75) == []
    assert of_run(method=method, training={"epochs": 1}) == []  # the default, on a trial run


def test_bat_of_typical_samples_alone_is_refused_where_it_weighs_memorized_ones():
    (problem,) = of_run(samples="typical")
    assert problem.startswith(": samples: bat lets poisoning samples")
    for run in ({"alpha": 0}, {"score": "confidence"}, {"method": "pgd-at"}):
        assert of_run(samples="typical", **run) == []
    assert of_run(train_on={"atypical": 0}) == []  # as before: its memorized ones may be none


def test_bat_of_samples_that_are_typical_by_another_score_has_memorized_ones_to_weigh():
    other = {"proxies": {"names": ["csl"]}, "groups": {"score": "csl", "top": 0.1}}
    run = {"method": "bat", "samples": "typical"}
    assert problems(runs={"x": run}, **other) == []
    (problem,) = problems(runs={"x": run | {"score": "csl", "top": 0.1}}, **other)
    assert problem.startswith("runs.x: samples: bat lets poisoning samples")
    (problem,) = problems(runs={"x": run}, groups={"score": "memorization", "top": 0.1})
    assert problem.startswith("runs.x: samples: bat lets poisoning samples")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"groups": {"score": "confidence", "top": 0.1}}, "groups.score"),
        ({"runs": {"x": {"method": "bat", "score": "disagreement"}}}, "runs.x.score"),
        (
            {"runs": {"x": {"method": "erm", "samples": {"drop": {"score": "confidence"}}}}},
            "runs.x.samples.drop.score",
        ),
    ],
)
def test_a_score_that_a_source_does_not_bring_is_refused(settings, key):
    source = {"source": "scores.zip"}
    (problem,) = problems(scores=source, **settings)
    assert problem.removeprefix("datasets.d: ").startswith(f"{key} is ")
    assert "not said to bring it; list it under scores.tables" in problem
    assert problems(scores=source | {"tables": ["confidence", "disagreement"]}, **settings) == []
    assert problems(**settings) == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"training": {"epochs": "1e1"}}, "training.epochs: expected a whole number (found '1e1')"),
        ({"runs": {3: {"method": "erm"}}}, "runs.3: expected a text; quotes make one, as '3' of 3"),
        ({"scores": {"margins": 2}}, "scores.margins: expected true or false (found 2)"),
        (
            {"selection": {"by": "best"}},
            "selection.by: expected 'validation', 'test' or 'last' (found 'best')",
        ),
    ],
)
def test_what_is_expected_is_said_in_words_of_the_file(settings, problem):
    assert [line.removesuffix(" (found 3)") for line in problems(**settings)] == [problem]


def test_defaults_that_are_none_hide_no_other_mistake():
    with pytest.raises(ConfigError) as found:
        load_config({"defaults": 3, "datasets": {}, "compute": {"device": "tpu"}})
    assert [line.split(":")[0] for line in found.value.problems] == [
        "defaults",
        "compute.device",
        "datasets",
    ]
