"""How good is a score, how sure are we, and does a heatmap lie where the truth is?"""

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from helpers.arguments import finite_numbers, one_each, random_numbers, share, whole_number
from helpers.images import as_photographs, from_array
from helpers.softmin import row_blocks


def _binary(scores, labels):
    """Scores as floats and labels as booleans; ValueError where they do not fit or one class is missing."""
    scores = finite_numbers(scores, name="scores", allowed="one number for each row")
    labels = _positive(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"labels: shape {labels.shape} is not allowed; scores have {scores.shape}")
    if not len(labels):
        raise ValueError("labels: none; allowed are at least one of each class")
    if labels.all() or not labels.any():
        raise ValueError(f"labels: all are {labels.all()}; allowed are two classes")
    return scores, labels


def _positive(labels):
    """Labels as booleans: True and False, 1 and 0, or 1 and -1; ValueError for words, NaN, other numbers."""
    values = np.asarray(labels)
    if np.ma.is_masked(labels) or pd.isna(values).any():
        raise ValueError("labels: some are missing; allowed are labels for every score")
    words = set(np.unique(values.astype(str))) if values.dtype.kind in "OUS" else set()
    if values.dtype.kind not in "biufOUS":
        raise ValueError(f"labels: type {values.dtype} is not allowed; give booleans, 1 and 0, or 1 and -1")
    if words - {"True", "False", "0", "1", "-1"}:
        word = str(sorted(words)[0])
        raise ValueError(f"labels: {word!r} is a word; say which class is positive, labels == {word!r}")
    if words:  # "True" is no number
        values = np.where(values.astype(str) == "True", "1", values.astype(str))
        values = np.where(values == "False", "0", values)
    numbers = values.astype(float)
    if not (np.isin(numbers, [0, 1]).all() or np.isin(numbers, [-1, 1]).all()):
        other = numbers[~np.isin(numbers, [0, 1])].flat[0]
        raise ValueError(f"labels: {other:g} is not allowed; give True and False, 1 and 0, or 1 and -1")
    return numbers > 0


def auc(scores, labels):
    """Area under the ROC curve: the chance that a positive (n,) scores above a negative, ties count half.

    Raises ValueError for other shapes, NaN, or one class only. Hanley and McNeil, Radiology 143:29 (1982).
    """
    scores, labels = _binary(scores, labels)
    return float(roc_auc_score(labels, scores))


def _bootstrap_counts(count, draws, generator):
    """(draws, count) integers: how often each of `count` groups is drawn when resampled with replacement."""
    whole_number("draws", draws)
    return generator.multinomial(count, np.full(count, 1 / count), size=draws)


def auc_interval(scores, labels, groups=None, draws=2000, level=0.95, seed=0):
    """(auc, low, high): percentile bootstrap that resamples whole groups within each class.

    groups: (n,) names of what was sampled independently (a leaf, not its photographs); default: every row.
    Raises ValueError as `auc` does, for groups of another length or missing, draws below 1, and a level not
    between 0 and 1. Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    """
    scores, labels = _binary(scores, labels)
    times = _times_drawn(labels, groups, draws, seed)
    drawn = _pairs_won(scores, labels, times) / times[0].sum(1) / times[1].sum(1)
    return auc(scores, labels), *_ends(drawn, level)


def auc_difference(scores, others, labels, groups=None, draws=2000, level=0.95, seed=0):
    """(difference, low, high) of the AUC of two scores of the same rows: `auc_interval` in pairs.

    scores, others: (n,), or (seeds, n) for trainings in pairs, row by row, whose mean AUC is compared. The
    interval resamples groups and, where there are several, the pairs of trainings too (few of them vary less
    than all would). Raises ValueError as `auc_interval`, and for other numbers of trainings.
    """
    sides = [[_binary(row, labels)[0] for row in np.atleast_2d(side)] for side in (scores, others)]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"others: {len(sides[1])} trainings are not allowed; scores have {len(sides[0])}")
    labels = _positive(labels)
    gained = lambda times: np.stack([_pairs_won(one, labels, times) - _pairs_won(other, labels, times)
                                     for one, other in zip(*sides, strict=True)])  # the same draws for all
    once = [np.ones((1, side.sum()), int) for side in (labels, ~labels)]  # every row as it is
    value = gained(once).sum() / (len(sides[0]) * labels.sum() * (~labels).sum())
    times = _times_drawn(labels, groups, draws, seed)
    drawn = gained(times) / times[0].sum(1) / times[1].sum(1)
    return float(value), *_over_trainings(drawn, level, seed)


def _over_trainings(drawn, level, seed):
    """(low, high) of a mean over trainings; drawn: (seeds, draws), each column with the same groups."""
    weights = _bootstrap_counts(*drawn.shape, random_numbers([seed, 1])) / len(drawn)
    return _ends((weights.T * drawn).sum(0), level)


def _ends(drawn, level):
    """(low, high) of the middle share `level` of what was drawn."""
    share("level", level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _times_drawn(labels, groups, draws, seed):
    """[(draws, positives), (draws, negatives)]: how often each row is drawn, by whole groups within a class.

    Raises ValueError for groups of another length or missing, and draws below 1.
    """
    groups = np.arange(len(labels)) if groups is None else one_each("groups", groups, len(labels))
    generator, times = random_numbers(seed), []
    for side in (labels, ~labels):
        _, member = np.unique(groups[side], return_inverse=True)
        times.append(_bootstrap_counts(member.max() + 1, draws, generator)[:, member])
    return times


def _pairs_won(scores, labels, times):
    """(draws,): in how many pairs of a draw the positive row scores above the negative; ties count half.

    times: `_times_drawn`. Cumulative sums over the sorted negatives give the same halves as a comparison of
    all pairs, exactly, with time and memory that grow like the rows, not like their square.
    """
    positive, order = scores[labels], np.argsort(scores[~labels])
    below, up_to = (np.searchsorted(scores[~labels][order], positive, side) for side in ("left", "right"))
    won = []
    for block in row_blocks(len(labels), count=len(times[0])):
        passed = np.pad(np.cumsum(times[1][block][:, order], axis=1), ((0, 0), (1, 0)))
        won.append((times[0][block] * (passed[:, below] + passed[:, up_to])).sum(1) / 2)
    return np.concatenate(won)


def mean_interval(values, groups=None, draws=2000, level=0.95, seed=0, classes=None):
    """(mean, low, high) of values by the percentile bootstrap over whole groups.

    values: (n,), or (seeds, n) of several trainings for the same rows; then the trainings are resampled too
    (few of them vary less than all would). classes: (n,); then every class counts the same, as in balanced
    accuracy: the mean is that of the classes' means, and groups are resampled within each class. Raises
    ValueError for other shapes, values that are masked or not finite, and as `auc_interval` does.
    """
    values = np.atleast_2d(finite_numbers(values, name="values", allowed="numbers (n,) or (seeds, n)"))
    if values.ndim > 2 or not values.size:
        raise ValueError(f"values: shape {np.shape(values)} is not allowed; give (n,) or (seeds, n), n > 0")
    n = values.shape[1]
    groups = np.arange(n) if groups is None else one_each("groups", groups, n)
    classes = np.zeros(n) if classes is None else one_each("classes", classes, n)
    generator, means, drawn = random_numbers(seed), [], []
    for side in (classes == name for name in np.unique(classes)):
        _, member = np.unique(groups[side], return_inverse=True)
        sums, sizes = np.stack([np.bincount(member, row) for row in values[:, side]]), np.bincount(member)
        counts = _bootstrap_counts(len(sizes), draws, generator)
        means.append(values[:, side].mean())
        drawn.append(sums @ counts.T / (counts @ sizes))
    return float(np.mean(means)), *_over_trainings(np.mean(drawn, axis=0), level, seed)


def youden(scores, labels):
    """Threshold t that maximises J = sensitivity + specificity - 1 for "positive where score >= t".

    It lies midway between two scores; among equal J the smallest is taken. Youden, Cancer 3:32 (1950).
    """
    scores, labels = _binary(scores, labels)
    values = np.unique(scores)
    cuts = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2])
    sides = np.sort(scores[labels]), np.sort(scores[~labels])
    above = [(len(side) - np.searchsorted(side, cuts)) / len(side) for side in sides]  # share at t or above
    return float(cuts[np.argmax(above[0] - above[1])])


def _checked_maps(heatmaps, masks=None):
    """Heatmaps (n, h, w) as floats and masks as booleans of the same shape."""
    heatmaps = finite_numbers(heatmaps, name="heatmaps", allowed="numbers (n, h, w)")
    if heatmaps.ndim != 3:
        raise ValueError(f"heatmaps: shape {heatmaps.shape} is not allowed; give numbers (n, h, w)")
    masks = np.ones(heatmaps.shape) if masks is None else masks
    masks = finite_numbers(masks, name="masks", allowed="True and False (n, h, w)").astype(bool)
    if masks.shape != heatmaps.shape:
        raise ValueError(f"masks: shape {masks.shape} is not allowed; heatmaps have {heatmaps.shape}")
    return heatmaps, masks


def pointing_game(heatmaps, masks):
    """(n,) whether the largest value of a heatmap (n, h, w) lies in its mask, 1.0 or 0.0. arXiv:1608.00507.

    Where several pixels share the largest value (a square of occlusion), the share of them in the mask.
    """
    heatmaps, masks = _checked_maps(heatmaps, masks)
    largest = heatmaps == heatmaps.max((1, 2), keepdims=True)
    return (largest & masks).sum((1, 2)) / largest.sum((1, 2))


def relevance_mass(heatmaps, masks):
    """(n,) share of the positive relevance that falls in the mask; NaN-free, 0 for an empty heatmap.

    Arras, Osman and Samek, Information Fusion 81:14 (2022), "relevance mass accuracy".
    """
    heatmaps, masks = _checked_maps(heatmaps, masks)
    positive = np.maximum(heatmaps, 0)
    total = positive.sum((1, 2))
    return (positive * masks).sum((1, 2)) / np.where(total > 0, total, 1)


def relevance_rank(heatmaps, masks):
    """(n,) share of the mask found among the m largest pixels, m the size of the mask (same source).

    Pixels that share the m-th largest value count by the share of them in the mask. 0 for an empty mask.
    """
    heatmaps, masks = _checked_maps(heatmaps, masks)
    sizes = np.maximum(masks.sum((1, 2)), 1)
    rows = zip(heatmaps.reshape(len(heatmaps), -1), sizes, strict=True)
    last = np.array([np.partition(row, -size)[-size] for row, size in rows]).reshape(-1, 1, 1)
    above, tied = heatmaps > last, heatmaps == last
    left = (sizes - above.sum((1, 2))) / tied.sum((1, 2))  # share of the tied pixels that still fit
    return ((above & masks).sum((1, 2)) + left * (tied & masks).sum((1, 2))) / sizes


def conservation(heatmaps, scores):
    """(n,) |sum of a heatmap - its score| / |score|: 0 where the relevance adds up to what it explains.

    Raises ValueError for scores that are not (n,), 0, masked or not finite.
    """
    heatmaps, _ = _checked_maps(heatmaps)
    scores = finite_numbers(scores, name="scores", allowed="one number for each heatmap")
    if scores.shape != (len(heatmaps),):
        raise ValueError(f"scores: shape {scores.shape} is not allowed; give ({len(heatmaps)},)")
    if not scores.all():
        raise ValueError(f"scores: 0 at [{np.argmin(scores != 0)}]; allowed are numbers to divide by")
    return np.abs(heatmaps.sum((1, 2)) - scores) / np.abs(scores)


def leaf_masks(cutouts, grow=0):
    """Boolean (n, h, w): where the cut-out leaves, uint8 (n, 3, h, w) on black, show leaf: max(R, G, B) > 20.

    grow: widen each mask by that many pixels, so that no rim of the leaf is left outside. Raises
    ValueError for other images, and for a width that is no whole number.
    """
    masks = np.asarray(as_photographs("cutouts", cutouts)).max(axis=1) > 20
    if whole_number("grow", grow, least=0):
        cross = ndimage.generate_binary_structure(2, 1)[None]
        masks = ndimage.binary_dilation(masks, cross, iterations=grow)
    return masks


def border_pixels(images):
    """(n, 24): the four corners and the four middles of the sides of uint8 images (n, 3, h, w), in RGB."""
    images = np.asarray(images)
    h, w = images.shape[2] - 1, images.shape[3] - 1
    places = [(0, 0), (0, w // 2), (0, w), (h // 2, 0), (h // 2, w), (h, 0), (h, w // 2), (h, w)]
    return np.concatenate([images[:, :, row, column] for row, column in places], axis=1)


def paint_lesions(images, masks, count=4, radii=(5, 10), seed=0):
    """Paint brown spots on leaves, so that the truth is known: (painted uint8 tensor, masks of the spots).

    images: uint8 (n, 3, h, w); masks: boolean (n, h, w), where there is leaf; radii in pixels. Spots lie in
    the leaf as far as they fit, with a wavy outline, a dark rim and a lighter centre, in the light of the
    leaf. Equal seeds give equal spots. Raises ValueError for a leaf without pixels and other images.
    """
    as_photographs("images", images)
    if np.shape(masks) != (*np.shape(images)[:1], *np.shape(images)[2:]):
        raise ValueError(f"masks: shape {tuple(np.shape(masks))} is not allowed; images have "
                         f"{tuple(np.shape(images))}")
    painted = np.asarray(images).astype(np.float32)
    truth, generator = np.zeros(np.shape(masks), bool), random_numbers(seed)
    row, column = np.indices(truth.shape[1:])
    for picture, leaf, spots in zip(painted, np.asarray(masks, bool), truth, strict=True):
        if not leaf.any():
            raise ValueError("masks: a leaf has no pixel; allowed are masks with at least one")
        depth, light = ndimage.distance_transform_edt(leaf), picture[:, leaf].mean() / 90
        for _ in range(count):
            radius = generator.uniform(*radii)
            inside = np.argwhere(depth * ~spots >= min(1.3 * radius, depth.max()))
            y, x = inside[generator.integers(len(inside))] if len(inside) else np.argwhere(leaf)[0]
            angle, phase = np.arctan2(row - y, column - x), generator.uniform(0, 2 * np.pi, 2)
            wave = 1 + 0.15 * np.sin(2 * angle + phase[0]) + 0.1 * np.sin(3 * angle + phase[1])
            reach = np.hypot(row - y, column - x) / (radius * wave)
            colour = np.where(reach > 0.7, [[[80.0]], [[52.0]], [[45.0]]], [[[135.0]], [[100.0]], [[72.0]]])
            colour = light * colour + generator.normal(0, 6, truth.shape[1:])
            alpha = np.clip(0.5 + radius * (1 - reach), 0, 1)
            picture += alpha * (colour - picture)
            spots |= alpha > 0.5
    return torch.from_numpy(painted.round().clip(0, 255).astype(np.uint8)), truth


def flipping_curve(score, images, heatmaps, reference, patch=16, shares=None):
    """Scores (n, m) while the patches with the most relevance are replaced by those of `reference`, m steps.

    score: function of images (n, 3, h, w) that returns (n,); reference: like images; shares: share of
    patches replaced at each step, default 0, 0.1, ..., 1. Samek et al., arXiv:1509.06321 (pixel flipping).
    Raises ValueError for shapes that do not fit, shares that are not 0 to 1, and another patch.
    """
    whole_number("patch", patch)
    images, reference = from_array(images), from_array(reference)
    heatmaps, _ = _checked_maps(heatmaps)
    if tuple(np.shape(images)[:1] + np.shape(images)[2:]) != heatmaps.shape:
        raise ValueError(f"images: shape {tuple(np.shape(images))} is not allowed; heatmaps have "
                         f"{heatmaps.shape}")
    shares = np.linspace(0, 1, 11) if shares is None else shares
    shares = finite_numbers(shares, name="shares", allowed="shares of the patches, 0 to 1")
    if shares.ndim != 1 or not len(shares) or shares.min() < 0 or shares.max() > 1:
        raise ValueError(f"shares: {shares.tolist()!r} is not allowed; give shares of the patches, 0 to 1")
    n, h, w = heatmaps.shape
    tall, wide = -(-h // patch), -(-w // patch)
    padded = np.pad(heatmaps, ((0, 0), (0, tall * patch - h), (0, wide * patch - w)))
    blocks = padded.reshape(n, tall, patch, wide, patch).sum((2, 4)).reshape(n, -1)
    place = np.argsort(np.argsort(-blocks, axis=1, kind="stable"), axis=1).reshape(n, tall, wide)
    place = place.repeat(patch, 1).repeat(patch, 2)[:, None, :h, :w]
    steps = [torch.from_numpy(place < round(share * tall * wide)) for share in shares]
    return np.stack([np.asarray(score(torch.where(step, reference, images))) for step in steps], axis=1)
