"""Make customers.csv: 440 synthetic wholesale customers in the layout of the UCI file.

    python data/sample/make_customers.py          (NumPy and SciPy of the course's own environment)

The same bytes on every processor: the shapes of the margins stand here as numbers, so that no optimiser's
last digit is rounded to another unit, and the normal variables come from a Cholesky factor, which is unique.

A log-normal copula per Channel gives the dependence of the six spendings; a monotone map then gives each
spending the published quartiles, extremes, mean and standard deviation. Channel and Region have the published
counts. Ten customers whose figures are printed in course reports keep their row and their values, so that the
anomalies of series 1 are the well-known ones. No other row describes a real customer.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import rankdata

SEED = 11
NAMES = ["Fresh", "Milk", "Grocery", "Frozen", "Detergents_Paper", "Delicassen"]
# published statistics of the 440 customers: mean, standard deviation; minimum, quartiles, maximum
MOMENTS = [(12000.30, 12647.33), (5796.27, 7380.38), (7951.28, 9503.16), (3071.93, 4854.67),
           (2881.49, 4767.85), (1524.87, 2820.11)]  # fmt: skip
QUANTILES = [(3, 3127.75, 8504, 16933.75, 112151), (55, 1533, 3627, 7190.25, 73498),
             (3, 2153, 4755.5, 10655.75, 92780), (25, 742.25, 1526, 3554.25, 60869),
             (3, 256.75, 816.5, 3922, 40827), (3, 408.25, 965.5, 1820.25, 47943)]  # fmt: skip
# the shapes of the six margins that `fit_shape` finds, to three digits (a test fits them again)
SHAPES = [(0.289, 20.0, 0.444), (0.493, 16.0, 0.442), (0.378, 19.0, 0.450), (0.522, 20.7, 0.417),
          (0.952, 11.3, 0.493), (0.100, 60.0, 0.287)]  # fmt: skip
# mean, standard deviation and correlation of log(spending + 10) by Channel: 1 Horeca, 2 Retail
CHANNELS = {
    1: ([8.99, 7.70, 7.95, 7.54, 6.02, 6.65], [1.17, 0.91, 0.81, 1.21, 1.17, 1.10],
        [0.06, 0.08, 0.40, -0.03, 0.30, 0.63, 0.08, 0.43, 0.41, -0.01, 0.57, 0.33, -0.03, 0.31, 0.14]),
    2: ([8.39, 9.02, 9.50, 6.87, 8.61, 6.97], [1.51, 0.70, 0.60, 1.17, 0.80, 1.13],
        [0.08, -0.15, 0.33, -0.20, 0.21, 0.69, 0.12, 0.63, 0.32, -0.06, 0.87, 0.13, -0.13, 0.25, 0.00]),
}  # fmt: skip
# Channel by Region (1 Lisbon, 2 Oporto, 3 Other)
COUNTS = {1: (59, 28, 211), 2: (18, 19, 105)}
PRINTED = {  # row: Channel, Region, the six spendings
    338: (1, 2, 3, 333, 7021, 15601, 15, 550), 75: (1, 3, 20398, 1137, 3, 4407, 3, 975),
    154: (1, 3, 622, 55, 137, 75, 7, 8), 95: (1, 3, 3, 2920, 6252, 440, 223, 709),
    142: (1, 3, 37036, 7152, 8253, 2995, 20, 3), 128: (1, 3, 140, 8847, 3823, 142, 1062, 3),
    187: (1, 3, 2438, 8002, 9819, 6269, 3459, 3), 66: (1, 3, 9, 1534, 7417, 175, 3468, 27),
    109: (2, 3, 1406, 16729, 28986, 673, 836, 3), 183: (1, 3, 36847, 43950, 20170, 36534, 239, 47943),
}  # fmt: skip


def correlation(upper):
    """The 6 x 6 matrix of its 15 entries above the diagonal, made positive definite."""
    matrix = np.eye(6)
    matrix[np.triu_indices(6, 1)] = upper
    values, vectors = np.linalg.eigh(matrix + np.triu(matrix, 1).T)
    fixed = vectors * np.maximum(values, 0.02) @ vectors.T
    return fixed / np.sqrt(np.outer(np.diag(fixed), np.diag(fixed)))


def marginal(ranks, quantiles, levels, shape):
    """Spendings at ranks in (0, 1): log-linear between the quartiles, a bent tail on either side.

    levels: the ranks of the three quartiles.
    """
    low, bend, share = shape
    first, _, third = levels
    log = np.log(np.array(quantiles) + 10)
    middle = np.interp(ranks, [0, *levels, 1], log)
    below = log[0] + (log[1] - log[0]) * (np.minimum(ranks, first) / first) ** low
    t = np.clip((ranks - third) / (1 - third), 0, 1)
    above = log[3] + (log[4] - log[3]) * (share * t + (1 - share) * t**bend)
    return np.exp(np.where(ranks < first, below, np.where(ranks > third, above, middle))) - 10


def levels_of(count, quantiles, fixed):
    """The ranks of the three quartiles among `count` rows that join the fixed ones."""
    below = np.array([(fixed < quartile).sum() for quartile in quantiles[1:4]])
    return (np.array([0.25, 0.5, 0.75]) * (count + len(fixed)) - below) / count


def fit_shape(ranks, quantiles, moments, fixed):
    """The shape of a margin whose mean and standard deviation, with the fixed rows, are as published."""
    levels = levels_of(len(ranks), quantiles, fixed)

    def misfit(shape):
        made = np.concatenate([fixed, marginal(ranks, quantiles, levels, shape)])
        return [made.mean() / moments[0] - 1, made.std(ddof=1) / moments[1] - 1]

    return least_squares(misfit, [0.4, 6, 0.5], bounds=([0.1, 1.5, 0.05], [1, 60, 1])).x


def main(folder=Path(__file__).parent):
    """Write customers.csv into the folder and return its path."""
    rng = np.random.default_rng(SEED)
    labels = [(c, r) for c, counts in COUNTS.items() for r in (1, 2, 3) for _ in range(counts[r - 1])]
    for row in PRINTED.values():
        labels.remove(row[:2])
    labels = rng.permutation(labels)
    logs = np.empty((len(labels), 6))
    for channel, (mean, sd, upper) in CHANNELS.items():
        rows = labels[:, 0] == channel
        covariance = correlation(upper) * np.outer(sd, sd)
        # the other methods leave the signs of vectors to the linear algebra library
        logs[rows] = rng.multivariate_normal(mean, covariance, rows.sum(), method="cholesky")
    printed = np.array([PRINTED[row] for row in sorted(PRINTED)])
    table = np.empty((440, 8), int)
    table[sorted(PRINTED)] = printed
    others = np.setdiff1d(np.arange(440), list(PRINTED))
    table[others, :2] = labels
    for k in range(6):
        ranks = (rankdata(logs[:, k], method="ordinal") - 0.5) / len(logs)
        levels = levels_of(len(ranks), QUANTILES[k], printed[:, k + 2])
        spent = marginal(ranks, QUANTILES[k], levels, SHAPES[k])
        table[others, k + 2] = np.clip(np.round(spent), QUANTILES[k][0], QUANTILES[k][-1])
    target = Path(folder, "customers.csv")
    lines = [",".join(["Channel", "Region", *NAMES]), *(",".join(map(str, row)) for row in table)]
    target.write_text("\n".join(lines) + "\n")
    return target


if __name__ == "__main__":
    main()
