"""Rules that change with depth, gamma and epsilon, against their formulas written out layer by layer."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import heatmaps, lrp


def by_formula(layers, x, direction, settings):
    """R_i = sum_j a_i w_up_ij / (z_up_j + epsilon rms(z)) R_j through dense layers with ReLU."""
    activations = [x]
    for layer in layers:
        z = layer.weight.detach().numpy() @ activations[-1] + layer.bias.detach().numpy()
        activations.append(np.maximum(z, 0))
    upper = direction * activations[-1]
    for layer, a, (gamma, epsilon) in reversed(list(zip(layers, activations, settings, strict=False))):
        w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        z = w @ a + b
        w_up, b_up = w + gamma * np.maximum(w, 0), b + gamma * np.maximum(b, 0)
        z_up = w_up @ a + b_up + epsilon * np.sqrt((z**2).mean())
        upper = a * (w_up.T @ np.where(z > 0, upper / z_up, 0))
    return upper


@pytest.mark.parametrize("seed", range(4))
def test_a_composite_equals_its_formula(seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layers = [nn.Linear(12, 9), nn.Linear(9, 8), nn.Linear(8, 7), nn.Linear(7, 5)]
    network = nn.Sequential(nn.Flatten(), *(part for layer in layers for part in (layer, nn.ReLU()))).double()
    gamma, epsilon = (lambda depth: 0.4 if depth < 0.5 else 0.0), (lambda depth: 0.3 if depth > 0.2 else 0.0)
    x, direction = rng.random(12), rng.normal(size=5)
    settings = [(0, 0), *((gamma(depth), epsilon(depth)) for depth in (1 / 3, 2 / 3, 1))]  # first: LRP-0
    image = torch.from_numpy(x).view(1, 3, 2, 2)
    found = heatmaps.relevance(network, direction, image, gamma=gamma, epsilon=epsilon)
    expected = by_formula(layers, x, direction, settings).reshape(3, 2, 2).sum(0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-9, atol=1e-12)
    clone = lrp.biased(network, gamma, epsilon)
    assert torch.equal(clone(image), network(image))


def test_epsilon_belongs_to_each_image_and_leaves_less():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU())
    images = torch.rand(3, 3, 9, 9)
    direction = torch.ones(5 * 25)
    together = heatmaps.relevance(network, direction, images, epsilon=0.5)
    alone = torch.stack([heatmaps.relevance(network, direction, image, epsilon=0.5) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("given", "message"), [
    ({"epsilon": -1.0}, "^epsilon: -1.0 is not allowed"),
    ({"gamma": float("nan")}, "^gamma: nan is not allowed"),
    ({"epsilon": lambda depth: float("inf")}, "^epsilon: inf is not allowed"),
])  # fmt: skip
def test_other_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        lrp.biased(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()), **given)
