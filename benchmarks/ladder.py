"""The ladder of series 2: MAE in kcal/mol over the five folds of QM7, mean and sd, with seconds."""

import contextlib
import time

import nbformat
import numpy as np

from course.notebooks import ROOT
from helpers import datasets, descriptors, kernels, molecules
from helpers.predictor import KNOTS

PAIR_CENTERS, PAIR_WIDTH = np.linspace(0.5, 8, 100), 0.1
ANGLES = (np.linspace(-1, 1, 9), np.linspace(1.8, 6, 8), 6.0)


def linear(data, X, lambdas):
    """MAE on each fold of ridge, lambda chosen on the next fold with the other three as training set."""
    X = X[:, (X > 1e-3).sum(0) >= 3]
    S, s = molecules.fold_moments(X, data.energies, data.folds)

    def mae(k, left_out, lam):
        train = [f for f in range(5) if f not in left_out]
        w = molecules.ridge(S[train].sum(0), s[train].sum(0), lam)
        return np.abs(X[data.folds[k]] @ w - data.energies[data.folds[k]]).mean()

    chosen = [min(lambdas, key=lambda lam: mae((k + 1) % 5, {k, (k + 1) % 5}, lam)) for k in range(5)]
    return [mae(k, {k}, lam) for k, lam in enumerate(chosen)]


def _counts(data):
    return np.column_stack([np.ones(len(data.energies)), molecules.composition(data.charges)])


def _without_counts(data, C, train):
    """Energies without what the counts C explain, fitted on the training molecules."""
    return data.energies - C @ np.linalg.lstsq(C[train], data.energies[train], rcond=None)[0]


def counts(data):
    return linear(data, _counts(data), [0.1])


def _pairs(data):
    return np.hstack(
        [10 * molecules.composition(data.charges), molecules.pair_features(data, PAIR_CENTERS, PAIR_WIDTH)]
    )


def pairs(data):
    return linear(data, _pairs(data), [0.01, 0.1, 1])


def triples(data):
    return linear(
        data, np.hstack([_pairs(data), 3 * molecules.triple_features(data, *ANGLES)]), [1e-3, 3e-3, 1e-2]
    )


def environments(data, sigma=2.0, lam=1e-3):
    """MAE and RMSE on each fold of the kernel between atoms; sigma, lam as notebook 25 chooses them."""
    around = descriptors.environments(data, *KNOTS)
    short = kernels.compress(around, 200)
    K = kernels.environment_kernel(
        short, around.molecule, around.element, len(data.energies), sigma, single=True
    )
    return _fold_errors(data, K, lam)


def _fold_errors(data, K, lam):
    """MAE and RMSE on each fold of kernel ridge on what the counts leave over, K between all molecules."""
    C, found = _counts(data), []
    for k in range(5):
        train, test = molecules.split(data.folds, k)
        rest = _without_counts(data, C, train)
        alpha = kernels.kernel_ridge(K[np.ix_(train, train)], rest[train], lam)
        error = K[np.ix_(test, train)] @ alpha - rest[test]
        found.append((np.abs(error).mean(), np.sqrt((error**2).mean())))
    return np.transpose(found)


def side_by_side(data, sigmas=(5.0, 7.0), lam=3e-5):
    """MAE and RMSE on each fold of kernels side by side: heavy atoms in two widths, H, molecules on top.

    All settings come from leave-one-out errors of training molecules of fold 0, some of which are tested in
    folds 1 to 4; only fold 0 is fresh. MAE in kcal/mol, of 1,200: 1.73 with power 3 and legs alone, 1.54 as
    here with sigma 5, 1.55 with 3.5 or 7 (of 3,000, no H: 0.95 and 0.90, in float32 0.92); at power 2 1.82,
    1.79 with the third side, 1.72 with all angles as well. Matern-1/2 in place of 3/2: 1.39 against 1.20 of
    2,000. A pair model first: 5.03; linear pairs beside the kernel: 1.76; a product of kernels: 2.12; other
    cutoffs, finer knots, more axes: no gain. Of all 5,732, MAE and RMSE: sigma 5 0.660 and 1.964, 7 0.671 and
    1.921, both 0.663 and 1.955, taken by a rule fixed before: a lower RMSE for at most 0.005 more MAE.
    """
    around = descriptors.environments(data, *KNOTS, power=5, angle_weight=1.4, hydrogens=True, three_body=1.5)

    def between(atoms, axes, *sigmas):
        some = descriptors.Environments(
            *(getattr(around, name)[atoms] for name in ("features", "molecule", "atom", "element"))
        )
        short = kernels.compress(some, axes)
        return sum(
            kernels.environment_kernel(
                short, some.molecule, some.element, len(data.charges), sigma, shape="matern"
            )
            for sigma in sigmas
        ) / len(sigmas)

    K = between(around.element > 0, 200, *sigmas) + 0.2 * between(around.element == 0, 80, 4.0)
    squared = kernels.squared_distances(K, np.diagonal(K), np.diagonal(K))
    return _fold_errors(data, K + 3 * np.exp(-squared / (40 * np.median(squared))), lam)


def network(_):
    """MAE and RMSE on each fold of message passing: the cells of notebook 27 up to there, profile "fast"."""
    notebook = nbformat.read(ROOT / "notebooks/2_qm7/27_message_passing.ipynb", 4)
    names, cells = {}, iter(cell.source for cell in notebook.cells if cell.cell_type == "code")
    with contextlib.redirect_stdout(None):
        while "gain" not in names:  # the paired comparison behind the five folds
            exec(next(cells), names)
    return np.abs(names["errors"]).mean(axis=1), np.sqrt((names["errors"] ** 2).mean(axis=1))


RUNGS = {
    "atoms: counts, linear": counts,
    "+ pairs, linear": pairs,
    "+ triples, linear": triples,
    "kernel between atoms": environments,
    "kernels side by side": side_by_side,
    "message passing, fast": network,
}


def run():
    """One row per rung: MAE, sd over the folds, RMSE (kcal/mol), seconds for features and five models."""
    data, rows = datasets.load_qm7(), []
    for name, rung in RUNGS.items():
        start = time.perf_counter()
        mae, *rmse = np.atleast_2d(rung(data))
        rows.append(
            {
                "model": name,
                "MAE": round(mae.mean(), 2),
                "sd": round(mae.std(ddof=1), 2),
                "RMSE": round(rmse[0].mean(), 2) if rmse else "",
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
    return rows
