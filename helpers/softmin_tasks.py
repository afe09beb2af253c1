"""Softmin scores of many rows by tasks: on the cores of one machine, on its GPU, or on a Dask cluster."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from helpers.softmin import nearest_distances, softmin_rows

SIDE = 4096  # rows, and columns, of one tile of the matrix of distances
BLOCK_ROWS = 128  # rows of a tile at once on a CPU: 2 MiB of float32
LARGEST_ERROR = 1e-4  # of a score in float32; rows that could exceed it are done in float64
LARGEST_FLOAT32 = 1e38
SMALLEST = -64  # log2 of a row's largest weight: float32 ends at -126, and n weights add up
ONE_AT_A_TIME = threading.Lock()  # torch's settings are those of the process


def float32_error(X, nearest, gamma):
    """Bound (n,) on the error of each float32 score, for centred X (n, d) and squared nearest distances (n,).

    A float32 product of d + 2 terms errs by at most (d + 2) 2^-24 times the sum of their sizes, here at most
    (|x_j| + |x_k|)^2 + min z; rounding its factors adds two more. Softmin hands an error of z on, never
    enlarged. Rows with gamma (z_jk - min z) > log(n) + 7 weigh less than 0.001 together, and 0.003 with what
    the errors do to that; the error grows more slowly than their weight falls, and the others have
    |x_k| <= |x_j| + sqrt(z_jk). exp2 and the sums are granted a relative error of 4e-6: torch promises none,
    measured were 8e-7.
    """
    length, unit = np.linalg.norm(X, axis=1), (X.shape[1] + 4) * 2.0**-24
    near = np.minimum(length + np.sqrt(nearest + (np.log(len(X)) + 7) / gamma), length.max())
    weighted = 1.003 * unit * ((length + near) ** 2 + nearest)
    everywhere = unit * ((length + length.max()) ** 2 + nearest)
    return np.where(gamma * weighted < 1, np.minimum(weighted, everywhere), everywhere) + 4e-6 / gamma


def exponents(X, rows, columns, gamma, device, precision, shift=0.0):
    """Yield (slice of rows, block (b, c) of gamma (shift_j - z_jk) / log 2), rows j and columns k of X.

    X is centred. Each block, a product of two thin matrices, takes the memory of the one before. Numbers
    below -120 are raised to it: their powers would be denormal, which cost time and add nothing. None is
    above 0 but by rounding.
    """
    import torch  # here, so that a worker that needs NumPy alone starts fast

    scale, height = gamma / np.log(2), BLOCK_ROWS if device == "cpu" else SIDE
    squares = [(X[side] ** 2).sum(axis=1) for side in (rows, columns)]
    left = np.column_stack([2 * scale * X[rows], np.ones(len(squares[0])), scale * (shift - squares[0])])
    right = np.vstack([X[columns].T, -scale * squares[1], np.ones(len(squares[1]))])
    left, right = (torch.as_tensor(side, dtype=getattr(torch, precision), device=device)
                   for side in (left, right))
    small = scale * sum(np.sqrt(square.max()) for square in squares) ** 2 > 120
    buffer = torch.empty(min(height, len(left)), right.shape[1], dtype=right.dtype, device=device)
    for top in range(0, len(left), height):
        part = left[top:top + height]
        block = torch.mm(part, right, out=buffer[:len(part)])
        yield slice(top, top + len(part)), block.clamp_(min=-120, max=0) if small else block


def tile_sums(X, gamma, device, rows, columns):
    """Sums of the weights exp(-gamma z) of a tile, in float32: (b,) of each row, (c,) of each column.

    rows, columns: slices of centred X, apart or the same; then a row does not count itself, and the sums of
    the columns, which are those of the rows, are 0.
    """
    import torch

    sums, across = [], torch.zeros(columns.stop - columns.start, dtype=torch.float64, device=device)
    for part, block in exponents(X, rows, columns, gamma, device, "float32"):
        if rows == columns:
            block.diagonal(part.start).fill_(-torch.inf)
        sums.append(block.exp2_().sum(dim=1))
        if rows != columns:
            across += block.sum(dim=0)
    return torch.cat(sums).double().cpu().numpy(), across.cpu().numpy()


def scores_alone(X, nearest, rows, gamma, device, precision):
    """Scores (b,) of some rows of centred X, each with its weights relative to that of its nearest row.

    precision: "float32", "float64" or "exact", which forms each distance from differences.
    """
    if precision == "exact":
        return softmin_rows(X, rows, gamma)
    import torch

    total = torch.zeros(len(rows), dtype=torch.float64, device=device)
    for columns in strips(len(X)):
        for part, block in exponents(X, rows, columns, gamma, device, precision, nearest[rows]):
            own = rows[part] - columns.start
            met = np.flatnonzero((own >= 0) & (own < block.shape[1]))  # a row does not count itself
            if len(met):
                block[met, own[met]] = -torch.inf
            total[part] += block.exp2_().sum(dim=1)
    return nearest[rows] - (np.log(total.cpu().numpy()) - np.log(len(X) - 1)) / gamma


def strips(n):
    """Slices of SIDE of n rows."""
    return [slice(start, min(start + SIDE, n)) for start in range(0, n, SIDE)]


def each(function, shared, jobs, take, device, scheduler):
    """take(job, function(*shared, *job)) for each job in turn.

    The function runs on the GPU, on threads here or on a Dask cluster.
    """
    if scheduler is not None and jobs:
        from distributed import Client

        with Client(scheduler, set_as_default=False) as client:
            there = client.scatter(shared, broadcast=True)  # on every worker, so that one may be lost
            waiting = [client.submit(function, *there, *job, pure=False) for job in jobs][::-1]
            for job in jobs:
                take(job, waiting.pop().result())
    elif scheduler is None:
        with torch_settings(device) as threads, ThreadPoolExecutor(threads) as pool:
            run = pool.map if device == "cpu" else map
            for job, found in zip(jobs, run(lambda job: function(*shared, *job), jobs), strict=True):
                take(job, found)


@contextlib.contextmanager
def torch_settings(device):
    """How many threads share the tasks: each alone on a core, and no product is rounded to TF32 on a GPU.

    Callers in several threads wait for each other.
    """
    import torch

    with ONE_AT_A_TIME:
        threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            if device == "cpu":
                torch.set_num_threads(1)
            yield min(threads, os.cpu_count() or 1)
        finally:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)


def scores_by_pairs(X, gamma, device, scheduler):
    """Scores (n,) of centred X: each pair of rows is met once, and its weight counts for both.

    In float32; infinite where all weights of a row vanish.
    """
    some, total = strips(len(X)), np.zeros(len(X))
    jobs = [(gamma, device, rows, columns) for place, rows in enumerate(some) for columns in some[place:]]

    def add(job, sums):
        for part, found in zip(job[2:], sums, strict=True):
            total[part] += found

    each(tile_sums, [X], jobs, add, device, scheduler)
    with np.errstate(divide="ignore"):
        return -(np.log(total) - np.log(len(X) - 1)) / gamma


def softmin_by_tasks(X, gamma, squared, precision, device, scheduler):
    """Scores (n,) of helpers.anomalies.softmin_scores, cut into the same tasks wherever they run."""
    scores = np.empty(len(X))

    def keep(job, found):
        scores[job[0]] = found

    if precision == "float64":
        jobs = [(rows, gamma, squared) for rows in strips(len(X))]
        each(softmin_rows, [X], jobs, keep, device, scheduler)
        return scores
    X = X - X.mean(axis=0)  # short rows, small rounding errors
    nearest = nearest_distances(X) ** 2
    pairs, alone = by_precision(X, nearest, gamma)
    if pairs:
        scores[:] = scores_by_pairs(X, gamma, device, scheduler)
    jobs = [(rows[part], gamma, device, kind) for kind, rows in alone.items() for part in strips(len(rows))]
    each(scores_alone, [X, nearest], jobs, keep, device, scheduler)
    return scores


def by_precision(X, nearest, gamma):
    """(whether pairs serve the other rows, {precision: rows done alone}) of centred X.

    So that each score errs by LARGEST_ERROR at most.
    """
    with np.errstate(over="ignore"):  # what is infinite is too large
        error = float32_error(X, nearest, gamma)
        doubtful = (error > LARGEST_ERROR) | (8 * gamma * (X**2).sum(axis=1).max() > LARGEST_FLOAT32)
        far = ~doubtful & (-gamma * nearest < SMALLEST * np.log(2))
    coarse = (error - 4e-6 / gamma) * 2.0**-29 > LARGEST_ERROR  # the same in float64
    pairs = (doubtful | far).mean() <= 0.5  # else they save nothing
    alone = {"float32": far if pairs else ~doubtful, "float64": doubtful & ~coarse, "exact": coarse}
    return pairs, {kind: np.flatnonzero(rows) for kind, rows in alone.items()}
