"""Sparseness, max-sensitivity and refilling against Quantus and against definitions written out in loops.

The numbers named QUANTUS were computed once by Quantus 0.6.0 (Hedström et al., arXiv:2202.06861) on the
arrays below: Sparseness, MaxSensitivity (nr_samples=4, our maps as explanations), noisy_linear_imputation
(noise=0), RelevanceRankAccuracy and RelevanceMassAccuracy. Quantus is no dependency of the course.
"""

import numpy as np
import pytest
import torch

from helpers import faithfulness, scoring

MAPS = np.sin(np.arange(240.0) ** 2).reshape(3, 8, 10) ** 3
OTHERS = MAPS + 0.3 * np.cos(np.arange(960.0) ** 2 / 7).reshape(4, 3, 8, 10)
IMAGE = np.cos(np.arange(160.0) ** 2 / 3).reshape(1, 2, 8, 10)
HOLE = (np.sin(np.arange(80.0) ** 2 / 5) > 0.2).reshape(1, 8, 10)
MASKS = (np.cos(np.arange(240.0) ** 2 / 9) > 0.7).reshape(3, 8, 10)
QUANTUS = {
    "sparseness": [0.487271, 0.474723, 0.467303],
    "max-sensitivity": [0.365781, 0.381645, 0.41464],
    "refilled, first four": [[0.033979, 0.164749, -0.353434, -0.325314],
                             [0.501158, 0.200794, -0.280816, -0.047855]],
    "refilled, sum": [0.947011, -3.447447],
    "refilled, sum of squares": [4.515795, 2.627395],
    "rank": [0.210526, 0.217391, 0.176471],
    "mass": [0.192402, 0.2191, 0.239803],
}  # fmt: skip


def test_metrics_equal_quantus():
    near = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(faithfulness.sparseness(MAPS), QUANTUS["sparseness"], **near)
    np.testing.assert_allclose(faithfulness.max_sensitivity(MAPS, OTHERS), QUANTUS["max-sensitivity"], **near)
    filled = faithfulness.refilled(torch.from_numpy(IMAGE), HOLE).numpy()[0][:, HOLE[0]]
    np.testing.assert_allclose(filled[:, :4], QUANTUS["refilled, first four"], **near)
    np.testing.assert_allclose(filled.sum(1), QUANTUS["refilled, sum"], **near)
    np.testing.assert_allclose((filled**2).sum(1), QUANTUS["refilled, sum of squares"], **near)
    positive = np.maximum(MAPS, 0)
    np.testing.assert_allclose(scoring.relevance_rank(positive, MASKS), QUANTUS["rank"], **near)
    np.testing.assert_allclose(scoring.relevance_mass(positive, MASKS), QUANTUS["mass"], **near)


def test_sparseness_by_pairs_and_at_its_ends():
    """The Gini index is half the mean difference of two draws, divided by the mean."""
    sizes = np.abs(MAPS[0]).ravel()
    pairs = np.abs(sizes[:, None] - sizes).mean() / 2 / sizes.mean()
    assert faithfulness.sparseness(MAPS[:1])[0] == pytest.approx(pairs)
    one = np.zeros((1, 4, 5))
    one[0, 2, 3] = -7
    found = [faithfulness.sparseness(maps)[0] for maps in (np.ones((1, 4, 5)), one, 0 * one)]
    np.testing.assert_allclose(found, [0, 0.95, 0], atol=1e-12)
    np.testing.assert_allclose(faithfulness.sparseness(1e-6 * MAPS), faithfulness.sparseness(MAPS))


def test_max_sensitivity_takes_the_largest_draw_of_each_map():
    length = lambda values: np.sqrt((values**2).sum())
    expected = [max(length(other[k] - MAPS[k]) for other in OTHERS) / length(MAPS[k]) for k in range(3)]
    np.testing.assert_allclose(faithfulness.max_sensitivity(MAPS, OTHERS), expected)
    with pytest.raises(ValueError, match="^others: shape "):
        faithfulness.max_sensitivity(MAPS, OTHERS[0])
    with pytest.raises(ValueError, match="^heatmaps: one is zero"):
        faithfulness.max_sensitivity(np.zeros((1, 2, 2)), np.ones((1, 1, 2, 2)))


def test_refilled_keeps_planes_leaves_the_rest_and_adds_noise_inside_only():
    rows, columns = np.indices((40, 50))
    plane = torch.from_numpy((2.0 * rows - columns + 3)[None, None])
    hole = np.zeros((1, 40, 50), bool)
    hole[0, 3:36, 4:48] = True
    np.testing.assert_allclose(faithfulness.refilled(plane, hole), plane, atol=1e-9)
    noisy = faithfulness.refilled(plane, hole, noise=1.0, seed=3) - plane
    assert not noisy[0, 0][~hole[0]].any()
    assert noisy[0, 0][hole[0]].std() == pytest.approx(1, abs=0.1)
    assert torch.equal(faithfulness.refilled(plane, ~hole & hole), plane)


@pytest.mark.parametrize(("holes", "message"), [
    (np.ones((1, 9, 9), bool), "^holes: one covers the whole image"),
    (np.zeros((1, 8, 9), bool), "^holes: shape "),
])  # fmt: skip
def test_refilled_refuses(holes, message):
    with pytest.raises(ValueError, match=message):
        faithfulness.refilled(torch.zeros(1, 3, 9, 9), holes)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: faithfulness.sparseness(MAPS[0]), r"^heatmaps: shape \(8, 10\) is not allowed; give numbers"),
    (lambda: faithfulness.sparseness(np.where(MAPS > 0, MAPS, np.nan)), "^heatmaps: value nan at "),
    (lambda: faithfulness.sparseness(np.ma.masked_less(MAPS, 0)), "^heatmaps: [0-9]+ values are masked"),
    (lambda: faithfulness.max_sensitivity(MAPS, OTHERS * np.nan), "^others: value nan at "),
    (lambda: faithfulness.max_sensitivity(MAPS, OTHERS[:0]), r"^others: shape \(0, 3, 8, 10\)"),
    (lambda: faithfulness.refilled(torch.zeros(1, 3, 8, 10).byte(), HOLE), "^images: torch.uint8 is not all"),
    (lambda: faithfulness.refilled(torch.from_numpy(IMAGE / 0), HOLE), "^images: NaN or infinity around"),
    (lambda: faithfulness.refilled(torch.from_numpy(IMAGE), HOLE, -1), "^noise: -1 is not allowed; give a"),
])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_maps_and_images_that_say_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
