"""What can be asked of a heatmap where no truth is known: is it sparse, is it stable, does removal hurt?"""

from functools import cache

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu

from helpers.arguments import finite_numbers, not_negative, random_numbers


def sparseness(heatmaps):
    """(n,) Gini index of |R|, heatmaps (n, h, w): 0 where all pixels get the same, near 1 where one gets all.

    Chalasani et al., arXiv:1810.06583. A heatmap of zeros has sparseness 0. Raises ValueError for other
    shapes and NaN.
    """
    sizes = np.sort(np.abs(_maps("heatmaps", heatmaps, 3)).reshape(len(heatmaps), -1), axis=1)
    count = sizes.shape[1]
    total = sizes.sum(1)
    return sizes @ (2 * np.arange(1, count + 1) - count - 1) / (count * np.where(total > 0, total, 1))


def max_sensitivity(heatmaps, others):
    """(n,) largest ||R' - R|| / ||R|| over the maps R' (draws, n, h, w) of images that changed a little.

    Yeh et al., arXiv:1901.09392: the largest change found in these draws, a lower bound of the true one.
    Raises ValueError where a heatmap is zero or the shapes do not fit.
    """
    heatmaps, others = _maps("heatmaps", heatmaps, 3), _maps("others", others, 4)
    if others.shape[1:] != heatmaps.shape:
        raise ValueError(f"others: shape {others.shape} is not allowed; give (draws, *{heatmaps.shape})")
    size = np.linalg.norm(heatmaps, axis=(1, 2))
    if not size.all():
        raise ValueError("heatmaps: one is zero everywhere; allowed are maps whose change has a scale")
    return np.linalg.norm(others - heatmaps, axis=(2, 3)).max(0) / size


def _maps(name, values, dimensions):
    """Finite numbers (..., h, w) as floats; ValueError or TypeError naming the argument for others."""
    wanted = f"numbers ({'draws, ' * (dimensions == 4)}n, h, w)"
    values = finite_numbers(values, name=name, allowed=wanted)
    if values.ndim != dimensions or not values.size:
        raise ValueError(f"{name}: shape {values.shape} is not allowed; give {wanted}")
    return values


def refilled(images, holes, noise=0.0, seed=0):
    """Images, floats (n, c, h, w), with their holes, boolean (n, h, w), filled in from their surroundings.

    Each removed pixel becomes the weighted mean of its neighbours, 1/6 beside and 1/12 across, those removed
    solved for at once; `noise` is the standard deviation of what is added to them. Rong et al.,
    arXiv:2202.00449 (noisy linear imputation of ROAD). Raises ValueError for a hole without a border, for
    NaN around one, for whole numbers, which would cut off the digits of what is filled in, and for no seed.
    """
    not_negative("noise", noise)
    if not images.is_floating_point():
        raise ValueError(f"images: {images.dtype} is not allowed; give floats, as networks.preprocess does")
    holes, generator = np.asarray(holes, bool), random_numbers(seed)
    if holes.shape != (len(images), *images.shape[2:]):
        raise ValueError(f"holes: shape {holes.shape} is not allowed; images have {tuple(images.shape)}")
    if holes.all((1, 2)).any():
        raise ValueError("holes: one covers the whole image; allowed are holes with something around them")
    filled = images.numpy(force=True).copy()
    if not np.isfinite(np.moveaxis(filled, 1, -1)[~holes]).all():
        raise ValueError("images: NaN or infinity around a hole is not allowed; give finite numbers")
    for picture, hole in zip(filled, holes, strict=True):
        if hole.any():
            values = _harmonic(picture.astype(float), hole)
            picture[:, hole] = values + noise * generator.normal(size=values.shape)
    return torch.from_numpy(filled)


@cache
def _neighbours(height, width):
    """(pixels, pixels) weights of the neighbours of each pixel, 1/6 beside and 1/12 across."""
    rows, columns = (sparse.diags_array([0.5, 1.0, 0.5], offsets=[-1, 0, 1], shape=(side, side))
                     for side in (height, width))
    return ((sparse.kron(rows, columns) - sparse.eye_array(height * width)) / 3).tocsr()


def _harmonic(picture, hole):
    """(c, removed pixels): solution of the linear system "each is the weighted mean of its neighbours"."""
    near, inside = _neighbours(*hole.shape)[hole.ravel()], hole.ravel()
    known = near[:, ~inside] @ picture.reshape(len(picture), -1)[:, ~inside].T
    system = sparse.diags_array(near.sum(axis=1)) - near[:, inside]
    return splu(system.tocsc()).solve(known).T
