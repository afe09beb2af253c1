"""Anomaly scores and explanations beside scikit-learn, on the same rows and threads; ratio to LOF."""

import contextlib
from functools import partial

import numpy as np
from joblib import parallel_config
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from threadpoolctl import threadpool_limits

from benchmarks import seconds, threads
from helpers.anomalies import feature_relevance, log_offset, shapley_values, softmin_scores
from helpers.datasets import SPENDINGS, load_wholesale

GAMMA = 1.5
LOF = "scikit-learn LOF, k = 20"
METHODS = {  # name -> (function of X, largest n at which it takes seconds)
    "softmin scores, float64": (lambda X: softmin_scores(X, GAMMA), 10_000),
    "softmin scores, float32": (lambda X: softmin_scores(X, GAMMA, precision="float32"), 1e6),
    "feature relevance, sums to the scores": (lambda X: feature_relevance(X, GAMMA), 10_000),
    "exact Shapley values, sum to the scores": (lambda X: shapley_values(X, GAMMA), 1000),
    # the same sums, with a row counted among its own neighbours
    "scikit-learn kernel density, one thread": (
        lambda X: KernelDensity(bandwidth=(2 * GAMMA) ** -0.5, rtol=1e-4).fit(X).score_samples(X),
        10_000,
    ),
    "scikit-learn kNN, k = 5": (lambda X: NearestNeighbors(n_neighbors=5).fit(X).kneighbors(), 1e6),
    LOF: (lambda X: LocalOutlierFactor(n_neighbors=20).fit(X), 1e6),
    "scikit-learn isolation forest": (lambda X: IsolationForest(random_state=0).fit(X).score_samples(X), 1e6),
}


def customers(n, seed=0):
    """The 440 logged customers, or n draws from a normal distribution of the same mean and covariance."""
    X = log_offset(load_wholesale()[SPENDINGS], 1).to_numpy()
    if n == len(X):
        return X
    return np.random.default_rng(seed).multivariate_normal(X.mean(axis=0), np.cov(X.T), n)


def run(sizes=(440, 10_000, 100_000)):
    """One row for each method and number of rows: n, name, seconds, ratio to LOF at the same n."""
    rows = []
    for n in sizes:
        X, rounds = customers(n), 20 if n < 1000 else 5
        calls = {name: partial(function, X) for name, (function, largest) in METHODS.items() if n <= largest}
        with equal_threads():
            for name in calls:
                METHODS[name][0](X[:100])  # imports and thread pools do not count
            taken = seconds(calls, rounds)
        rows += [
            {"n": n, "name": name, "seconds": round(time, 4), "ratio": round(time / taken[LOF], 2)}
            for name, time in taken.items()
        ]
    return rows


@contextlib.contextmanager
def equal_threads():
    """Linear algebra and scikit-learn take as many threads as torch; scikit-learn by itself would take one.

    Its kernel density knows no threads.
    """
    with threadpool_limits(threads()), parallel_config("threading", n_jobs=threads()):
        yield
