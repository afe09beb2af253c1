"""QM7: the ladder of linear models over the five folds, with the seconds of each step.

Seconds are of this machine and this run; MAE in kcal/mol, mean ± sd over folds, lambda as in the notebooks.
"""

from time import perf_counter

import numpy as np

from helpers import datasets, molecules


def timed(call):
    """Return (result, seconds)."""
    start = perf_counter()
    result = call()
    return result, perf_counter() - start


def fold_errors(X, t, folds, lam):
    """Return the MAE on each fold of ridge fitted on the others."""
    S, s = molecules.fold_moments(X, t, folds)
    total, sum_s = S.sum(axis=0), s.sum(axis=0)
    return np.array(
        [
            np.abs(X[f] @ molecules.ridge(total - S[k], sum_s - s[k], lam) - t[f]).mean()
            for k, f in enumerate(folds)
        ]
    )


def run():
    """Rows with the same keys: what was done, the seconds it took, what came out."""
    rows = []

    def add(name, seconds, note):
        rows.append({"name": name, "seconds": f"{seconds:.2f}", "note": note})

    qm7, seconds = timed(datasets.load_qm7)
    t, folds = qm7.energies, qm7.folds
    add("load QM7", seconds, f"{len(t):,} molecules")
    found, seconds = timed(lambda: molecules.pairs(qm7.coordinates, qm7.charges))
    add("list pairs", seconds, f"{len(found.distance):,} pairs")
    counts = molecules.composition(qm7.charges).astype(float)
    F, seconds = timed(lambda: molecules.pair_features(qm7, np.linspace(0.5, 8, 100), 0.1))
    add("pair features, 15 x 100", seconds, f"{F.nbytes / 1e6:.0f} MB")
    triples, seconds = timed(
        lambda: molecules.triple_features(qm7, np.linspace(-1, 1, 9), np.linspace(1.8, 6, 8), 6.0)
    )
    add("triple features, 75 x 9 x 8", seconds, f"{triples.nbytes / 1e6:.0f} MB")
    del triples
    with_offset = np.column_stack([np.ones(len(t)), counts])
    models = {"ridge, counts": (with_offset, 1e-3), "ridge, counts + pairs": (np.hstack([counts, F]), 0.1)}
    for name, (X, lam) in models.items():
        mae, seconds = timed(lambda X=X, lam=lam: fold_errors(X, t, folds, lam))
        add(name, seconds, f"MAE {mae.mean():.2f} ± {mae.std(ddof=1):.2f}")
    return rows
