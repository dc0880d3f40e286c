"""Scores of one training, each against its definition sample by sample."""

import math

import numpy as np
import pytest

from bat.errors import BatError
from bat.scores.proxies import KEPT, PROXIES, early_epoch, proxy_scores

EPOCHS, N = 12, 40


@pytest.fixture
def course():
    rng = np.random.default_rng(0)
    found = {name: rng.gamma(2.0, size=(EPOCHS, N)) for name in KEPT}
    found["margin"] = rng.normal(size=(EPOCHS, N))
    found["margin"][:, 0] = -1.0  # never right
    found["margin"][:, 1] = 1.0  # always
    found["second_margin"] = found["margin"][::-1]
    return found


def cumulated_loss(course, i):
    return sum(course["loss"][e, i] for e in range(EPOCHS))


def last_loss(course, i):
    return course["loss"][EPOCHS - 1, i]


def sensitivity(course, i):
    return sum(course["input_gradient"][e, i] for e in range(EPOCHS)) / EPOCHS


def learning_time(course, i):
    norms = course["input_gradient"]
    running = [[norms[: e + 1, j].mean() for j in range(N)] for e in range(EPOCHS)]
    tau = sum(map(sum, running)) / (EPOCHS * N)
    return 1 - sum(running[e][i] < tau for e in range(EPOCHS)) / EPOCHS


def curvature(course, i):
    return sum(course["curvature"][e, i] for e in range(EPOCHS)) / EPOCHS


def forgetting(course, i):
    right = [course["margin"][e, i] > 0 for e in range(EPOCHS)]
    if not any(right):
        return EPOCHS
    return sum(right[e] and not right[e + 1] for e in range(EPOCHS - 1))


def el2n(course, i):
    return course["error"][math.ceil(EPOCHS * 0.1) - 1, i]


def grand(course, i):
    return course["weight_gradient"][math.ceil(EPOCHS * 0.1) - 1, i]


def area_under_the_margin(course, i):
    return sum(course["margin"][e, i] for e in range(EPOCHS)) / EPOCHS


def last_margin(course, i):
    return course["margin"][EPOCHS - 1, i]


def second_split_forgetting(course, i):
    for t in range(EPOCHS):
        if all(course["second_margin"][later, i] <= 0 for later in range(t, EPOCHS)):
            return t + 1
    return EPOCHS + 1


TWINS = {
    "csl": cumulated_loss,
    "last_loss": last_loss,
    "learning_time": learning_time,
    "loss_sensitivity": sensitivity,
    "curvature": curvature,
    "forgetting": forgetting,
    "el2n": el2n,
    "grand": grand,
    "aum": area_under_the_margin,
    "margin": last_margin,
    "ssft": second_split_forgetting,
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_score_is_that_of_its_definition(course, name):
    twin = [TWINS[name](course, i) for i in range(N)]
    np.testing.assert_allclose(proxy_scores(course, [name])[name], twin, rtol=1e-12)


def test_what_was_not_observed_has_no_score(course):
    course["loss"][3, 7] = np.nan
    scores = proxy_scores(course, ["csl", "aum"])
    assert np.flatnonzero(np.isnan(scores["csl"])).tolist() == [7]
    assert not np.isnan(scores["aum"]).any()


def test_early_scores_need_the_early_epoch_alone(course):
    early = early_epoch(EPOCHS)
    whole = proxy_scores(course, ["el2n"])["el2n"]
    course["error"][np.arange(EPOCHS) != early] = np.nan
    np.testing.assert_array_equal(proxy_scores(course, ["el2n"])["el2n"], whole)


@pytest.mark.parametrize(("n_epochs", "early"), [(1, 0), (10, 0), (11, 1), (16, 1), (100, 9)])
def test_the_early_epoch_is_after_a_tenth(n_epochs, early):
    assert early_epoch(n_epochs) == early


def test_scores_that_cannot_be_are_refused_by_name(course):
    with pytest.raises(BatError, match="'luck' is no score of a training; expected csl"):
        proxy_scores(course, ["luck"])
    with pytest.raises(BatError, match=r"aum needs margin .*observed are loss"):
        proxy_scores({"loss": course["loss"]}, ["aum"])
    with pytest.raises(BatError, match=r"loss has shape \(40,\)"):
        proxy_scores({"loss": course["loss"][0]}, ["csl"])
