"""Softmin scores of many rows by blocks: on the cores of one machine, on its GPU, or on a Dask cluster."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from helpers.softmin import nearest_distances, softmin_rows

TASK_ROWS = 4096  # rows in one task
BLOCK_COLUMNS = 2048  # 128 rows x 2048 columns of float32 are 1 MiB: one block stays in the cache of a core
LARGEST_ERROR = 1e-4  # of a score in float32; rows that could exceed it are done in float64


def float32_error(X, nearest, gamma):
    """Bound (n,) on the error of each float32 score, for centred X (n, d) and squared nearest distances (n,).

    A float32 product of d + 2 terms errs by at most (d + 2) 2^-24 times the sum of their sizes, here at most
    (|x_j| + |x_k|)^2; rounding its factors adds two more. Softmin hands an error of z on, never enlarged, and
    rows k with gamma (z_jk - min z) > log(n) + 7 weigh less than 0.001 together; the others have
    |x_k| <= |x_j| + sqrt(z_jk). exp2 and the sums are granted a relative error of 4e-6: torch promises none,
    measured were 2e-7.
    """
    length, unit = np.linalg.norm(X, axis=1), (X.shape[1] + 4) * 2.0**-24
    near = np.minimum(length + np.sqrt(nearest + (np.log(len(X)) + 7) / gamma), length.max())
    everywhere = unit * (length + length.max()) ** 2
    weighted = np.where(gamma * everywhere < 1, unit * (length + near) ** 2 + 0.002 * everywhere, everywhere)
    return weighted + 4e-6 / gamma


def _rows_by_product(X, rows, gamma, nearest, device, precision):
    """Scores of a list of rows of centred X: exponents by a product, shifted by the nearest distance."""
    import torch  # here, so that a worker that needs NumPy alone starts fast
    height, width = (128, BLOCK_COLUMNS) if device == "cpu" else (TASK_ROWS, 16 * BLOCK_COLUMNS)
    scale, squares, dtype = gamma / np.log(2), (X**2).sum(axis=1), getattr(torch, precision)
    left = np.column_stack([2 * scale * X[rows], np.ones(len(rows)), scale * (nearest - squares)[rows]])
    right = np.vstack([X.T, -scale * squares, np.ones(len(X))])
    left, right = (torch.as_tensor(side, dtype=dtype, device=device) for side in (left, right))
    denormal = scale * 4 * squares.max() > 120  # numbers that small cost time and add nothing
    buffer = torch.empty(height, width, dtype=dtype, device=device)
    total = torch.zeros(len(rows), dtype=torch.float64, device=device)
    for top in range(0, len(rows), height):
        part, own = left[top:top + height], rows[top:top + height]
        for start in range(0, len(X), width):
            columns = right[:, start:start + width]
            block = torch.mm(part, columns, out=buffer[:len(part), :columns.shape[1]])
            if denormal:
                block.clamp_(min=-120)
            met = np.flatnonzero((own >= start) & (own < start + width))  # a row does not count itself
            if len(met):
                block[met, own[met] - start] = -torch.inf
            total[top:top + height] += block.exp2_().sum(dim=1)
    return nearest[rows] - (np.log(total.cpu().numpy()) - np.log(len(X) - 1)) / gamma


def score_task(X, start, stop, gamma, squared, nearest=None, device="cpu"):
    """Scores of the rows start to stop: float64, or float32 where the nearest distances are given."""
    if nearest is None:
        return softmin_rows(X, slice(start, stop), gamma, squared)
    scores = _rows_by_product(X, np.arange(start, stop), gamma, nearest, device, "float32")
    doubtful = np.flatnonzero(float32_error(X, nearest, gamma)[start:stop] > LARGEST_ERROR)
    if len(doubtful):
        scores[doubtful] = _rows_by_product(X, start + doubtful, gamma, nearest, device, "float64")
    return scores


def softmin_by_tasks(X, gamma, squared, precision, device, scheduler):
    """Scores (n,) of helpers.anomalies.softmin_scores, cut into the same tasks wherever they run."""
    nearest = None
    if precision == "float32":
        X = X - X.mean(axis=0)  # short rows, small rounding errors
        nearest = nearest_distances(X) ** 2
    cuts = [(start, min(start + TASK_ROWS, len(X))) for start in range(0, len(X), TASK_ROWS)]
    if scheduler is not None:
        from distributed import Client
        with Client(scheduler, set_as_default=False) as client:
            shared = client.scatter([X, nearest], broadcast=True)  # on every worker, so that one may be lost
            parts = [client.submit(score_task, shared[0], *cut, gamma, squared, shared[1], pure=False)
                     for cut in cuts]
            return np.concatenate(client.gather(parts))
    import torch
    run = lambda cut: score_task(X, *cut, gamma, squared, nearest, device)
    if device != "cpu":
        return np.concatenate([run(cut) for cut in cuts])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one block, one core: the threads below share the tasks
    try:
        with ThreadPoolExecutor(min(threads, os.cpu_count()), initializer=torch.set_num_threads,
                                initargs=(1,)) as pool:
            return np.concatenate(list(pool.map(run, cuts)))
    finally:
        torch.set_num_threads(threads)
