"""Torchvision's networks: explained or refused by name, and their features."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from helpers import heatmaps, lrp, networks
from tests.helpers.test_lrp import FUNCTIONS

GAMMA = {"resnet18": 8, "resnet50": 32, "vgg16_bn": 14, "alexnet": 6, "mobilenet_v2": 34, "densenet121": 58,
         "googlenet": 56}  # how many layers the gamma rule reaches
REFUSED = {"mobilenet_v3_small": "Hardsigmoid", "efficientnet_b0": "Sigmoid", "convnext_tiny": "LayerNorm",
           "vit_b_16": "LayerNorm|traced"}


@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet")
@pytest.mark.parametrize("name", [*GAMMA, *REFUSED])
def test_torchvision_networks_are_explained_or_refused_by_name(name):
    torch.manual_seed(0)
    network, side = networks.load_network(name, weights=None), {"vit_b_16": 224, "alexnet": 64}.get(name, 32)
    network = network if name == "vgg16_bn" else network.double()  # 138 million weights: exact to 1e-4 only
    raw = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)
    mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (raw / 255 - mean.view(3, 1, 1)) / sd.view(3, 1, 1)
    torch.testing.assert_close(networks.preprocessing_of(network)(raw), expected)
    x = expected.to(next(network.parameters())).requires_grad_()
    score, direction = network(x)[0, 3], F.one_hot(torch.tensor(3), 1000)
    product = (x * torch.autograd.grad(score, x)[0]).sum(1).detach()
    small = 1e-4 * product.abs().max().item()
    torch.testing.assert_close(heatmaps.scores(network, direction, raw), score[None], rtol=1e-4, atol=1e-6)
    found = heatmaps.gradient_times_input(network, direction, raw)
    torch.testing.assert_close(found, product, rtol=1e-4, atol=small)
    if name in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name]):
            heatmaps.relevance(network, direction, raw)
        return
    chosen = lrp.rules(network)
    assert sum(rule.startswith("gamma") for rule in chosen.values()) == GAMMA[name], chosen
    plain, gamma = (heatmaps.relevance(network, direction, raw, value) for value in (0.0, 0.5))
    torch.testing.assert_close(plain, product, rtol=1e-2, atol=small)
    assert (gamma - plain).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("name", ["smooth_grad", "integrated_gradients", "occlusion", "grad_cam"])
def test_torchvisions_own_network_with_its_activations_in_place(name):
    torch.manual_seed(0)
    network = models.resnet18(weights=None).train()
    layer, direction = "layer1.0.conv1", torch.randn(1000)
    function = FUNCTIONS[name] if name != "grad_cam" else lambda *a: heatmaps.grad_cam(*a, layer=layer)
    x = torch.randn(1, 3, 32, 32)
    plain = networks.load_network("resnet18", weights=None)
    plain.load_state_dict(network.state_dict())
    found, expected = (function(each, direction, x) for each in (network, plain))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    assert network.training
    assert network.bn1.num_batches_tracked == 0


def test_features_of_any_layer_are_what_the_layer_gives():
    network = networks.load_network("resnet18", weights=None)
    x, kept = torch.randn(3, 3, 64, 64), []
    with torch.no_grad():
        hook = network.layer2[1].conv1.register_forward_hook(lambda _, inputs, output: kept.append(output))
        network(x)
        hook.remove()
    found = networks.features(network, x, batch=2, cache=False, layer="layer2.1.conv1")
    torch.testing.assert_close(torch.from_numpy(found), kept[0].flatten(1), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="^layer: 'layer2.1.conv' is not known; .* such as 'layer2.1.conv"):
        networks.features(network, x, layer="layer2.1.conv", cache=False)


def test_an_unknown_preprocessing_is_refused_with_what_to_do():
    network, raw = nn.Sequential(nn.Conv2d(3, 2, 3)), torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    with pytest.raises(ValueError, match="^network: its preprocessing is not known; set network.preprocess"):
        networks.features(network, raw)
    with pytest.raises(ValueError, match="^network: its preprocessing is not known; set network.preprocess"):
        heatmaps.scores(network, torch.ones(2), raw)
    head = nn.Sequential(networks.load_network("squeezenet1_1", None)[:3], nn.Conv2d(64, 1, 1))
    assert networks.preprocessing_of(head) is networks.preprocess  # a part of a known network knows it
