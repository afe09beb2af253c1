"""Networks and preprocessing that do not fit the images: one line, not a result for other images."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from helpers import files, heatmaps, networks
from tests.helpers.test_own_networks import FUNCTIONS, direction_for, own, plain
from tests.helpers.test_zoo import photographs, preprocessing


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")


def preprocessed_by(preprocess):
    network = own(plain)
    network.preprocess = preprocess
    return network


class Two(nn.Module):
    def forward(self, x, y):
        return x + y


UNFIT = {
    "order": (lambda: own(lambda net, x: net.first(x).transpose(0, 1)), "network: it gives .* for 3 images"),
    "parts": (lambda: own(lambda net, x: net.first(x.reshape(-1, 3, 12, 12))), "network: it gives .* for 3"),
    "scalar": (lambda: own(lambda net, x: net.first(x).sum()), r"network: it gives \(\) for 3 images"),
    "first image": (lambda: preprocessed_by(lambda x: x[:1].double()), "network: its preprocessing mak"),
    "uint8": (lambda: preprocessed_by(lambda x: 2 * x), "network: its preprocessing gives Tensor of"),
    "array": (lambda: preprocessed_by(lambda x: x.numpy() / 255), "network: its preprocessing gives ndarray"),
    "NaN": (lambda: preprocessed_by(lambda x: x / 0.0), "network: its preprocessing makes some NaN"),
    "two inputs": (Two, "network: its forward pass needs x and y; wrap it"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNFIT)
def test_what_does_not_fit_the_images_is_refused(kind):
    make, says = UNFIT[kind]
    network = make()
    network.preprocess = getattr(network, "preprocess", preprocessing)
    calls = [heatmaps.scores, heatmaps.sensitivity, lambda network, _, x: networks.features(network, x)]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{says}"):
            call(network, np.ones(4), photographs()[:1].repeat(3, 1, 1, 1))


def test_a_layer_that_does_not_give_one_row_for_each_image_is_refused():
    network = own(lambda net, x: plain(net, net.fold(x).reshape(x.shape)), fold=nn.Flatten(0, 1))
    x, direction = photographs(), direction_for(own(plain))
    with pytest.raises(ValueError, match=r"^layer: 'fold' gives \(\d+, 24, 24\) for \d images; allowed"):
        networks.features(network, x, layer="fold")
    parts = own(lambda net, x: plain(net, net.first(x.reshape(-1, 3, 12, 12)).mean() + x))
    with pytest.raises(ValueError, match="^layer: 'first' (gives|works)"):
        heatmaps.grad_cam(parts, direction, x, layer="first")


def test_one_number_for_each_image_is_a_feature():
    network, x = own(lambda net, x: net.first(x).sum((1, 2, 3))), photographs()
    torch.testing.assert_close(heatmaps.scores(network, [2.0], x), 2 * network(preprocessing(x)))


def test_pixels_to_put_in_may_be_numbers_lists_arrays_or_a_picture():
    network, x = own(plain), photographs()
    for name, function in (("baseline", FUNCTIONS["integrated"]), ("fill", FUNCTIONS["occlusion"])):
        call = lambda value, name=name, function=function: function(
            network, direction_for(network), x, **{name: value})
        expected = call(0.25)
        for value in (np.full((3, 1, 1), 0.25), [[[0.25]]] * 3, torch.full((1, 3, 24, 24), 0.25)):
            torch.testing.assert_close(call(value), expected)


def test_half_precision_is_summed_in_single():
    network, x = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8)).half(), torch.full((2, 3, 8, 8), 100.0)
    network[1].weight.data.fill_(2.0)
    for function in (heatmaps.scores, partial(heatmaps.occlusion, patch=4)):
        found = function(network, np.ones(8), x)  # 8 * 38,400 is above the largest half
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, function(network.float(), np.ones(8), x), rtol=1e-3, atol=1.0)
        network.half()
