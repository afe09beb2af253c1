"""helpers.anomalies and helpers.faithfulness: counts, seeds and generators that are none, in one line."""

import numpy as np
import pytest
import torch

from helpers import anomalies, faithfulness

X = np.random.default_rng(0).normal(size=(30, 2))
RNG = np.random.default_rng(0)
HOLE = np.eye(8, dtype=bool)[None]


@pytest.mark.parametrize(("call", "says"), [
    (lambda: anomalies.plant_anomalies(X, "global", 0), "^rng: 0 is not allowed; give a generator, such"),
    (lambda: anomalies.one_group_copy(X, 0), "^rng: 0 is not allowed; give a generator"),
    (lambda: anomalies.plant_anomalies(X, "global", RNG, 2.5), "^count: 2.5 is not allowed; allowed are 1"),
    (lambda: anomalies.plant_anomalies(X, "global", RNG, "2"), "^count: '2' is not allowed"),
    (lambda: anomalies.plant_anomalies(X, "global", RNG, 30), "^count: 30 is not allowed"),
    (lambda: anomalies.resampled_scores(X, 1.0, 0), "^resamples: 0 is not allowed; give a whole number"),
    (lambda: anomalies.resampled_scores(X, 1.0, -1), "^resamples: -1 is not allowed"),
    (lambda: anomalies.resampled_scores(X, 1.0, 1.5), "^resamples: 1.5 is not allowed"),
    (lambda: anomalies.resampled_scores(X, 1.0, seed=-1), "^seed: -1 is not allowed; give a whole number"),
    (lambda: faithfulness.refilled(torch.rand(1, 3, 8, 8), HOLE, seed=-1), "^seed: -1 is not allowed"),
])
def test_counts_seeds_and_generators_are_checked(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_heatmaps_may_require_a_gradient():
    heatmaps = torch.rand(2, 4, 4, requires_grad=True)
    expected = faithfulness.sparseness(heatmaps.detach())
    np.testing.assert_array_equal(faithfulness.sparseness(heatmaps), expected)
