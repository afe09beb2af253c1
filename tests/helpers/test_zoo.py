"""Every method on a zoo of small networks as people write them: equal to captum, or refused with the reason.

`python -m tests.helpers.test_zoo` prints the table that docs/practitioners.md shows; a test compares them.
"""

import copy
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from captum import attr
from torch import nn
from torch.nn import functional as F

from helpers import heatmaps, networks

DOCS = Path(__file__).parents[2] / "docs" / "practitioners.md"


class Net(nn.Module):
    """Layers by name and a forward pass as a function of (self, x)."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.run(self, x)


def added_in_place(net, x):
    x = net.first(x)
    y = net.second(F.relu(x))
    y += x
    return F.relu(y)


def attention(net, x):
    return net.second(net.first(x).flatten(2).transpose(1, 2)).mean(1)


conv = nn.Conv2d
ZOO = {
    "Conv2d, ReLU": lambda: nn.Sequential(conv(3, 4, 3), nn.ReLU(), conv(4, 4, 3), nn.ReLU()),
    "ReLU(inplace=True)": lambda: nn.Sequential(conv(3, 4, 3), nn.ReLU(True), conv(4, 4, 3), nn.ReLU(True)),
    "F.relu, F.relu_, F.max_pool2d": lambda: Net(
        lambda net, x: F.relu_(net.second(F.max_pool2d(F.relu(net.first(x)), 2))),
        first=conv(3, 4, 3), second=conv(4, 4, 3)),
    "one module used three times": lambda: Net(
        lambda net, x: F.relu(net.first(F.relu(net.first(F.relu(net.first(x)))))), first=conv(3, 3, 3)),
    "Sequential in Sequential": lambda: nn.Sequential(nn.Sequential(conv(3, 4, 3), nn.Sequential(nn.ReLU())),
                                                      nn.Sequential(conv(4, 4, 3), nn.ReLU())),
    "residual, y += x": lambda: Net(added_in_place, first=conv(3, 4, 3, padding=1),
                                    second=conv(4, 4, 3, padding=1)),
    "two branches, torch.cat": lambda: Net(
        lambda net, x: F.relu(net.third(torch.cat([F.relu(net.first(x)), F.relu(net.second(x))], 1))),
        first=conv(3, 4, 3, padding=1), second=conv(3, 4, 5, padding=2), third=conv(8, 4, 3)),
    "BatchNorm2d in training mode": lambda: nn.Sequential(
        conv(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train(),
    "padding circular, reflect, same": lambda: nn.Sequential(
        conv(3, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        conv(4, 4, 4, padding="same"), nn.ReLU(),
        conv(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()),
    "strides, dilations, groups, no bias": lambda: nn.Sequential(
        conv(3, 4, 3, 2, bias=False), nn.ReLU(), conv(4, 4, 3, dilation=2, groups=2, bias=False), nn.ReLU()),
    "GELU, SiLU, Hardswish": lambda: nn.Sequential(conv(3, 4, 3), nn.GELU(), conv(4, 4, 3), nn.SiLU(),
                                                   conv(4, 4, 3), nn.Hardswish()),
    "a linear head, frozen": lambda: nn.Sequential(
        conv(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(),
        nn.Linear(8, 3)).requires_grad_(False),
    "weight_norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(conv(3, 4, 3)), nn.ReLU()),
    "Softplus, PReLU": lambda: nn.Sequential(conv(3, 4, 3), nn.Softplus(), conv(4, 4, 3), nn.PReLU()),
    "GroupNorm, Upsample": lambda: nn.Sequential(conv(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(),
                                                 nn.Upsample(scale_factor=2), conv(4, 4, 3), nn.ReLU()),
    "gates (squeeze and excitation)": lambda: Net(
        lambda net, x: (y := F.relu(net.first(x))) * torch.sigmoid(y.mean((2, 3), keepdim=True)),
        first=conv(3, 4, 3)),
    "transformer block": lambda: Net(attention, first=conv(3, 8, 4, 4),
                                     second=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
    "x.view(x.size(0), -1)": lambda: Net(
        lambda net, x: net.third(F.relu(net.second(F.relu(net.first(x)))).view(x.size(0), -1)),
        first=conv(3, 4, 3), second=conv(4, 4, 3, 4), third=nn.Linear(4 * 25, 3)),
    "branches by value (if)": lambda: Net(
        lambda net, x: F.relu(y) if (y := net.first(x)).abs().sum() > 0 else y, first=conv(3, 4, 3)),
}


def preprocessing(images):
    return ((images.float() / 255 - 0.45) / 0.25).double()


def the_network(name):
    torch.manual_seed(3)
    network = ZOO[name]().double()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    network.preprocess = preprocessing
    return network


def out_of_place(network):
    """A copy in evaluation mode whose activations write into nothing, for captum."""
    twin = copy.deepcopy(network).eval()
    for module in twin.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return twin


def photographs():
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8, generator=generator)


def references(twin, direction, layer):
    """Method: heatmaps (n, h, w) by captum or by the method's own formula, of preprocessed images."""
    score = lambda x: twin(x.clone()).flatten(1) @ direction
    weighed = lambda name, x, **how: getattr(attr, name)(score).attribute(x, **how).sum(1)

    def slopes(x):
        return torch.autograd.grad(score(x := x.detach().requires_grad_()).sum(), x)[0]

    def smooth(x):
        generator, total = torch.Generator().manual_seed(0), 0
        spread = 0.15 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3))).view(-1, 1, 1, 1)
        for _ in range(3):
            total = total + slopes(x + spread * torch.randn(x.shape, generator=generator).to(x))
        return (total / 3).square().sum(1)

    def cam(x):
        maps = attr.LayerGradCam(score, layer).attribute(x.requires_grad_(), relu_attributions=True)
        return F.interpolate(maps, x.shape[2:], mode="bilinear")[:, 0]

    squares = {"sliding_window_shapes": (3, 8, 8), "strides": (3, 8, 8), "baselines": 0.0}
    return {"gradient": lambda x: slopes(x).square().sum(1), "SmoothGrad": smooth, "Grad-CAM": cam,
            "gradient x input": partial(weighed, "InputXGradient"),
            "occlusion": lambda x: attr.Occlusion(score).attribute(x, **squares)[:, 0],
            "integrated gradients": partial(weighed, "IntegratedGradients", baselines=0.0, n_steps=6,
                                            method="gausslegendre")}


OURS = {"gradient": heatmaps.sensitivity, "gradient x input": heatmaps.gradient_times_input,
        "SmoothGrad": partial(heatmaps.smooth_grad, samples=3),
        "occlusion": partial(heatmaps.occlusion, patch=8),
        "integrated gradients": partial(heatmaps.integrated_gradients, steps=6),
        "Grad-CAM": heatmaps.grad_cam, "LRP-gamma": heatmaps.relevance}


def refusal(error):
    """What a refusal names, in few words."""
    found = re.match(r"network.* no rule for (.*?);|layer.* (works \d times)|network.*(cannot be traced)",
                     str(error))
    return next(part for part in found.groups() if part)


def outcomes(name):
    """Method: "=" where it equals the reference, else what it is refused for; asserts everything else."""
    network, x = the_network(name), photographs()
    twin = out_of_place(network)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    layer = [key for key, module in network.named_modules() if isinstance(module, conv)][-1]
    network.get_submodule(layer).register_forward_hook(lambda *_: None)
    width = twin(preprocessing(x)).flatten(1).shape[1]
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=width))
    before, found = state(network), {}
    expected = references(twin, direction, twin.get_submodule(layer))
    for method, function in OURS.items():
        how = {"layer": layer} if method == "Grad-CAM" else {}
        try:
            heatmap = function(network, direction, x, **how)
        except ValueError as error:
            found[method] = refusal(error)
            continue
        found[method] = "="
        if method in expected:
            reference = expected[method](preprocessing(x)).detach().to(heatmap)
            torch.testing.assert_close(heatmap, reference, rtol=1e-5, atol=1e-6)
        else:  # test_lrp compares gamma with zennit; here the copy is tried
            assert heatmap.isfinite().all()
            plain = function(network, direction, x, gamma=0.0)
            product = expected["gradient x input"](preprocessing(x)).detach()
            assert torch.allclose(plain, product.to(plain), atol=1e-6) != ("GELU" in name)
    after = state(network)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]
               for key, value in before.items())
    return found


def state(network):
    """Everything of a network that an explanation must leave alone."""
    kept = {f"value {key}": value.clone() for key, value in network.state_dict().items()}
    for key, module in network.named_modules():
        kept[f"part {key}"] = (type(module), module.training, getattr(module, "inplace", None),
                               list(module._forward_hooks), list(module._backward_hooks))
    for key, value in network.named_parameters():
        kept[f"frozen {key}"] = value.requires_grad
        kept[f"gradient {key}"] = None if value.grad is None else value.grad.clone()
    return kept


def row(name):
    found = outcomes(name)
    cells = [found[method] for method in OURS]
    return f"| {name} | {' | '.join(cells)} |"


@pytest.mark.filterwarnings("ignore:gamma. reaches no layer", "ignore:Setting .* hooks")
@pytest.mark.parametrize("name", ZOO)
def test_every_method_is_equal_to_its_reference_or_refused_as_the_table_says(name):
    assert row(name) in DOCS.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Net(lambda net, x: (net.first(x), 1), first=conv(3, 4, 3)), "a tuple, not one tensor; wrap it"),
    (lambda: Net(lambda net, x: {"out": net.first(x)}, first=conv(3, 4, 3)), "a dict, not one tensor"),
    (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), "0.weight has no values yet; run the network once"),
])
def test_what_is_no_network_of_one_output_is_one_line(make, says):
    network = make()
    network.preprocess = preprocessing
    for call in (lambda: networks.features(network, photographs(), cache=False),
                 lambda: heatmaps.sensitivity(network, [1.0], photographs())):
        with pytest.raises(ValueError, match=says):
            call()


def test_weights_that_are_computed_at_each_pass_cannot_be_copied():
    network = nn.Sequential(nn.utils.spectral_norm(conv(3, 4, 3)), nn.ReLU())
    network(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="^network: no copy .*remove_spectral_norm"):
        heatmaps.relevance(network, torch.ones(144), torch.zeros(1, 3, 8, 8))


def test_a_preprocessing_that_cuts_is_refused_for_heatmaps_not_for_features():
    network = the_network("Conv2d, ReLU")
    network.preprocess = lambda images: preprocessing(images)[..., 2:-2, 2:-2]
    assert networks.features(network, photographs(), cache=False).shape == (2, 4 * 16 * 16)
    with pytest.raises(ValueError, match=r"makes \(20, 20\) pixels of \(24, 24\); cut images"):
        heatmaps.sensitivity(network, torch.ones(1024).double(), photographs())


def test_features_of_a_layer_with_an_activation_in_place_behind_it():
    network = the_network("ReLU(inplace=True)").eval()
    found = networks.features(network, photographs(), cache=False, layer="0")
    expected = network[0](preprocessing(photographs())).flatten(1)
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-5, atol=1e-6)
    again = the_network("one module used three times")
    with pytest.raises(ValueError, match="layer: 'first' works 3 times in one pass; give one"):
        networks.features(again, photographs(), cache=False, layer="first")


def test_a_compiled_network_is_explained_but_by_what_needs_its_parts():
    network, direction = the_network("Conv2d, ReLU").eval(), torch.ones(4 * 20 * 20).double()
    compiled, x = torch.compile(network, backend="eager"), preprocessing(photographs())
    for method in ("gradient", "SmoothGrad", "occlusion", "integrated gradients"):
        torch.testing.assert_close(*(OURS[method](each, direction, x) for each in (compiled, network)))
    with pytest.raises(ValueError, match="'_orig_mod.2' works 0 times in one pass"):
        heatmaps.grad_cam(compiled, direction, x, layer="_orig_mod.2")
    with pytest.raises(ValueError, match="^network: its forward pass cannot be traced"):
        heatmaps.relevance(compiled, direction, x)


if __name__ == "__main__":
    head = f"| network | {' | '.join(OURS)} |"
    print("\n".join([head, "| --- |" + " --- |" * len(OURS), *map(row, ZOO)]))
