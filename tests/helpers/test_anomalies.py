"""helpers.anomalies against SciPy, scikit-learn, brute force and the properties that the formulas promise."""

from itertools import combinations, permutations
from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from helpers import anomalies, softmin

GAMMAS = [0.01, 0.5, 1.5, 40.0]


@pytest.fixture
def X():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(60, 4)) * [1, 2, 0.5, 3]
    X[:2] += 15  # two lone rows: the nearest others are far, plain exponentials underflow
    X[10] = X[11]  # a copy
    return X


def reference_softmin(X, gamma, metric="sqeuclidean"):
    """Row by row, with SciPy's distances and logsumexp."""
    z = cdist(X, X, metric)
    return np.array([-(logsumexp(-gamma * np.delete(row, j)) - log(len(X) - 1)) / gamma
                     for j, row in enumerate(z)])


# --- scores -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize(("squared", "metric"), [(True, "sqeuclidean"), (False, "euclidean")])
def test_softmin_equals_logsumexp(X, gamma, squared, metric):
    np.testing.assert_allclose(anomalies.softmin_scores(X, gamma, squared),
                               reference_softmin(X, gamma, metric), rtol=1e-10, atol=1e-12)


def test_hardmin_equals_the_smallest_of_the_matrix(X):
    z = cdist(X, X)
    np.fill_diagonal(z, np.inf)
    np.testing.assert_allclose(anomalies.hardmin_scores(X, squared=False), z.min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(anomalies.hardmin_scores(X), z.min(axis=1) ** 2, rtol=1e-12)


def test_squared_distances_equal_scipy(X):
    np.testing.assert_allclose(anomalies.squared_distances(X), cdist(X, X) ** 2, rtol=1e-12, atol=1e-12)


def test_softmin_is_a_negative_log_kernel_density(X):
    gamma, n, d = 0.7, *X.shape
    width = (2 * gamma) ** -0.5  # exp(-gamma z) is a Gaussian of this standard deviation
    density = [KernelDensity(bandwidth=width).fit(np.delete(X, j, axis=0)).score_samples(X[[j]])[0]
               for j in range(n)]
    offset = d / 2 * np.log(np.pi / gamma)
    np.testing.assert_allclose(anomalies.softmin_scores(X, gamma), -(np.array(density) + offset) / gamma,
                               rtol=1e-9)


def test_softmin_keeps_the_rows_whose_plain_exponentials_vanish():
    X = np.arange(10.0)[:, None] * 4
    gamma = 5.0
    z = cdist(X, X, "sqeuclidean").astype(np.float32)
    np.fill_diagonal(z, np.inf)
    assert (np.exp(-np.float32(gamma) * 2 * z).sum(axis=1) == 0).all()  # the trap: every row is empty
    np.testing.assert_allclose(anomalies.softmin_scores(X, 2 * gamma), reference_softmin(X, 2 * gamma))


def test_blocks_of_rows_change_nothing(X, monkeypatch):
    whole = [anomalies.softmin_scores(X, 1.5), anomalies.feature_relevance(X, 1.5),
             anomalies.shapley_values(X, 1.5), anomalies.neighbour_relevance(X, 1.5),
             anomalies.resampled_scores(X, 1.5, 5)]
    monkeypatch.setattr(softmin, "BLOCK", 1)
    assert len(softmin.row_blocks(len(X))) == 8
    parts = [anomalies.softmin_scores(X, 1.5), anomalies.feature_relevance(X, 1.5),
             anomalies.shapley_values(X, 1.5), anomalies.neighbour_relevance(X, 1.5),
             anomalies.resampled_scores(X, 1.5, 5)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


# --- properties -------------------------------------------------------------------------------------------
matrices = arrays(float, st.tuples(st.integers(2, 12), st.integers(1, 4)),
                  elements=st.floats(-20, 20).map(lambda v: round(v, 3)))
gammas = st.floats(1e-3, 1e3)


@settings(max_examples=80)
@given(matrices, gammas)
def test_softmin_stays_within_its_bounds(X, gamma):
    n = len(X)
    z = cdist(X, X, "sqeuclidean")
    others = z[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    y, tolerance = anomalies.softmin_scores(X, gamma), 1e-9 * (1 + z.max() + 1 / gamma)
    assert (y >= others.min(axis=1) - tolerance).all()
    assert (y <= np.minimum(others.mean(axis=1), others.min(axis=1) + log(n - 1) / gamma) + tolerance).all()


@settings(max_examples=80)
@given(matrices, gammas)
def test_explanations_conserve_the_score(X, gamma):
    y = anomalies.softmin_scores(X, gamma)
    scale = 1 + np.abs(y).max()
    for relevance in (anomalies.feature_relevance(X, gamma), anomalies.neighbour_relevance(X, gamma),
                      anomalies.shapley_values(X, gamma)):
        assert np.isfinite(relevance).all()
        assert np.abs(relevance.sum(axis=1) - y).max() <= 1e-10 * scale * max(1, 1e-2 / gamma)


@settings(max_examples=40)
@given(matrices, gammas, st.randoms(use_true_random=False))
def test_permuted_rows_and_features_permute_the_results(X, gamma, random):
    rows, columns = list(range(len(X))), list(range(X.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    moved = X[rows][:, columns]
    tolerance = {"rtol": 1e-9, "atol": 1e-9 * max(1, 1e-2 / gamma)}
    np.testing.assert_allclose(anomalies.softmin_scores(moved, gamma),
                               anomalies.softmin_scores(X, gamma)[rows], **tolerance)
    for explain in (anomalies.feature_relevance, anomalies.shapley_values):
        np.testing.assert_allclose(explain(moved, gamma), explain(X, gamma)[rows][:, columns], **tolerance)


def test_limits_are_the_minimum_and_the_mean(X):
    z = cdist(X, X, "sqeuclidean")
    mean = z.sum(axis=1) / (len(X) - 1)
    np.testing.assert_allclose(anomalies.softmin_scores(X, 1e-7), mean, rtol=1e-4)
    np.testing.assert_allclose(anomalies.softmin_scores(X, 1e6), anomalies.hardmin_scores(X), atol=1e-5)


def test_conservation_to_ten_digits_on_the_scale_of_the_course(X):
    for gamma in GAMMAS:
        y = anomalies.softmin_scores(X, gamma)
        for explain in (anomalies.feature_relevance, anomalies.neighbour_relevance):
            np.testing.assert_allclose(explain(X, gamma).sum(axis=1), y, rtol=0, atol=1e-10)
        np.testing.assert_allclose(anomalies.shapley_values(X, gamma).sum(axis=1), y, rtol=1e-12, atol=1e-12)


# --- explanations against brute force -----------------------------------------------------------------------
@pytest.mark.parametrize("gamma", GAMMAS)
def test_feature_relevance_equals_the_three_axis_array(X, gamma):
    X = np.delete(X, 10, axis=0)  # without the copy the quotient is defined everywhere
    n = len(X)
    gaps = (X[:, None] - X[None]) ** 2
    z = gaps.sum(axis=2)
    logits = np.where(np.eye(n, dtype=bool), -np.inf, -gamma * z)
    share = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    neighbours = share * reference_softmin(X, gamma)[:, None]
    expected = (gaps / (z + np.eye(n))[..., None] * neighbours[..., None]).sum(axis=1)
    np.testing.assert_allclose(anomalies.neighbour_relevance(X, gamma), neighbours, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(anomalies.feature_relevance(X, gamma), expected, rtol=1e-9, atol=1e-12)


def test_copies_share_their_relevance_evenly():
    X = np.array([[0.0, 0, 0], [0, 0, 0], [3, 4, 0]])
    gamma = 0.1
    y = anomalies.softmin_scores(X, gamma)
    to_copy = 1 / (1 + np.exp(-25 * gamma))
    expected = y[0] * (to_copy / 3 + (1 - to_copy) * np.array([9, 16, 0]) / 25)
    np.testing.assert_allclose(anomalies.feature_relevance(X, gamma)[0], expected, rtol=1e-12)
    np.testing.assert_array_equal(anomalies.feature_relevance(np.ones((4, 2)), 1.0), 0)
    np.testing.assert_allclose(anomalies.shapley_values(np.ones((4, 2)), 1.0), 0, atol=1e-15)


def brute_force_shapley(value, d):
    """The definition: the mean, over all orders of the players, of what each adds on arrival."""
    total = np.zeros(d)
    for order in permutations(range(d)):
        for position, i in enumerate(order):
            total[i] += value(order[:position + 1]) - value(order[:position])
    return total / len(list(permutations(range(d))))


@pytest.mark.parametrize("gamma", [0.3, 1.5, 300.0])
def test_shapley_equals_the_mean_over_all_orders(X, gamma):
    X = X[:12]
    table = {S: reference_softmin(X[:, list(S)], gamma) if S else np.zeros(len(X))
             for size in range(5) for S in combinations(range(4), size)}
    expected = [brute_force_shapley(lambda S, j=j: table[tuple(sorted(S))][j], 4) for j in range(len(X))]
    np.testing.assert_allclose(anomalies.shapley_values(X, gamma), expected, rtol=1e-9, atol=1e-10)


def test_shapley_axioms_null_player_and_symmetry():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    twin = anomalies.shapley_values(np.column_stack([x, x, y]), 1.5)
    np.testing.assert_allclose(twin[:, 0], twin[:, 1], rtol=1e-12)
    null = anomalies.shapley_values(np.column_stack([x, np.full(30, 2.5), y]), 1.5)
    np.testing.assert_allclose(null[:, 1], 0, atol=1e-12)


@pytest.mark.parametrize("explain", [anomalies.feature_relevance, anomalies.shapley_values])
@pytest.mark.parametrize("gamma", [0.3, 300.0])
def test_some_rows_alone_get_what_they_get_among_all(X, explain, gamma):
    np.testing.assert_allclose(explain(X, gamma, rows=[9, 0, 3]), explain(X, gamma)[[9, 0, 3]], rtol=1e-12)
    for rows in ([], [0.5], [-1], [len(X)], "first"):
        with pytest.raises(ValueError, match="rows: .*allowed are row numbers 0 to"):
            explain(X, gamma, rows=rows)


# --- resampling -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("gamma", [0.1, 1.5, 400.0])
@pytest.mark.parametrize(("replace", "keep"), [(True, False), (False, False), (True, True)])
def test_resampled_scores_equal_the_loop(X, gamma, replace, keep):
    scores = anomalies.resampled_scores(X, gamma, resamples=4, replace=replace, keep_copies=keep, seed=3)
    rng, n = np.random.default_rng(3), len(X)
    for row in scores:
        drawn = rng.choice(n, n if replace else n // 2, replace=replace)
        for j in range(n):
            others = drawn if keep else drawn[drawn != j]  # by original index: no copy of itself
            z = ((X[others] - X[j]) ** 2).sum(axis=1)
            assert row[j] == pytest.approx(-(logsumexp(-gamma * z) - log(len(others))) / gamma, abs=1e-9)


def test_kept_copies_collapse_the_scores_of_two_thirds_of_the_rows():
    X = np.random.default_rng(0).normal(size=(300, 6))
    kept = anomalies.resampled_scores(X, 20.0, resamples=20, keep_copies=True)
    dropped = anomalies.resampled_scores(X, 20.0, resamples=20)
    collapsed = (kept < log(300) / 20 + 1e-9).mean()  # the bound with a neighbour at distance 0
    assert 0.58 < collapsed < 0.70
    assert (dropped < log(300) / 20 + 1e-9).mean() < 0.35
    assert (kept <= dropped + 1e-9).all()


def test_resamples_follow_the_seed(X):
    one, same, other = (anomalies.resampled_scores(X, 1.0, 3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-6


@pytest.mark.filterwarnings("error")
def test_a_resample_without_other_rows_scores_nan():
    scores = anomalies.resampled_scores(np.array([[0.0], [1.0]]), 1.0, resamples=30)
    assert np.isnan(scores).any()
    np.testing.assert_allclose(scores[~np.isnan(scores)], 1.0)


def test_float32_is_another_precision_than_float64():
    X = np.random.default_rng(0).normal(size=(60, 3))
    exact, fast = (anomalies.softmin_scores(X, 1.5, precision=name) for name in ("float64", "float32"))
    assert 0 < np.abs(fast - exact).max() < 1e-4


def test_a_hundred_resamples_of_all_rows_are_drawn_unless_told_otherwise():
    X = np.random.default_rng(0).normal(size=(9, 2))
    assert anomalies.resampled_scores(X, 1.0).shape == (100, 9)


def test_twelve_features_are_the_most_for_exact_shapley_values():
    X = np.random.default_rng(0).normal(size=(3, 12))
    np.testing.assert_allclose(anomalies.shapley_values(X, 0.3).sum(axis=1), anomalies.softmin_scores(X, 0.3))
    with pytest.raises(ValueError, match="13 features make 2.13 coalitions"):
        anomalies.shapley_values(np.ones((3, 13)), 0.3)


# --- bad input --------------------------------------------------------------------------------------------
FUNCTIONS = [anomalies.hardmin_scores, anomalies.squared_distances,
             lambda X: anomalies.softmin_scores(X, 1.0),
             lambda X: anomalies.feature_relevance(X, 1.0), lambda X: anomalies.neighbour_relevance(X, 1.0),
             lambda X: anomalies.shapley_values(X, 1.0), lambda X: anomalies.resampled_scores(X, 1.0, 2)]


def test_types_of_pandas_that_can_miss_a_value_are_read_or_named():
    X = np.random.default_rng(0).normal(size=(8, 2)).round(3)
    frame = pd.DataFrame(X, columns=["a", "b"]).convert_dtypes()
    assert str(frame["a"].dtype) == "Float64"
    np.testing.assert_allclose(anomalies.softmin_scores(frame, 1.0), anomalies.softmin_scores(X, 1.0))
    frame.loc[3, "b"] = pd.NA
    with pytest.raises(ValueError, match=r"^X: value nan at \[3, 1\]; allowed are finite numbers"):
        anomalies.softmin_scores(frame, 1.0)
    with pytest.raises(ValueError, match=r"^X: the square of 1e\+200 is no float; allowed are values up to"):
        anomalies.softmin_scores(np.array([[0.0], [1e200]]), 1.0)
    with pytest.raises(ValueError, match="^X: 1 values are masked; fill them or leave out their rows"):
        anomalies.softmin_scores(np.ma.masked_greater(X, np.sort(X.ravel())[-2]), 1.0)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("X", "error", "message"), [
    ([[1.0, 2.0]], ValueError, r"^X: shape \(1, 2\) is too small; allowed are at least 2 rows"),
    (np.empty((3, 0)), ValueError, r"^X: shape \(3, 0\) is too small; allowed are .* and 1 feature"),
    ([1.0, 2.0], ValueError, r"^X: shape \(2,\) is not 2-D; allowed is \(n rows, d features\)"),
    ([[1.0], [np.nan]], ValueError, r"^X: value nan at \[1, 0\]; allowed are finite numbers"),
    ([[1.0], [np.inf]], ValueError, r"^X: value inf at \[1, 0\]; allowed are finite numbers"),
    ([["1"], ["two"]], TypeError, r"^X: type <U3 is not numeric"),
    ([[1.0], [2.0, 3.0]], TypeError, r"^X: rows differ in length"),
    (pd.DataFrame({"Channel": ["Horeca", "Retail"]}), TypeError, r"^X: type \w+ is not numeric"),
])
def test_bad_matrices_are_named_in_one_line(function, X, error, message):
    with pytest.raises(error, match=message) as caught:
        function(X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gamma", [0, -1.0, np.nan, np.inf, "1", None, True])
@pytest.mark.parametrize("function", [anomalies.softmin_scores, anomalies.feature_relevance,
                                      anomalies.neighbour_relevance, anomalies.shapley_values,
                                      anomalies.resampled_scores])
def test_bad_gamma_is_named(function, gamma):
    with pytest.raises(ValueError, match=r"^gamma: .* give a finite number greater than 0"):
        function(np.eye(3), gamma)


def test_log_offset_is_the_logarithm_and_keeps_the_frame():
    frame = pd.DataFrame({"Fresh": [0, 9], "Milk": [99, 1]})
    logged = anomalies.log_offset(frame, 1)
    assert list(logged.columns) == ["Fresh", "Milk"]
    np.testing.assert_allclose(logged, [[0, log(100)], [log(10), log(2)]])
    np.testing.assert_allclose(anomalies.log_offset([3.0], 0.5), log(3.5))
    for kind in ("float16", "float32", object, "Int64"):
        same = anomalies.log_offset(frame.astype(kind), 1e5)  # beyond what float16 holds
        pd.testing.assert_frame_equal(same, anomalies.log_offset(frame, 1e5))


@pytest.mark.parametrize(("X", "theta", "error", "message"), [
    ([[1.0, -2.0]], 1, ValueError, r"^X: value -2.0 at \[0, 1\]; allowed are finite numbers of at least 0"),
    ([[np.nan]], 1, ValueError, r"^X: value nan at \[0, 0\]"),
    ([["a"]], 1, TypeError, r"^X: type <U1 is not numeric"),
    ([[1.0]], 0, ValueError, r"^theta: 0 is not allowed; give a finite number greater than 0"),
    ([[1.0]], np.nan, ValueError, r"^theta: nan"),
])
def test_bad_spending_and_offset_are_named(X, theta, error, message):
    with pytest.raises(error, match=message):
        anomalies.log_offset(X, theta)


def test_bad_planting_and_too_many_features_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"^kind: 'lone' is not known; allowed are global, dependency"):
        anomalies.plant_anomalies(np.eye(30), "lone", rng)
    with pytest.raises(ValueError, match=r"^kind: 'lone' is not known"):
        anomalies.evaluate_on_planted({"a": anomalies.hardmin_scores}, np.eye(30), kinds=("lone",))
    with pytest.raises(ValueError, match=r"^count: 30 is not allowed; allowed are 1 to 29"):
        anomalies.plant_anomalies(np.eye(30), "global", rng, count=30)
    with pytest.raises(ValueError, match=r"^X: 13 features make 2\^13 coalitions; allowed are at most 12"):
        anomalies.shapley_values(np.eye(13), 1.0)
