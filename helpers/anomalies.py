"""Softmin anomaly scores, their explanations and their evaluation: X (n, d), z distances, gamma stiffness.

Source of score and relevance: J. Kauffmann, K.-R. Müller, G. Montavon, Pattern Recognition 101:107198 (2020).
"""

from functools import partial
from math import comb

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from helpers.arguments import data_matrix, finite_numbers, positive, random_numbers, whole_number
from helpers.softmin import distances_to_others, nearest_distances, row_blocks, softmin, softmin_rows

PLANTED = ("global", "dependency", "feature", "cluster")


def log_offset(X, theta):
    """Return log(X + theta) elementwise, as a frame where X is one.

    X (n, d): spendings, at least 0. theta: offset in the unit of X, greater than 0.
    Raises ValueError for NaN, infinite or negative spending or theta <= 0, TypeError for text.
    """
    theta = positive("theta", theta)
    numbers = finite_numbers(X, smallest=0)
    return np.log((X.astype(float) if isinstance(X, (pd.DataFrame, pd.Series)) else numbers) + theta)


def squared_distances(X):
    """Return z (n, n), the squared Euclidean distance between every two rows of X (n, d)."""
    X = data_matrix(X)
    return cdist(X, X, "sqeuclidean")


def hardmin_scores(X, squared=True):
    """Return (n,) the distance of each row to its nearest other row (squared by default); a copy scores 0.

    Raises ValueError or TypeError for a bad X.
    """
    nearest = nearest_distances(data_matrix(X))
    return nearest**2 if squared else nearest


def softmin_scores(X, gamma, squared=True, precision="float64", device="cpu", scheduler=None):
    """Return (n,) softmin scores y_j = -(1/gamma) [logsumexp_{k != j}(-gamma z_jk) - log(n - 1)].

    z is the squared Euclidean distance, or the plain one with squared=False; min z <= y <= mean z.
    gamma: stiffness, 1 / unit of z; small averages over all rows, large sees the nearest row only.
    For many rows of few columns: precision="float32" (squared only) is several times faster, with an error of
    at most 1e-4, or what float64 rounds: rows for which float32 cannot promise that are done in float64 (for
    gamma < 0.04 all are). With 20 columns or more it may be slower than "float64". device: "cpu", "cuda" or
    "auto", for float32. scheduler: address of a Dask scheduler whose workers share the rows.
    Raises ValueError for gamma <= 0 or not finite, fewer than 2 rows, NaN, or another precision or device.
    """
    X, gamma = data_matrix(X), positive("gamma", gamma)
    if precision not in ("float64", "float32"):
        raise ValueError(f"precision: {precision!r} is not known; allowed are 'float64' and 'float32'")
    if precision == "float32" and not squared:
        raise ValueError("precision: 'float32' is not allowed with squared=False; allowed is 'float64'")
    if precision == "float64" and scheduler is None:
        return softmin_rows(X, slice(0, len(X)), gamma, squared)
    from helpers import runtime, softmin_tasks  # torch takes a second to import

    place = runtime.device(device).type
    return softmin_tasks.softmin_by_tasks(X, gamma, squared, precision, place, scheduler)


def neighbour_relevance(X, gamma):
    """Return R (n, n): R[j, k] = softmax_k(-gamma z_jk) y_j, the part of score y_j that is due to row k.

    Squared distance; the diagonal is 0 and each row sums to y_j. Source: Kauffmann et al. 2020.
    """
    X, gamma = data_matrix(X), positive("gamma", gamma)
    relevance = np.empty((len(X), len(X)))
    for rows in row_blocks(len(X)):
        y, share = softmin(distances_to_others(X, rows), gamma, len(X) - 1)
        np.multiply(share, y[:, None], out=relevance[rows])
    return relevance


def _blocks(X, rows, copies=1):
    """Index arrays that together are `rows` (None: all rows of X), each small enough for the cache."""
    rows = np.arange(len(X)) if rows is None else np.atleast_1d(rows)
    if not len(rows) or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(X):
        raise ValueError(f"rows: {rows.tolist()!r} is not allowed; allowed are row numbers 0 to {len(X) - 1}")
    return [rows[block] for block in row_blocks(len(X), copies, len(rows))]


def feature_relevance(X, gamma, rows=None):
    """Return R (n, d): R[j, i] = sum_k (x_ki - x_ji)^2 / z_jk R_jk, the part of score y_j due to feature i.

    Squared distance; each row sums to y_j (conservation, 1e-10); a copy (z = 0) shares evenly over features.
    rows: only these row numbers j, each against all rows of X; R has one row for each of them.
    Source: Kauffmann et al. 2020.
    """
    X, gamma = data_matrix(X), positive("gamma", gamma)
    found = []
    for block in _blocks(X, rows):
        z = distances_to_others(X, block)
        y, per_distance = softmin(z, gamma, len(X) - 1)
        per_distance *= y[:, None]
        copies = z < 1e-200
        evenly = (per_distance * copies).sum(axis=1, keepdims=True) / X.shape[1]
        np.divide(per_distance, z, out=per_distance, where=~copies)
        per_distance[copies] = 0
        gaps = (np.subtract.outer(X[block, i], X[:, i]) for i in range(X.shape[1]))
        parts = [np.einsum("jk,jk,jk->j", per_distance, gap, gap) for gap in gaps]  # d arrays (b,)
        found.append(evenly + np.column_stack(parts))
    return np.concatenate(found)


def _coalition_values(X, rows, gamma):
    """v (b, 2^d): the softmin score on each coalition of features; bit i of the column says that i is in it.

    rows (b,): row numbers. exp(-gamma z_S) is a product over the features in S, so 2^d coalitions cost d
    exponentials per pair and one multiplication each. Where a row's sum underflows, its coalition is computed
    again with the shift.
    """
    count, d = len(X) - 1, X.shape[1]
    gaps = [np.subtract.outer(X[rows, i], X[:, i]) ** 2 for i in range(d)]
    factors = [np.exp(-gamma * gap) for gap in gaps]
    for factor in factors:
        factor[np.arange(len(rows)), rows] = 0
    total = np.empty((len(rows), 2**d))
    total[:, 0] = count

    def add(product, coalition, first):
        for i in range(first, d):
            total[:, coalition | 1 << i] = (
                factors[i].sum(axis=1) if product is None else np.einsum("jk,jk->j", product, factors[i]))
            if i + 1 < d:
                add(factors[i] if product is None else product * factors[i], coalition | 1 << i, i + 1)

    add(None, 0, 0)
    with np.errstate(divide="ignore"):
        v = -(np.log(total) - np.log(count)) / gamma
    for coalition in np.flatnonzero((total < 1e-200).any(axis=0)):
        lone = np.flatnonzero(total[:, coalition] < 1e-200)
        z = sum(gaps[i][lone] for i in range(d) if coalition >> i & 1)
        z[np.arange(len(lone)), rows[lone]] = np.inf
        v[lone, coalition] = softmin(z, gamma, count)[0]
    return v


def shapley_values(X, gamma, rows=None):
    """Return (n, d) exact Shapley values of the game v_j(S) = softmin score of row j on the features in S.

    z is the squared distance over the features in S alone; v(empty) = 0, since all distances are then 0; so
    each row sums to y_j (efficiency, 1e-12). All 2^d coalitions are visited, d <= 12. rows: only these row
    numbers j, each against all rows of X. Source: Shapley 1953.
    """
    X, gamma = data_matrix(X), positive("gamma", gamma)
    d = X.shape[1]
    if d > 12:
        raise ValueError(f"X: {d} features make 2^{d} coalitions; allowed are at most 12")
    size = np.array([bin(s).count("1") for s in range(2**d)])
    weight = np.zeros((2**d, d))
    for i in range(d):
        member = np.arange(2**d) >> i & 1 == 1
        without = np.where(member, size - 1, size)
        share = np.array([1 / (d * comb(d - 1, s)) if 0 <= s < d else 0 for s in without])
        weight[:, i] = np.where(member, share, -share)
    parts = [_coalition_values(X, block, gamma) @ weight for block in _blocks(X, rows, copies=2)]
    return np.concatenate(parts)


def resampled_scores(X, gamma, resamples=100, replace=True, keep_copies=False, squared=True, seed=0):
    """Return (resamples, n): every row's softmin score against every resample, as one matrix product.

    replace=True: bootstrap, n rows with replacement; False: half-samples, n // 2 rows without. A row never
    meets itself: its copies are dropped by their original index, unless keep_copies=True (the trap: it then
    meets itself at distance 0). NaN where no other row was drawn. The resamples depend on the seed alone.
    """
    X, gamma = data_matrix(X), positive("gamma", gamma)
    n, rng = len(X), random_numbers(seed)
    whole_number("resamples", resamples)
    drawn = [rng.choice(n, n if replace else n // 2, replace=replace) for _ in range(resamples)]
    counts = np.array([np.bincount(d, minlength=n) for d in drawn], dtype=float)
    scores = np.empty((resamples, n))
    for rows in row_blocks(n):
        z = distances_to_others(X, rows, squared)
        if keep_copies:
            z[np.isinf(z)] = 0
        shift = z.min(axis=1)
        total = counts @ np.exp(gamma * (shift[:, None] - z)).T
        size = counts.sum(axis=1)[:, None] - (0 if keep_copies else 1) * counts[:, rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            scores[:, rows] = shift - (np.log(total) - np.log(size)) / gamma
        for b, j in np.argwhere((total < 1e-200) & (size > 0)):  # shift by the nearest row that was drawn
            drawn_z = np.repeat(z[j], counts[b].astype(int))
            scores[b, rows.start + j] = softmin(drawn_z, gamma, size[b, j])[0]
    return scores


def plant_anomalies(X, kind, rng, count=20):
    """Replace `count` random rows of X (n, d) by planted anomalies; return (X, labels (n,), feature (n,)).

    kind: "global" uniform in the box of the data, "dependency" each feature drawn from another row (margins
    kept), "feature" one feature of a real row shifted by 3 sd up or down, "cluster" a tight group (0.1 sd) at
    one "global" place. labels: 1 where planted; feature: the shifted one, else -1.
    Raises ValueError for another kind, a count that leaves no real row, or rng that is no NumPy generator.
    """
    X = data_matrix(X).copy()
    if kind not in PLANTED:
        raise ValueError(f"kind: {kind!r} is not known; allowed are {', '.join(PLANTED)}")
    _check_generator(rng)
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 0 < count < len(X):
        raise ValueError(f"count: {count!r} is not allowed; allowed are 1 to {len(X) - 1}")
    n, d = X.shape
    low, high, sd = X.min(axis=0), X.max(axis=0), X.std(axis=0)
    rows = rng.choice(n, count, replace=False)
    feature = np.full(n, -1)
    if kind == "global":
        X[rows] = rng.uniform(low, high, (count, d))
    elif kind == "dependency":
        X[rows] = X[rng.integers(n, size=(count, d)), np.arange(d)]
    elif kind == "feature":
        feature[rows] = rng.integers(d, size=count)
        X[rows, feature[rows]] += 3 * sd[feature[rows]] * rng.choice([-1, 1], count)
    else:
        X[rows] = rng.uniform(low, high) + 0.1 * sd * rng.standard_normal((count, d))
    labels = np.zeros(n, dtype=int)
    labels[rows] = 1
    return X, labels, feature


def _check_generator(rng):
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng: {rng!r} is not allowed; give a generator, such as np.random.default_rng(0)")


def one_group_copy(X, rng):
    """Return (n, d) rows with the columns of X (n, d) and its correlations, but one group: a Gaussian copula.

    The null model for groups: one Gaussian with the correlations of the normal scores of X (ranks bent to a
    bell), each column then bent back to its values; a constant one goes with none. Source: R. Nelsen, An
    introduction to copulas (2006).
    """
    X = data_matrix(X)
    _check_generator(rng)
    normal = norm.ppf(rankdata(X, axis=0) / (len(X) + 1))
    with np.errstate(invalid="ignore"):  # 0 / 0 of a constant column
        correlations = np.atleast_2d(np.corrcoef(normal.T))
    correlations = np.where(np.isnan(correlations), np.eye(X.shape[1]), correlations)
    draw = partial(rng.multivariate_normal, np.zeros(X.shape[1]), correlations, len(X))
    try:
        drawn = draw(method="cholesky")
    except np.linalg.LinAlgError:  # columns that follow from others, or more columns than rows
        drawn = draw(method="eigh")
    return np.column_stack([np.quantile(x, norm.cdf(u)) for x, u in zip(X.T, drawn.T, strict=True)])


def evaluate_on_planted(score_functions, X, kinds=PLANTED, repeats=20, seed=0, count=20):
    """Return a frame (kind, method, repeat, auc, average_precision): how well each score finds the planted.

    score_functions: name -> function of X (n, d) giving (n,) scores, high = unusual. Every method sees the
    same planted data. A table with spread: see planted_table.
    """
    records = []
    for kind in kinds:
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, PLANTED.index(kind) if kind in PLANTED else 0, repeat])
            planted, labels, _ = plant_anomalies(X, kind, rng, count)
            for method, score in score_functions.items():
                scores = score(planted)
                records.append((kind, method, repeat, roc_auc_score(labels, scores),
                                average_precision_score(labels, scores)))
    return pd.DataFrame(records, columns=["kind", "method", "repeat", "auc", "average_precision"])


def planted_table(results, metric="auc", digits=2):
    """Return a frame kind x method of strings "mean ± sd" over the repeats of evaluate_on_planted."""
    spread = results.groupby(["kind", "method"], sort=False)[metric].agg(["mean", "std"])
    text = spread.apply(lambda r: f"{r['mean']:.{digits}f} ± {r['std']:.{digits}f}", axis=1)
    return text.unstack("kind").loc[results["method"].unique()]
