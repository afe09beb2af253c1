"""Planted anomalies are distributed as said, and the evaluation on them is scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, kstest, multivariate_normal, norm, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from helpers import anomalies


@pytest.mark.parametrize("kind", anomalies.PLANTED)
def test_planting_changes_the_labelled_rows_only(kind):
    X = np.random.default_rng(0).normal(size=(200, 6))
    before = X.copy()
    planted, labels, feature = anomalies.plant_anomalies(X, kind, np.random.default_rng(1))
    np.testing.assert_array_equal(X, before)
    assert labels.sum() == 20
    np.testing.assert_array_equal(planted[labels == 0], X[labels == 0])
    assert (planted[labels == 1] != X[labels == 1]).any(axis=1).all()
    moved = planted - X
    if kind == "feature":
        size = np.abs(moved[labels == 1]) / X.std(axis=0)
        np.testing.assert_allclose(np.sort(size, axis=1)[:, -1], 3)
        np.testing.assert_array_equal(size.argmax(axis=1), feature[labels == 1])
        assert (np.sort(size, axis=1)[:, :-1] < 1e-12).all()
    else:
        assert (feature == -1).all()
    if kind == "cluster":
        assert (planted[labels == 1].std(axis=0) < 0.25 * X.std(axis=0)).all()
    if kind == "dependency":
        assert all(np.isin(planted[:, i], X[:, i]).all() for i in range(6))


def test_planted_anomalies_are_distributed_as_said():
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(2000, 3)) + [5, -2, 0]
    X[:, 2] = X[:, 0]  # a dependency to break
    low, high, sd = X.min(axis=0), X.max(axis=0), X.std(axis=0)
    planted, labels, _ = anomalies.plant_anomalies(X, "global", rng, 1000)
    for i in range(3):  # uniform in the box of the data
        inside = (planted[labels == 1, i] - low[i]) / (high[i] - low[i])
        assert kstest(inside, "uniform").pvalue > 1e-3
    planted, labels, _ = anomalies.plant_anomalies(X, "dependency", rng, 1000)
    for i in range(3):  # margins kept, dependency gone
        assert ks_2samp(planted[labels == 1, i], X[:, i]).pvalue > 1e-3
    assert abs(np.corrcoef(planted[labels == 1].T)[0, 2]) < 0.15
    planted, labels, feature = anomalies.plant_anomalies(X, "feature", rng, 1000)
    up = planted[labels == 1, feature[labels == 1]] > X[labels == 1, feature[labels == 1]]
    assert 400 < up.sum() < 600
    assert np.bincount(feature[labels == 1], minlength=3).min() > 250
    planted, labels, _ = anomalies.plant_anomalies(X, "cluster", rng, 1000)
    np.testing.assert_allclose(planted[labels == 1].std(axis=0), 0.1 * sd, rtol=0.1)
    for i in range(200):  # the place is uniform in the box too
        planted, labels, _ = anomalies.plant_anomalies(X, "cluster", np.random.default_rng(i), 5)
        place = planted[labels == 1].mean(axis=0)
        assert (place > low - 0.3 * sd).all()
        assert (place < high + 0.3 * sd).all()


def test_every_count_from_one_to_all_but_one_may_be_planted():
    for count in (1, 29):
        labels = anomalies.plant_anomalies(np.eye(30), "global", np.random.default_rng(0), count)[1]
        assert labels.sum() == count
    for count in (0, 30):
        with pytest.raises(ValueError, match=f"count: {count} is not allowed; allowed are 1 to 29"):
            anomalies.plant_anomalies(np.eye(30), "global", np.random.default_rng(0), count)


def test_planted_table_is_mean_and_sample_sd_of_each_cell():
    values = {("global", "kNN"): [0.5, 0.7, 0.9], ("global", "lof"): [1, 1, 1],
              ("feature", "kNN"): [0.2, 0.2, 0.8], ("feature", "lof"): [0, 0.5, 1]}
    results = pd.DataFrame([(kind, method, repeat, 0.0, value) for (kind, method), cell in values.items()
                            for repeat, value in enumerate(cell)],
                           columns=["kind", "method", "repeat", "auc", "average_precision"])
    table = anomalies.planted_table(results, "average_precision", 3)
    assert table.loc["kNN"].to_dict() == {"feature": "0.400 ± 0.346", "global": "0.700 ± 0.200"}
    assert table.loc["lof"].to_dict() == {"feature": "0.500 ± 0.500", "global": "1.000 ± 0.000"}
    assert (anomalies.planted_table(results) == "0.00 ± 0.00").all(axis=None)


def test_evaluation_is_planting_and_scikit_learn():
    X = np.random.default_rng(0).normal(size=(60, 3))
    score = lambda P: P[:, 0]
    results = anomalies.evaluate_on_planted({"first": score}, X, ("feature", "cluster"), 2, 7, count=9)
    for row in results.itertuples():
        rng = np.random.default_rng([7, anomalies.PLANTED.index(row.kind), row.repeat])
        planted, labels, _ = anomalies.plant_anomalies(X, row.kind, rng, 9)
        assert row.auc == roc_auc_score(labels, planted[:, 0])
        assert row.average_precision == average_precision_score(labels, planted[:, 0])


def test_evaluation_tells_a_perfect_score_from_a_random_one():
    X = np.random.default_rng(0).normal(size=(200, 3))
    order = {tuple(row) for row in X}
    methods = {"cheat": lambda P: np.array([tuple(row) not in order for row in P], dtype=float),
               "noise": lambda P: np.random.default_rng(len(P)).normal(size=len(P))}
    results = anomalies.evaluate_on_planted(methods, X, kinds=("global", "feature"), repeats=8, seed=1)
    assert results.shape == (2 * 8 * 2, 5)
    mean = results.groupby("method")[["auc", "average_precision"]].mean()
    assert (mean.loc["cheat"] == 1).all()
    assert abs(mean.loc["noise", "auc"] - 0.5) < 0.12
    assert mean.loc["noise", "average_precision"] < 0.25
    table = anomalies.planted_table(results)
    assert list(table.index) == ["cheat", "noise"]
    assert list(table.columns) == ["global", "feature"]
    assert table.loc["cheat", "global"] == "1.00 ± 0.00"
    again = anomalies.evaluate_on_planted(methods, X, ("global", "feature"), 8, 1)
    pd.testing.assert_frame_equal(results, again)


def test_every_method_and_any_choice_of_kinds_sees_the_same_planted_data():
    X, seen = np.random.default_rng(0).normal(size=(50, 2)), []
    spy = lambda P: seen.append(P.copy()) or P[:, 0]
    anomalies.evaluate_on_planted({"a": spy, "b": spy}, X, kinds=("cluster",), repeats=2)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != seen[2]).any()
    anomalies.evaluate_on_planted({"a": spy}, X, kinds=("global", "cluster"), repeats=2)
    np.testing.assert_array_equal(seen[0], seen[6])


def test_a_one_group_copy_is_one_gaussian_with_the_columns_and_correlations_of_the_data():
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=3000)
    X = np.column_stack([np.exp(rng.normal(size=3000) + 2 * group), group + 0.4 * rng.normal(size=3000),
                         rng.random(3000)])  # two groups in the first two columns
    copy = anomalies.one_group_copy(X, np.random.default_rng(1))
    assert all(ks_2samp(before, after).pvalue > 0.01 for before, after in zip(X.T, copy.T, strict=True))
    scores = [norm.ppf(rankdata(table, axis=0) / 3001) for table in (X, copy)]
    assert np.abs(np.corrcoef(scores[0].T) - np.corrcoef(scores[1].T)).max() < 0.05
    # a Gaussian's mean density at its own points is (4 pi)^(-d/2) det^(-1/2)
    covariance = np.cov(scores[1].T)
    density = multivariate_normal(cov=covariance).pdf(scores[1]).mean()
    assert abs(density * (4 * np.pi) ** 1.5 * np.linalg.det(covariance) ** 0.5 - 1) < 0.03
    np.testing.assert_array_equal(copy, anomalies.one_group_copy(X, np.random.default_rng(1)))
    with pytest.raises(ValueError, match=r"^X: shape \(3,\) is not 2-D"):
        anomalies.one_group_copy([1.0, 2.0, 3.0], rng)


@pytest.mark.parametrize("columns", ["one", "constant", "doubled", "many"])
def test_a_one_group_copy_takes_columns_that_say_the_same_or_nothing(columns):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40))
    X = {"one": x[:, None], "constant": np.column_stack([x, np.full(40, 3.0), x + y]),
         "doubled": np.column_stack([x, x, y]), "many": rng.normal(size=(40, 60))}[columns]
    copy = anomalies.one_group_copy(X, np.random.default_rng(1))
    assert copy.shape == X.shape
    assert (copy >= X.min(0)).all()
    assert (copy <= X.max(0)).all()
    if columns == "doubled":
        np.testing.assert_allclose(copy[:, 0], copy[:, 1], atol=1e-5)
    if columns == "constant":
        assert (copy[:, 1] == 3).all()
        assert np.corrcoef(copy[:, [0, 2]].T)[0, 1] > 0.4
