"""helpers.scoring: the draws of a bootstrap are those of a weighted library function."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from helpers import scoring


def test_the_draws_of_an_interval_are_scikit_learns_areas_of_weighted_rows():
    """Draw by draw, with ties within and between the classes: what is drawn k times weighs k."""
    rng = np.random.default_rng(6)
    labels, groups = rng.random(70) < 0.4, rng.integers(0, 25, 70)
    one, other = rng.integers(0, 6, 70) + labels, rng.integers(0, 9, 70)
    drawn, times = np.random.default_rng(8), np.empty((40, 70), int)
    for side in (labels, ~labels):
        names, member = np.unique(groups[side], return_inverse=True)
        times[:, side] = drawn.multinomial(len(names), np.full(len(names), 1 / len(names)), 40)[:, member]
    areas = np.array([[roc_auc_score(labels, scores, sample_weight=weights) for weights in times]
                      for scores in (one, other)])
    interval = scoring.auc_interval(one, labels, groups, draws=40, level=0.8, seed=8)
    np.testing.assert_allclose(interval[1:], np.quantile(areas[0], [0.1, 0.9]), rtol=1e-12)
    apart = scoring.auc_difference(one, other, labels, groups, draws=40, level=0.8, seed=8)
    np.testing.assert_allclose(apart[1:], np.quantile(areas[0] - areas[1], [0.1, 0.9]), rtol=1e-12)
    assert apart[0] == pytest.approx(roc_auc_score(labels, one) - roc_auc_score(labels, other))
