"""Estimates from margins: against known truth, against slow twins, and where they end."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, ttest_ind

from bat.errors import BatError
from bat.scores import influence, margin_prior, memorization
from bat.scores.margin_influence import influence_from_margins
from bat.scores.margins import margins, memorization_from_margins, shrinkage
from bat.scores.privacy import membership_attack
from bat.scores.roc import Curve
from bat.scores.significance import benjamini_hochberg
from bat.scores.subsets import subset


def world(n_trials, n, seed=0, ratio=0.7):
    """Masks and margins of models that fit what they see, and the true memorization."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(1.5, 3, n), np.exp(rng.normal(0.8, 0.3, n))
    included = np.stack([subset(seed, trial, n, ratio) for trial in range(n_trials)])
    found = mean + sd * rng.normal(size=(n_trials, n))
    found = np.where(included, np.abs(found) + 3, found)
    defined = included.any(0) & ((~included).sum(0) > 1)
    return included[:, defined], found[:, defined], norm.cdf(-mean / sd)[defined]


def test_a_margin_is_the_label_against_the_best_other():
    logits = np.random.default_rng(0).normal(size=(3, 20, 5))
    labels = np.arange(20) % 5
    for trial in range(3):
        for i, label in enumerate(labels):
            others = [logits[trial, i, k] for k in range(5) if k != label]
            expected = logits[trial, i, label] - max(others)
            assert margins(logits, labels)[trial, i] == expected


@pytest.mark.parametrize("n_trials", [10, 20, 60, 300])
def test_intervals_hold_what_they_say(n_trials):
    included, found, truth = world(n_trials, 4000)
    scores = memorization_from_margins(included, found.astype(np.float16))
    covered = np.abs(scores.memorization_margin - truth) <= 1.96 * scores.memorization_margin_se
    assert 0.93 <= covered.mean() <= 0.97
    assert abs((scores.memorization_margin - truth).mean()) < 0.01


@pytest.mark.parametrize("n_trials", [10, 30, 100])
def test_margins_are_worth_half_as_many_trials_again(n_trials):
    """1.57 times as many at an accuracy of a half, more elsewhere, less what few trials cost."""
    included, found, truth = world(n_trials, 4000)
    by_margin = memorization_from_margins(included, found).memorization_margin - truth
    by_bits = memorization(included, found > 0).memorization - truth
    assert (by_bits**2).mean() > 1.35 * (by_margin**2).mean()


def uneven(kind, n_trials, n=4000, seed=0):
    """Masks, margins and true memorization where means and deviations are far from normal.

    Models with a sample have larger margins where those without it have.
    """
    rng = np.random.default_rng(seed)
    mean = {
        "normal": lambda: rng.normal(0.5, 1, n),
        "two peaks": lambda: np.where(
            rng.random(n) < 0.1, rng.normal(-2, 0.5, n), rng.normal(2, 0.8, n)
        ),
        "heavy tails": lambda: 0.8 + 0.7 * rng.standard_t(3, n),
        "few wrong": lambda: np.where(
            rng.random(n) < 0.05, rng.normal(-1, 0.7, n), rng.normal(3, 1, n)
        ),
    }[kind]()
    sd = np.sqrt(8 / rng.chisquare(8, n))
    included = np.stack([subset(seed, trial, n, 0.7) for trial in range(n_trials)])
    seen = 6 + 0.7 * mean + 0.8 * rng.normal(size=n) + rng.normal(size=(n_trials, n))
    found = np.where(included, np.maximum(seen, 0.1), mean + sd * rng.normal(size=(n_trials, n)))
    return included, found, norm.cdf(-mean / sd)


@pytest.mark.parametrize("kind", ["normal", "two peaks", "heavy tails"])
@pytest.mark.parametrize("n_trials", [10, 20, 40, 100])
def test_intervals_hold_what_they_say_where_nothing_is_normal(kind, n_trials):
    included, found, truth = uneven(kind, n_trials)
    scores = memorization_from_margins(included, found)
    error = (scores.memorization_margin - truth)[~np.isnan(scores.memorization_margin)]
    se = scores.memorization_margin_se[~np.isnan(scores.memorization_margin)]
    assert 0.93 <= (np.abs(error) <= 1.96 * se).mean() <= 0.97
    assert abs(error.mean()) < 0.01


@pytest.mark.parametrize(("n_trials", "less"), [(10, 0.85), (20, 0.93), (60, 1.0)])
def test_few_memorized_samples_are_not_drawn_in_with_the_many(n_trials, less, monkeypatch):
    """Wrong labels among easy samples, as most data sets have them, against a normal prior."""
    included, found, truth = uneven("few wrong", n_trials)

    def judged():
        scores = memorization_from_margins(included, found)
        error = scores.memorization_margin - truth
        defined = ~np.isnan(error)
        inside = np.abs(error) <= 1.96 * scores.memorization_margin_se
        memorized = defined & (truth > 0.5)
        return inside[defined].mean(), inside[memorized].mean(), (error[memorized] ** 2).mean()

    covered, of_memorized, squared = judged()
    assert 0.93 <= covered <= 0.97
    assert of_memorized >= 0.92
    monkeypatch.setattr(margin_prior, "WIDER", np.array([1.0]))
    of_normal = judged()
    assert squared < less * of_normal[2]
    assert of_memorized >= of_normal[1] - 0.01


@pytest.mark.parametrize("kind", ["normal", "two peaks", "heavy tails", "few wrong"])
def test_intervals_of_high_estimates_hold_what_they_say(kind):
    """Of samples chosen by what is seen of them; of high truths fewer, see the notes."""
    for n_trials in (10, 20, 60):
        included, found, truth = uneven(kind, n_trials)
        scores = memorization_from_margins(included, found)
        error = np.abs(scores.memorization_margin - truth)
        inside = error <= 1.96 * scores.memorization_margin_se
        assert inside[scores.memorization_margin > 0.5].mean() >= 0.92
        assert inside[~np.isnan(error) & (truth > 0.5)].mean() >= 0.87


@pytest.mark.parametrize(("n_trials", "worth"), [(10, 2.5), (30, 1.8), (100, 1.35)])
def test_margins_of_models_that_saw_a_sample_are_worth_trials(n_trials, worth, monkeypatch):
    """Beyond those of the others: squared errors against bits, and against no prior."""
    included, found, truth = uneven("heavy tails", n_trials)
    defined = ((~included).sum(axis=0) > 1) & included.any(axis=0)
    included, found, truth = included[:, defined], found[:, defined], truth[defined]

    def squared(scores):
        return ((scores - truth) ** 2).mean()

    ours = squared(memorization_from_margins(included, found).memorization_margin)
    assert squared(memorization(included, found > 0).memorization) > worth * ours
    monkeypatch.setattr("bat.scores.margins.LEAST_SAMPLES", np.inf)
    alone = squared(memorization_from_margins(included, found).memorization_margin)
    assert alone > ours * (1.5 if n_trials == 10 else 1.05)


def test_a_proxy_takes_part_in_the_prior():
    """Of either direction and any scale; intervals hold all the same."""
    included, found, truth = uneven("normal", 10)
    proxy = -1e3 * (norm.ppf(1 - truth) + np.random.default_rng(5).normal(0, 0.5, len(truth)))
    alone = memorization_from_margins(included, found)
    helped = memorization_from_margins(included, found, proxy=proxy)
    defined = ~np.isnan(helped.memorization_margin)
    error = (helped.memorization_margin - truth)[defined]
    assert ((alone.memorization_margin - truth)[defined] ** 2).mean() > 1.4 * (error**2).mean()
    se = helped.memorization_margin_se[defined]
    assert 0.93 <= (np.abs(error) <= 1.96 * se).mean() <= 0.97
    for wrong in (proxy[1:], np.where(truth > 0.9, np.nan, proxy)):
        with pytest.raises(BatError, match="one number for each of 4000 samples"):
            memorization_from_margins(included, found, proxy=wrong)


def test_the_estimate_is_the_mean_of_the_posterior(monkeypatch):
    """Against integrals over the prior's mixture of normal densities, sample by sample."""
    included, found, _ = uneven("two peaks", 12, n=150)
    priors = []

    def kept(*given):
        priors.append((*given[:2], *margin_prior.fit_prior(*given)))
        return priors[-1][2:]

    monkeypatch.setattr("bat.scores.margins.fit_prior", kept)
    scores = memorization_from_margins(included, found)
    n_in, right = included.sum(axis=0), ((found > 0) & included).sum(axis=0)
    all_right = right.sum() / n_in.sum()
    defined = np.flatnonzero(((~included).sum(axis=0) > 1) & (n_in > 0))
    ((*columns, variances, shares),) = priors
    assert shares.sum() == pytest.approx(1)
    for sample, z, spread, mean, own in zip(defined[:6], *columns, variances.T, strict=False):

        def density(t, z=z, spread=spread, mean=mean, own=own):
            prior = (shares * norm.pdf(t, mean, np.sqrt(own))).sum()
            return prior * norm.pdf(z, t, np.sqrt(spread))

        total, first, second = (
            quad(lambda t, k=k: density(t) * norm.cdf(t) ** k, -30, 30, points=[z, mean])[0]
            for k in (0, 1, 2)
        )
        accuracy = first / total
        share = (right[sample] + 2 * all_right) / (n_in[sample] + 2)
        squared = second / total - accuracy**2 + share * (1 - share) / n_in[sample]
        expected = right[sample] / n_in[sample] - accuracy
        assert scores.memorization_margin[sample] == pytest.approx(expected, abs=1e-6)
        assert scores.memorization_margin_se[sample] ** 2 == pytest.approx(squared, abs=1e-6)


def test_the_prior_is_that_of_the_samples():
    """A bend and two variances, found through the noise of the estimates."""
    rng = np.random.default_rng(0)
    seen = rng.uniform(-1, 3, 40_000)
    truth = np.abs(seen) + np.where(seen > 1, 0.5, 1.0) * rng.normal(size=len(seen))
    spread = rng.uniform(0.1, 1, len(seen))
    z = truth + np.sqrt(spread) * rng.normal(size=len(seen))
    mean, variances, shares = margin_prior.fit_prior(z, spread, seen)
    variance = variances[0]
    assert shares[0] > 0.7
    inside = np.abs(seen - 1) < 1.8
    assert np.abs(mean - np.abs(seen))[inside].mean() < 0.05
    assert variance[seen < 0].mean() == pytest.approx((1 + 0.625) / 2, abs=0.1)
    assert variance[seen > 2].mean() == pytest.approx((0.25 + 0.625) / 2, abs=0.1)


def test_a_margin_that_says_nothing_is_no_prior_of_its_own():
    rng = np.random.default_rng(1)
    z, spread = rng.normal(1, 2, 5000), np.full(5000, 0.5)
    for seen in (np.zeros(5000), rng.normal(size=5000), np.repeat([1.0, 2.0], 2500)):
        mean, variances, _ = margin_prior.fit_prior(z, spread, seen)
        assert np.abs(mean - 1).mean() < 0.15
        assert variances[0].mean() == pytest.approx(3.5, abs=0.3)


def test_the_prior_is_as_wide_as_the_samples_say():
    """Normal samples take the first density; a few far ones take a share of the widest."""
    rng = np.random.default_rng(2)
    spread, seen = np.full(20_000, 0.3), rng.normal(size=20_000)
    for far, least, most in ((0.0, 0.0, 0.002), (0.02, 0.01, 0.02)):
        sd = np.where(rng.random(20_000) < far, 8.0, 1.0)
        z = seen + sd * rng.normal(size=20_000) + np.sqrt(spread) * rng.normal(size=20_000)
        shares = margin_prior.fit_prior(z, spread, seen)[2]
        assert least <= shares[-1] <= most and shares[0] > 0.85


def test_equal_deviations_are_pooled_and_unequal_ones_are_not():
    rng = np.random.default_rng(0)
    freedom = np.full(5000, 9)
    prior, pooled = shrinkage(4 * rng.chisquare(9, 5000) / 9, freedom)
    assert prior > 200 and pooled == pytest.approx(4, rel=0.02)
    spread = 4 * 6 / rng.chisquare(6, 5000)  # scaled inverse chi-squared of 6 degrees
    prior, pooled = shrinkage(spread * rng.chisquare(9, 5000) / 9, freedom)
    assert prior == pytest.approx(6, rel=0.15) and pooled == pytest.approx(4, rel=0.05)


def test_what_few_trials_leave_undefined_is_not_a_number():
    included = np.array([[True, True, True], [True, False, True], [False, False, True]])
    scores = memorization_from_margins(included, np.array([[1.0, 2, 3], [2, -1, 1], [1, -2, 1]]))
    assert np.isnan(scores.memorization_margin).tolist() == [True, False, True]
    assert np.isnan(scores.memorization_margin_se).tolist() == [True, False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_margins_that_are_not_finite_are_refused(value, pairs):
    included, found, *labels = pairs
    broken = np.where(np.arange(12) == 1, np.where(np.arange(30) == 2, value, 0.0)[:, None], found)
    words = f"the margin of sample 1 in trial 2 is {value}; expected finite"
    with pytest.raises(BatError, match=words):
        influence_from_margins(included, broken, *labels)
    for estimate in (memorization_from_margins, membership_attack):
        with pytest.raises(BatError, match=words):
            estimate(included[:, :12], broken)


def test_wrong_margins_are_refused():
    included = np.ones((3, 2), bool)
    with pytest.raises(BatError, match=r"margins have shape \(3, 3\); expected \(3, 2\)"):
        memorization_from_margins(included, np.zeros((3, 3)))
    with pytest.raises(BatError, match=r"included is int64 .* expected truth values, or 0 and 1"):
        memorization_from_margins(2 * included.astype(int), np.zeros((3, 2)))
    with pytest.raises(BatError, match=r"included is bool of shape \(3,\); expected booleans"):
        memorization_from_margins(included[:, 0], np.zeros(3))


@pytest.fixture(scope="module")
def pairs():
    """30 trials of 40 training and 12 test samples in 2 classes, with three real influences."""
    rng = np.random.default_rng(1)
    included = np.stack([subset(1, trial, 40, 0.7) for trial in range(30)])
    found = rng.normal(1.0, 1.0, size=(30, 12))
    for train, test in ((0, 0), (0, 2), (5, 1)):
        found[:, test] += 3.0 * included[:, train]
    return included, found, np.arange(40) % 2, np.arange(12) % 2


@pytest.mark.parametrize("candidates", ["same_class", "all"])
@pytest.mark.parametrize("block", [7, 2**20])
def test_pairs_are_those_of_students_test(pairs, candidates, block):
    included, found, labels_train, labels_test = pairs
    rows = []
    for i in range(40):
        for j in range(12):
            if candidates == "all" or labels_train[i] == labels_test[j]:
                with_, without = found[included[:, i], j], found[~included[:, i], j]
                test = ttest_ind(with_, without, alternative="greater")
                rows.append((i, j, with_.mean() - without.mean(), test.statistic, test.pvalue))
    i, j, difference, t, p = map(np.array, zip(*rows, strict=True))
    q = benjamini_hochberg(p)
    scores = influence_from_margins(
        included, found, labels_train, labels_test, pairs=candidates, keep=(i, j), block=block
    )
    assert scores.candidates == len(rows)
    assert scores.standing == (q <= 0.1).sum() >= 3
    np.testing.assert_array_equal(scores.train_index, i)
    np.testing.assert_array_equal(scores.test_index, j)
    np.testing.assert_allclose(scores.influence_margin, difference, rtol=1e-4)
    np.testing.assert_allclose(scores.influence_margin / scores.influence_margin_se, t, rtol=1e-4)
    np.testing.assert_allclose(scores.q_margin, q, rtol=2e-3)
    alone = influence_from_margins(
        included, found, labels_train, labels_test, pairs=candidates, block=block
    )
    np.testing.assert_array_equal(alone.train_index, i[q <= 0.1])
    np.testing.assert_array_equal(alone.test_index, j[q <= 0.1])
    np.testing.assert_array_equal(alone.q_margin, scores.q_margin[q <= 0.1])


def test_pairs_that_do_not_stand_are_left_out_unless_kept(pairs):
    included, found, *labels = pairs
    scores = influence_from_margins(included, found, *labels)
    assert (scores.q_margin <= scores.level).all() and scores.standing == len(scores.q_margin)
    assert {(0, 0), (0, 2), (5, 1)} <= set(
        zip(scores.train_index.tolist(), scores.test_index.tolist(), strict=True)
    )
    kept = influence_from_margins(included, found, *labels, keep=([1], [1]))
    assert len(kept.q_margin) == scores.standing + 1


def test_nothing_stands_by_chance_and_much_where_there_is_something(pairs):
    """Permuted trials: at a rate of 0.1 some pair is called real in a tenth of the draws."""
    included, found, *labels = pairs
    rng = np.random.default_rng(0)
    draws = [
        influence_from_margins(included[rng.permutation(30)], found, *labels).standing
        for _ in range(200)
    ]
    assert 0.02 < np.mean(np.array(draws) > 0) < 0.17
    assert influence(included, found > 0, *labels).chance["standing"] == 0


def test_constant_margins_have_no_influence(pairs):
    included, found, *labels = pairs
    scores = influence_from_margins(included, np.full_like(found, 2.0), *labels)
    assert scores.standing == 0 and scores.candidates == 240


def test_what_is_like_an_array_will_do(pairs):
    included, found, *labels = pairs
    lists = included.astype(int).tolist(), found.tolist()
    expected = influence_from_margins(included, found, *labels)
    like = influence_from_margins(*lists, *(given.tolist() for given in labels))
    np.testing.assert_array_equal(like.influence_margin, expected.influence_margin)
    masks = included[:, :12], included[:, :12].astype(int).tolist()
    for name, estimate in (
        ("memorization_margin", memorization_from_margins),
        ("sample_auc", membership_attack),
    ):
        ours, theirs = estimate(masks[0], found), estimate(masks[1], lists[1])
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
    attack = membership_attack(masks[0], found)
    areas = [Curve(mask, attack.scores, attack.fold).area() for mask in masks]
    assert areas[0] == areas[1]


def test_pairs_that_are_not_there_cannot_be_kept(pairs):
    with pytest.raises(BatError, match=r"keep names test samples 3 to 12; expected positions in "):
        influence_from_margins(*pairs, keep=([0, 1], [3, 12]))
