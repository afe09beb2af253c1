"""Scores and heatmap metrics against scikit-learn, brute force and cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from helpers import scoring

RNG = np.random.default_rng(0)
few = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({label for _, label in rows}) == 2)


@given(few)
def test_auc_equals_scikit_learn_and_the_definition(rows):
    scores, labels = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    value = scoring.auc(scores, labels)
    pairs = [(p > q) + 0.5 * (p == q) for p in scores[labels] for q in scores[~labels]]
    assert value == pytest.approx(roc_auc_score(labels, scores))
    assert value == pytest.approx(np.mean(pairs))
    assert scoring.auc(-scores, labels) == pytest.approx(1 - value)
    assert scoring.auc(np.exp(scores), labels) == pytest.approx(value)


@pytest.mark.parametrize(("scores", "labels", "message"), [
    ([1.0, 2.0], [True, True], "^labels: all are True; allowed are two classes"),
    ([1.0, 2.0], [True], r"^labels: shape \(1,\) is not allowed"),
    ([1.0, 2.0], ["sick", "healthy"], r"^labels: 'healthy' is a word; say which class is positive"),
    ([1.0, 2.0], [1.0, np.nan], "^labels: some are missing"),
    ([1.0, 2.0], pd.array([True, None]), "^labels: some are missing"),
    ([1.0, 2.0], np.ma.masked_array([1, 0], [0, 1]), "^labels: some are missing"),
    ([1.0, 2.0], [1, 2], "^labels: 2 is not allowed; give True and False, 1 and 0, or 1 and -1"),
    ([1.0, np.nan], [True, False], r"^scores: value nan at \[1\]; allowed are finite numbers"),
    (np.ma.masked_array([1.0, 2.0], [0, 1]), [True, False], "^scores: 1 values are masked; fill them"),
    ([], [], "^labels: none; allowed"),
    ([[1.0], [2.0]], [[True], [False]], r"^labels: shape \(2, 1\) is not allowed")])
def test_bad_scores_are_refused(scores, labels, message):
    for function in (scoring.auc, scoring.auc_interval, scoring.youden):
        with pytest.raises(ValueError, match=message):
            function(scores, labels)


def by_comparison(scores, labels):
    """AUC as what it means, the share of pairs in the right order: scikit-learn's takes 30 times as long."""
    gap = scores[labels][:, None] - scores[~labels]
    return np.mean((gap > 0) + (gap == 0) / 2)


def test_auc_difference_equals_a_plain_paired_bootstrap():
    rng = np.random.default_rng(3)
    labels, groups = np.arange(60) % 2 == 0, np.arange(60) // 2 // 3 * 2 + np.arange(60) % 2
    one, other = rng.normal(size=(2, 60)) + labels, rng.normal(size=(2, 60)) + 0.3 * labels
    mean_auc = lambda rows, which: np.mean([by_comparison(row[which], labels[which]) for row in rows])
    drawn = []
    for _ in range(1500):
        which = np.concatenate([
            np.flatnonzero(groups == name)
            for side in (groups[labels], groups[~labels]) for name in rng.choice(np.unique(side), 10)])
        pairs = rng.choice(2, 2)
        drawn.append(mean_auc(one[pairs], which) - mean_auc(other[pairs], which))
    value, low, high = scoring.auc_difference(one, other, labels, groups)
    assert value == pytest.approx(mean_auc(one, np.arange(60)) - mean_auc(other, np.arange(60)))
    np.testing.assert_allclose([low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.02)


def test_auc_difference_of_a_score_and_itself_is_nothing_and_of_one_seed_that_of_auc():
    rng = np.random.default_rng(4)
    score, labels = rng.normal(size=40), np.arange(40) < 15
    assert scoring.auc_difference(score, score, labels) == (0, 0, 0)
    value, low, high = scoring.auc_difference(score, -score, labels)
    assert value == pytest.approx(2 * scoring.auc(score, labels) - 1)
    assert low < value < high
    with pytest.raises(ValueError, match="labels"):
        scoring.auc_difference(score, score[:-1], labels)
    with pytest.raises(ValueError, match="others: 1 trainings are not allowed; scores have 2"):
        scoring.auc_difference([score, score], score, labels)


def test_auc_interval_equals_a_plain_bootstrap():
    labels = np.repeat([True, False], 40)
    groups = np.arange(80) // 4
    scores = RNG.normal(size=80) + labels + 0.7 * RNG.normal(size=20)[groups]
    value, low, high = scoring.auc_interval(scores, labels, groups, draws=4000)
    rng, drawn = np.random.default_rng(1), []
    for _ in range(1500):
        names = np.concatenate([rng.choice(np.unique(groups[side]), 10)
                                for side in (labels, ~labels)])
        rows = np.concatenate([np.flatnonzero(groups == name) for name in names])
        drawn.append(by_comparison(scores[rows], labels[rows]))
    assert value == pytest.approx(roc_auc_score(labels, scores))
    np.testing.assert_allclose([low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.015)


def test_copies_of_a_photograph_do_not_narrow_the_interval_of_groups():
    labels = np.repeat([True, False], 15)
    scores = RNG.normal(size=30) + labels
    once = scoring.auc_interval(scores, labels)
    copied = scoring.auc_interval(scores.repeat(6), labels.repeat(6), np.arange(30).repeat(6))
    naive = scoring.auc_interval(scores.repeat(6), labels.repeat(6))
    np.testing.assert_allclose(copied, once)
    assert naive[2] - naive[1] < 0.6 * (once[2] - once[1])


def test_ties_count_half_in_the_interval_too():
    assert scoring.auc_interval(np.ones(12), np.arange(12) < 5) == (0.5, 0.5, 0.5)


def test_the_interval_covers_the_truth():
    """d' = 1 has AUC Phi(1 / sqrt 2) = 0.7602; 90 % intervals should hold it in about 90 % of cases."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = np.repeat([True, False], 40)
        _, low, high = scoring.auc_interval(rng.normal(size=80) + labels, labels, None, 500, 0.9, seed)
        hits += low <= 0.7602 <= high
    assert 160 <= hits <= 196


def test_mean_interval():
    values, groups = RNG.normal(size=60), np.arange(60) // 3
    mean, low, high = scoring.mean_interval(values, draws=4000)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(60), rel=0.1)
    np.testing.assert_allclose(scoring.mean_interval(values.repeat(4), np.arange(60).repeat(4), draws=4000),
                               (mean, low, high))
    assert scoring.mean_interval(values, groups)[0] == pytest.approx(mean)
    assert scoring.mean_interval(np.ones(5)) == (1, 1, 1)


def test_mean_interval_over_trainings_resamples_them_too():
    """Against a loop that draws groups and trainings one by one; equal trainings add no spread."""
    values, groups = RNG.normal(size=(4, 30)) + 3 * RNG.normal(size=(4, 1)), np.arange(30) // 3
    rng, drawn = np.random.default_rng(5), []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(0, 10, 10)])
        drawn.append(values[rng.integers(0, 4, 4)][:, rows].mean())
    mean, low, high = scoring.mean_interval(values, groups, draws=4000)
    assert mean == pytest.approx(values.mean())
    np.testing.assert_allclose((low, high), np.quantile(drawn, [0.025, 0.975]), atol=0.2)
    same = np.tile(values[0], (3, 1))
    np.testing.assert_allclose(scoring.mean_interval(same, groups), scoring.mean_interval(values[0], groups))


def test_mean_interval_of_classes_resamples_within_each_and_counts_them_the_same():
    classes, groups = np.repeat(["many", "few"], [250, 50]), np.arange(300) // 5
    assert scoring.mean_interval(np.ones(300), groups, classes=classes) == (1, 1, 1)
    rng = np.random.default_rng(1)
    right = (RNG.random(300) < np.where(classes == "few", 0.6, 0.9)).astype(float)
    sides = np.split(right.reshape(60, 5).mean(1), [50])  # one value for every group
    drawn = [np.mean([rng.choice(side, len(side)).mean() for side in sides]) for _ in range(2000)]
    mean, low, high = scoring.mean_interval(right, groups, draws=4000, classes=classes)
    assert mean == pytest.approx((right[:250].mean() + right[250:].mean()) / 2)
    np.testing.assert_allclose([low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.015)
    of_one = scoring.mean_interval(right, groups, classes=np.zeros(300))
    np.testing.assert_equal(of_one, scoring.mean_interval(right, groups))


def test_every_form_of_two_labels_is_the_same():
    labels = np.array([True, False, True, False])
    forms = [labels, labels.tolist(), labels.astype(int), labels.astype(float), np.where(labels, 1, -1),
             pd.Series(labels), pd.array(labels), torch.tensor(labels), labels.astype(object)]
    assert {scoring.auc([3, 1, 2, 2.5], form) for form in forms} == {0.75}


def test_youden_lies_midway_between_two_scores():
    assert scoring.youden([0.0, 1.0], [False, True]) == 0.5
    assert scoring.youden([3.0, 1.0, 2.0, 6.0], [True, False, False, True]) == 2.5
    assert scoring.youden([2.0, 2.0], [False, True]) == 2.0  # one score: all are above it


@given(few)
def test_youden_finds_the_best_threshold(rows):
    scores, labels = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    false, true, _ = roc_curve(labels, scores)
    found = scoring.youden(scores, labels)
    value = (scores[labels] >= found).mean() - (scores[~labels] >= found).mean()
    assert value == pytest.approx((true - false).max())


@given(few)
def test_youden_takes_the_smallest_of_the_best_thresholds(rows):
    scores, labels = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    values = sorted(set(scores))
    cuts = [values[0], *((low + high) / 2 for low, high in zip(values, values[1:], strict=False))]
    gains = [(scores[labels] >= cut).mean() - (scores[~labels] >= cut).mean() for cut in cuts]
    assert scoring.youden(scores, labels) == cuts[gains.index(max(gains))]


def test_youden_lies_between_the_classes():
    assert scoring.youden([1, 2, 5, 8], [False, False, True, True]) == 3.5


HEATMAP = np.array([[[0.0, 3.0, 1.0], [-5.0, 2.0, 0.0], [0.0, 0.0, 4.0]]])
MASK = np.array([[[False, True, False], [True, True, False], [False, False, False]]])


def test_metrics_by_hand():
    assert scoring.pointing_game(HEATMAP, MASK).tolist() == [0]
    assert scoring.pointing_game(HEATMAP, ~MASK).tolist() == [1]
    assert scoring.relevance_mass(HEATMAP, MASK).tolist() == [0.5]
    assert scoring.relevance_rank(HEATMAP, MASK) == pytest.approx([2 / 3])
    assert scoring.conservation(HEATMAP, [4.0]).tolist() == [0.25]


def test_ties_are_shared_and_not_given_to_the_first_pixel():
    """The expected value over all orders of the tied pixels, here by shuffling them."""
    blocks = np.kron(RNG.integers(0, 3, (4, 6, 6)), np.ones((4, 4)))
    masks = RNG.random(blocks.shape) < 0.1
    jitters = 1e-6 * RNG.random((3000, *blocks.shape))
    for metric in (scoring.pointing_game, scoring.relevance_rank):
        shuffled = np.mean([metric(blocks + jitter, masks) for jitter in jitters], axis=0)
        np.testing.assert_allclose(metric(blocks, masks), shuffled, atol=0.03)
    assert scoring.pointing_game(np.zeros((1, 3, 3)), MASK) == pytest.approx(3 / 9)


def test_metrics_of_perfect_empty_and_random_heatmaps():
    masks = RNG.random((50, 40, 40)) < 0.2
    for metric in (scoring.pointing_game, scoring.relevance_mass, scoring.relevance_rank):
        np.testing.assert_array_equal(metric(masks.astype(float), masks), 1)
        assert np.isfinite(metric(np.zeros(masks.shape), masks)).all()
        assert metric(RNG.random(masks.shape), masks).mean() == pytest.approx(0.2, abs=0.2)
    assert scoring.relevance_mass(RNG.random(masks.shape), masks).mean() == pytest.approx(0.2, abs=0.01)
    assert scoring.relevance_rank(RNG.random(masks.shape), masks).mean() == pytest.approx(0.2, abs=0.01)
    parts = [scoring.relevance_mass(HEATMAP, mask) for mask in (MASK, ~MASK)]
    assert sum(parts) == pytest.approx(1)


def test_metrics_refuse_other_shapes():
    for metric in (scoring.pointing_game, scoring.relevance_mass, scoring.relevance_rank):
        with pytest.raises(ValueError, match=r"^masks: shape \(1, 2, 3\) is not allowed"):
            metric(HEATMAP, MASK[:, :2])
        with pytest.raises(ValueError, match=r"^heatmaps: shape \(3, 3\) is not allowed"):
            metric(HEATMAP[0], MASK[0])
        with pytest.raises(ValueError, match=r"^heatmaps: value nan at \[0, 0, 0\]"):
            metric(HEATMAP * np.nan, MASK)


def test_leaf_masks():
    cutouts = np.zeros((1, 3, 9, 9), np.uint8)
    cutouts[0, 1, 4, 4], cutouts[0, 2, 0, 0] = 21, 20
    assert scoring.leaf_masks(torch.from_numpy(cutouts)).sum() == 1
    grown = scoring.leaf_masks(cutouts, grow=2)[0]
    distance = np.abs(np.indices((9, 9)) - 4).sum(0)
    np.testing.assert_array_equal(grown, distance <= 2)


def test_grown_masks_do_not_leak_into_the_next_image():
    cutouts = np.zeros((3, 3, 9, 9), np.uint8)
    cutouts[1] = 200
    assert scoring.leaf_masks(cutouts, grow=3).sum((1, 2)).tolist() == [0, 81, 0]


def test_border_pixels():
    images = np.zeros((2, 3, 7, 11), np.uint8)
    images[:, :, 1:-1, 1:-1] = 99
    images[1, 0, 0, 0], images[1, 2, 6, 5] = 1, 2
    found = scoring.border_pixels(torch.from_numpy(images))
    assert found.shape == (2, 24)
    assert found[0].max() == 0
    assert sorted(found[1][found[1] > 0]) == [1, 2]
    numbered = np.arange(3 * 7 * 11, dtype=np.uint8).reshape(1, 3, 7, 11)
    places = [(0, 0), (0, 5), (0, 10), (3, 0), (3, 10), (6, 0), (6, 5), (6, 10)]
    expected = [numbered[0, channel, row, column] for row, column in places for channel in range(3)]
    assert scoring.border_pixels(numbered)[0].tolist() == expected


PAINTED = (1322, 108.6059, 39.8069, 86.2947)  # pixels of lesion; mean and sd there, mean of the pictures


def leaves(count=3, side=96):
    row, column = np.indices((side, side)) - side / 2
    masks = np.repeat((np.hypot(row / 1.3, column) < side / 3)[None], count, 0)
    return np.where(masks[:, None], 120, 60).repeat(3, 1).astype(np.uint8), masks


def test_painted_lesions_are_known_exactly():
    images, masks = leaves()
    painted, truth = scoring.paint_lesions(images, masks, count=3, radii=(4, 7))
    assert painted.dtype == torch.uint8
    painted = painted.numpy()
    assert painted.shape == images.shape
    assert (truth <= masks).all()
    assert ((truth.sum((1, 2)) > 3 * np.pi * 9) & (truth.sum((1, 2)) < 3 * np.pi * 81)).all()
    changed = (painted != images).any(1)
    halo = np.stack([np.asarray(scoring.ndimage.binary_dilation(mask, iterations=3)) for mask in truth])
    assert (changed <= halo).all()
    assert changed[truth].mean() > 0.99
    brown = painted.transpose(0, 2, 3, 1)[truth].mean(0)
    assert brown[0] > brown[1] > brown[2]
    again = scoring.paint_lesions(torch.from_numpy(images), masks, count=3, radii=(4, 7))
    other = scoring.paint_lesions(images, masks, count=3, radii=(4, 7), seed=1)
    np.testing.assert_array_equal(again[0], painted)
    assert not np.array_equal(other[1], truth)
    assert not np.array_equal(truth[0], truth[1])
    np.testing.assert_array_equal(images, leaves()[0])


def test_lesions_are_those_that_the_conclusions_rest_on():
    """Colours, rim, waves and noise as they were when notebook 36 was judged by them: sums to five digits."""
    images, masks = leaves(2)
    painted, truth = scoring.paint_lesions(images, masks)
    values = painted.numpy()[truth[:, None].repeat(3, 1)].astype(float)
    assert truth.sum() == PAINTED[0]
    np.testing.assert_allclose([values.mean(), values.std(), painted.numpy().mean()], PAINTED[1:], rtol=1e-5)
    bright, _ = scoring.paint_lesions(np.full_like(images, 250), masks)
    assert bright.max() == 255  # a spot in bright light is clipped, not wrapped
    dark, _ = scoring.paint_lesions(np.zeros_like(images), masks)
    assert dark.max() < 60  # nor one in the dark


def test_the_rank_of_an_empty_mask_is_zero():
    found = scoring.relevance_rank(np.arange(12.0).reshape(1, 3, 4), np.zeros((1, 3, 4), bool))
    assert found.tolist() == [0]


def test_lesions_on_thin_and_missing_leaves():
    images, masks = leaves(1)
    thin = np.zeros_like(masks)
    thin[:, 40:43, 10:80] = True
    _, truth = scoring.paint_lesions(images, thin, radii=(5, 9))
    assert truth.any()
    with pytest.raises(ValueError, match="^masks: a leaf has no pixel"):
        scoring.paint_lesions(images, np.zeros_like(masks))


def test_flipping_curve_of_a_linear_score():
    """For a sum of pixels the best order is known: replace the largest patches first."""
    images = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    score = lambda x: x.sum((1, 2, 3))
    reference = torch.zeros_like(images)
    curve = scoring.flipping_curve(score, images, images.sum(1), reference, patch=5)
    blocks = images.sum(1).reshape(4, 4, 5, 4, 5).sum((2, 4)).reshape(4, -1).sort(1, descending=True).values
    falls = torch.cat([torch.zeros(4, 1), blocks.cumsum(1)], 1)
    steps = [round(share * 16) for share in np.linspace(0, 1, 11)]
    np.testing.assert_allclose(curve, score(images)[:, None] - falls[:, steps], rtol=1e-5, atol=1e-3)
    worst = scoring.flipping_curve(score, images, -images.sum(1), reference, patch=5)
    assert (curve[:, 1:-1] < worst[:, 1:-1]).all()


@pytest.mark.parametrize("form", [torch.as_tensor, np.asarray])
def test_flipping_reaches_the_reference_where_patches_do_not_fit(form):
    images, reference = torch.rand(2, 3, 17, 23), torch.rand(2, 3, 17, 23)
    last, maps = lambda x: x.flatten(1)[:, -1], np.zeros((2, 17, 23))
    curve = scoring.flipping_curve(last, form(images), maps, form(reference), 8, [0, 1])
    np.testing.assert_allclose(curve, np.stack([last(images), last(reference)], 1))
