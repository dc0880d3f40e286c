"""Linear classifiers of the Gaussian mixture, against chance, brute force and algebra."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import ndtr

from bat.errors import BatError
from bat.studies import theory, theory_search
from bat.studies.theory import Z_99

TAU = Z_99  # at sigma = 1
RNG_SEED = 20


def distances(points, eta):
    return np.hypot(points[..., 0] - eta, points[..., 1])


def problems(n=200):
    """Random samples, radii (zero for a third) and separations."""
    rng = np.random.default_rng(RNG_SEED)
    x0 = rng.normal(scale=4, size=(n, 2))
    return x0, rng.choice([0.0, 0.7, 3.0], n), rng.uniform(0.5, 12, n)


# -- errors of given classifiers ------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "bias", "eta", "sigma"),
    [([1, 0], 0.0, 1.0, 1.0), ([0.6, -2.0], 0.4, 1.5, 0.8), ([-1, 0.5], -0.3, 0.5, 2.0)],
)
def test_closed_forms_are_the_rates_of_a_sample(weight, bias, eta, sigma):
    rng, n = np.random.default_rng(RNG_SEED), 100_000
    errors = theory.class_errors(weight, bias, eta, sigma)
    for sign, error in zip((-1, 1), errors, strict=True):
        x = rng.normal([sign * eta, 0], sigma, (n, 2))
        wrong = np.mean((x @ weight + bias > 0) != (sign > 0))
        assert abs(wrong - error) < 5 * math.sqrt(error * (1 - error) / n)


def test_known_errors():
    negative, positive = theory.class_errors([2.0, 0.0], 0.0, eta=TAU, sigma=1.0)
    assert negative == pytest.approx(0.01)
    assert positive == pytest.approx(0.01)
    assert theory.class_errors([0.0, 1.0], 0.0, 3.0, 1.0) == (0.5, 0.5)


def test_errors_move_with_the_boundary_and_the_separation():
    bias = np.linspace(-3, 3, 50)
    negative, positive = theory.class_errors([1.0, 0.3], bias, 2.0, 1.0)
    assert np.all(np.diff(negative) > 0)
    assert np.all(np.diff(positive) < 0)
    for error in theory.class_errors([1.0, 0.3], 0.2, np.linspace(0.1, 5, 50), 1.0):
        assert np.all(np.diff(error) < 0)


# -- the proof ------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [TAU, 3.0, 10.0])
def test_classifiers_of_the_proof_have_one_percent_error(eta):
    weight, bias = theory.proof_classifiers(eta, 1.0)
    negative, positive = theory.class_errors(weight, bias, eta, 1.0)
    assert positive == pytest.approx(np.full(3, 0.01))
    assert negative[1:] == pytest.approx(np.full(2, 0.01))
    assert negative[0] == pytest.approx(ndtr(-(2 * eta - TAU)))
    assert negative[0] <= 0.01 + 1e-12


@pytest.mark.parametrize("eta", [2.5, 3.0, 10.0, 30.0])
def test_corners_lie_where_they_are_said_to(eta):
    weight, bias = theory.proof_classifiers(eta, 1.0)
    first, second = theory.corners(eta, 1.0)
    for corner, number in ((first, 0), (first, 1), (second, 1)):
        assert weight[number] @ corner + bias[number] == pytest.approx(0, abs=1e-12 * eta)
    assert np.hypot(second[0] + eta, second[1]) == pytest.approx(2 * eta)
    r = TAU / eta
    expected = [
        math.sqrt(2) * TAU * (1 + r) ** -0.5,
        2 * eta * math.sqrt(2 - r**2 - math.sqrt((1 - r**2) * (4 - r**2))),
    ]
    assert distances(np.array([first, second]), eta) == pytest.approx(expected, rel=1e-9)
    assert theory.bound(eta, 1.0) == pytest.approx(expected[0])


def test_the_second_corner_has_no_term_of_first_order():
    """The remainder after 9/16 r**2 falls as r**4; a first-order term would fall as r."""
    remainders = []
    for r in (0.2, 0.1, 0.05):
        squared = distances(theory.corners(TAU / r, 1.0)[1], TAU / r) ** 2 / TAU**2
        remainders.append(squared - 1 - 9 / 16 * r**2)
    assert np.all(np.abs(remainders) < [0.2**4, 0.1**4, 0.05**4])


@pytest.mark.parametrize("eta", [3.0, theory.SMALLEST_SEPARATION, 5.0, 10.0])
def test_samples_that_the_proof_leaves_are_nearer_than_a_corner(eta):
    """Equation 12 by chance: its maximum is at S_1, or at S_2 where classes are too near."""
    rng = np.random.default_rng(RNG_SEED)
    weight, bias = theory.proof_classifiers(eta, 1.0)
    x = rng.uniform([eta - TAU, -2 * eta], [eta, 2 * eta], (400_000, 2))
    inside = np.hypot(x[:, 0] + eta, x[:, 1]) <= 2 * eta
    x = x[inside & np.all(x @ weight.T + bias > 0, axis=1)]
    farthest = distances(x, eta).max()
    corner = distances(theory.corners(eta, 1.0), eta)
    assert farthest <= corner.max() * (1 + 1e-12)
    assert farthest > corner.max() - 0.05
    order = np.sign(np.round(corner[0] - corner[1], 12))  # which of the two it is
    assert order == np.sign(np.round(eta - theory.SMALLEST_SEPARATION, 12))
    angle = np.arctan2(x[:, 1], eta - x[:, 0])
    reach = theory.unfitted_distance(angle, weight, bias, eta)
    assert np.all(distances(x, eta) <= reach * (1 + 1e-12))


def test_two_of_the_three_classifiers_are_not_enough():
    weight, bias = theory.proof_classifiers(10.0, 1.0)
    x0 = np.array([10 - TAU, 2 * math.sqrt(10 * TAU) - 0.3])  # beyond F_1, on the side of F_3
    assert np.hypot(x0[0] + 10, x0[1]) < 20
    assert distances(x0, 10.0) > 3 * theory.bound(10.0, 1.0)
    assert list(weight @ x0 + bias + 1e-9 > 0) == [True, True, False]


# -- the best of all classifiers ------------------------------------------------------------


@pytest.mark.parametrize("classes", ["both", "+1"])
def test_the_best_fit_fits_and_has_its_error(classes):
    x0, eps, eta = problems()
    fit = theory.best_fit(x0, eps, eta, 1.0, classes=classes)
    assert np.hypot(*fit.weight.T) == pytest.approx(np.ones(len(x0)))
    assert np.all(np.einsum("nd,nd->n", fit.weight, x0) + fit.bias + eps <= 1e-12)
    negative, positive = theory.class_errors(fit.weight, fit.bias, eta, 1.0)
    expected = np.maximum(negative, positive) if classes == "both" else positive
    assert np.array_equal(fit.error, expected)


@pytest.mark.parametrize("classes", ["both", "+1"])
def test_no_classifier_of_a_grid_is_better(classes):
    """The slow twin: a grid over directions and biases, no reduction of either."""
    x0, eps, eta = problems(30)
    angles = np.linspace(-math.pi, math.pi, 361)
    weight = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]
    bias = np.linspace(-40, 40, 801)
    fit = theory.best_fit(x0, eps, eta, 1.0, classes=classes)
    for number in range(len(x0)):
        negative, positive = theory.class_errors(weight, bias, eta[number], 1.0)
        error = np.maximum(negative, positive) if classes == "both" else positive
        fits = weight @ x0[number] + bias + eps[number] <= 0
        least = error[fits].min()
        # next to the best is a grid point half a step away in angle, and up to a whole one in
        # bias as it must still fit; a mean's distance moves by no more than this
        distance = np.hypot(*x0[number]) + eta[number]
        step = distance * math.pi / 360 + 80 / 800
        assert fit.error[number] <= least + 1e-9
        assert least <= fit.error[number] + step / math.sqrt(2 * math.pi)


def test_the_search_agrees_with_algebra():
    """Maxima of a minimum of two sinusoids lie at a peak or where they cross."""
    x0, eps, eta = problems(5000)
    theta = np.stack([eta, np.zeros_like(eta)], axis=-1)
    with np.errstate(invalid="ignore"):
        half = np.arccos(-eps / np.hypot(*x0.T))  # NaN where the terms do not cross
    toward, gap = np.arctan2(x0[:, 1], x0[:, 0]), theta - x0
    peak = np.arctan2(gap[:, 1], gap[:, 0])
    angle = np.stack([np.zeros_like(eta), peak, toward + half, toward - half], axis=-1)
    weight = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    heights = np.einsum("nkd,nd->nk", weight, theta)
    margins = np.minimum(heights, np.einsum("nkd,nd->nk", weight, gap) - eps[:, None])
    scale = np.maximum(distances(x0, eta), eta) + eps
    tolerance = 2 * theory.RESOLUTION * scale + 1e-12
    error = theory.best_fit(x0, eps, eta, 1.0).error
    assert np.all(np.abs(error - ndtr(-np.nanmax(margins, axis=1))) <= tolerance)
    error = theory.best_fit(x0, eps, eta, 1.0, classes="+1").error
    assert np.all(np.abs(error - ndtr(eps - distances(x0, eta))) <= tolerance)


def test_errors_fall_with_distance_and_rise_with_the_ball_and_the_angle():
    distance = np.linspace(0.1, 8, 60)
    x0 = theory.place_sample(distance, 0.4, 5.0)
    eps = np.linspace(0, 6, 60)
    angle = np.linspace(0, math.pi, 60)
    around = theory.place_sample(3.0, angle, 5.0)
    slack = 1e-9
    assert np.all(np.diff(theory.best_fit(x0, 0.5, 5.0, 1.0).error) <= slack)
    assert np.all(np.diff(theory.best_fit(x0[30], eps, 5.0, 1.0).error) >= -slack)
    assert np.all(np.diff(theory.best_fit(around, 0.0, 5.0, 1.0).error) >= -slack)
    assert np.all(np.diff(theory.best_fit(x0[30], eps, 5.0, 1.0, classes="+1").error) >= -slack)


def test_lengths_have_no_unit():
    x0, eps, eta = problems(20)
    error = theory.best_fit(x0, eps, eta, 1.0).error
    assert theory.best_fit(7 * x0, 7 * eps, 7 * eta, 7.0).error == pytest.approx(error, abs=1e-8)


@pytest.mark.parametrize("eta", [2.5, 5.0, 10.0])
def test_from_its_fitting_distance_a_sample_is_fitted(eta):
    angle = np.linspace(-1.4, 1.4, 41)
    distance = theory.fitting_distance(angle, eta, 1.0)
    for factor, fitted in ((0.999, False), (1.001, True)):
        x0 = theory.place_sample(factor * distance, angle, eta)
        assert np.all((theory.best_fit(x0, 0.0, eta, 1.0).error <= 0.01) == fitted)
    beyond = np.pi / 2 + math.acos(TAU / eta) + 0.01
    assert theory.fitting_distance(min(beyond, math.pi), eta, 1.0) == np.inf


# -- the theorems ---------------------------------------------------------------------------


def test_theorem_1_holds_from_its_smallest_separation_on():
    eta = theory.SMALLEST_SEPARATION
    swept = theory_search.sweep([2.4, 3.0, 0.999 * eta, eta, 1.001 * eta, 6.0, 25.0], [1.5, 3.0])
    assert list(swept["largest_error"] > 0.01 + 1e-9) == [True] * 3 + [False] * 4
    assert theory_search.sharp_separation() == pytest.approx(eta, rel=1e-7)


@pytest.mark.parametrize("eta", [2.5, 5.0, 10.0, 30.0])
def test_the_second_corner_is_the_sharp_distance(eta):
    expected = distances(theory.corners(eta, 1.0)[1], eta)
    assert theory_search.sharp_distance(eta) == pytest.approx(expected, rel=1e-7)


def test_theorem_1_fails_as_repeated_in_the_appendix():
    """With d_{+1} <= 2 eta in place of d_{-1} <= 2 eta, x0 may lie behind theta."""
    fit = theory.best_fit([10 + theory.bound(10.0, 1.0), 0.0], 0.0, 10.0, 1.0)
    assert fit.error == pytest.approx(0.5)


def test_theorem_2_holds_everywhere_and_from_a_smaller_radius():
    swept = theory_search.sweep([2.4, 3.0, 10.0, 30.0], [1.01, 2.0, 8.0])
    assert np.all(swept["smallest_error"] > 0.5)
    for eta, distance in ((3.0, 2.5), (10.0, 4.0)):
        assert theory_search.sharp_radius(distance, eta) == pytest.approx(distance, rel=1e-7)


# -- refused --------------------------------------------------------------------------------


def test_what_is_out_of_range_is_refused():
    with pytest.raises(BatError, match=r"expected at least 2\.3263"):
        theory.proof_classifiers(2.0, 1.0)
    with pytest.raises(BatError, match="weight is zero"):
        theory.class_errors([0.0, 0.0], 1.0, 1.0, 1.0)
    with pytest.raises(BatError, match="no point has it"):
        theory.widest_angle(4.1, 1.0)
    with pytest.raises(BatError, match="eps >= 0"):
        theory.best_fit([0.0, 0.0], -0.1, 1.0, 1.0)
    with pytest.raises(BatError, match="expected 'both' or"):
        theory.best_fit([0.0, 0.0], 0.1, 1.0, 1.0, classes="-1")


# -- table and figure -----------------------------------------------------------------------


def test_theory_needs_no_heavy_imports():
    code = (
        "import sys, bat.studies.theory\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
