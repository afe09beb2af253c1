"""Smooth functions of distances and angles: Gaussians, hat functions, cutoffs; lengths in bohr."""

from itertools import product

import numpy as np

BOND = 2.5  # bohr; the cutoff function is near 1 for a length as long as a usual bond


def gaussians(distance, centers, width):
    """Return exp(-(d - c)^2 / (2 width^2)), (m, centers): soft intervals of distances d (m,), all in bohr."""
    centers = np.atleast_1d(np.asarray(centers, dtype=float))
    if not (np.isscalar(width) and 0 < width < np.inf):
        raise ValueError(f"width: {width!r} is not allowed; give bohr above 0")
    if centers.ndim != 1 or not centers.size or not np.isfinite(centers).all():
        raise ValueError(f"centers: shape {centers.shape} is not allowed; give a list of finite bohr")
    scaled = np.subtract.outer(np.asarray(distance, dtype=float), centers)
    scaled *= 1 / (width * np.sqrt(2))
    np.multiply(scaled, scaled, out=scaled)
    return np.exp(np.negative(scaled, out=scaled), out=scaled)


def cutoff_function(length, cutoff, power=1):
    """Return (1 - (r / cutoff)^2)^2 (BOND / r)^power for lengths r, all bohr; 0 from cutoff on."""
    length = np.asarray(length, dtype=float)
    return np.clip(1 - (length / cutoff) ** 2, 0, None) ** 2 * (BOND / length) ** power


def interpolation_weights(values, knots):
    """Return index, share (m,): a value lies `share` of the way from knots[index] to knots[index + 1].

    Values beyond the ends count as the end. Raises ValueError unless knots are two or more, evenly rising.
    """
    knots = np.asarray(knots, dtype=float)
    steps = np.diff(knots)
    if knots.ndim != 1 or len(knots) < 2 or steps[0] <= 0 or not np.allclose(steps, steps[0]):
        raise ValueError(f"knots: {knots} is not allowed; give two or more numbers that rise in equal steps")
    place = np.clip((np.asarray(values, dtype=float) - knots[0]) / steps[0], 0, len(steps))
    index = np.minimum(place.astype(int), len(steps) - 1)
    return index, place - index


def interpolation_cells(row, shares, sizes, weight):
    """Yield flat index and weight of the 2^k table cells between which each row's values are shared."""
    for corner in product((0, 1), repeat=len(shares)):
        index, part = row, weight
        for (low, share), high, size in zip(shares, corner, sizes, strict=True):
            index, part = index * size + low + high, part * (share if high else 1 - share)
        yield index, part


def interpolated_sums(row, rows, values, knots, weight):
    """Sum weights (m,) into a (rows, knots...) table, each shared by the knots around its values."""
    sizes = [len(k) for k in knots]
    shares = [interpolation_weights(v, k) for v, k in zip(values, knots, strict=True)]
    size = rows * int(np.prod(sizes))
    cells = interpolation_cells(row, shares, sizes, weight)
    table = sum(np.bincount(index, part, minlength=size) for index, part in cells)
    return table.reshape(rows, -1)
