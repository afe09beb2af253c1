"""LRP-gamma on networks of any make, against zennit and closed forms; and torchvision's own networks."""

import copy

import pytest
import torch
import zennit.canonizers
import zennit.core
import zennit.rules
from torch import nn
from torch.nn import functional as F

from helpers import heatmaps, lrp, networks
from helpers.lrp import Biased, Passing, biased

ACTIVATIONS = [lambda: nn.ReLU(inplace=True), nn.ReLU, nn.ReLU6, lambda: nn.LeakyReLU(0.1, inplace=True),
               nn.SiLU, nn.GELU, nn.ELU, nn.Hardswish, nn.Tanh]


def exact(z):
    """No stabilisation but where the sum is exactly zero."""
    return z + (z == 0)


def random_network(seed, eps=1e-12):
    """Two to four convolutions of any stride, padding, dilation and groups, with or without normalisation.

    eps is nearly 0 where zennit compares, since its merging of a normalisation forgets it.
    """
    torch.manual_seed(seed)
    pick = lambda options: options[int(torch.randint(len(options), ()))]
    layers, channels = [], 3
    for depth in range(pick([2, 3, 4])):
        mode, out = pick(["zeros", "reflect", "circular", "replicate"]), pick([4, 6, 8])
        padding, stride = pick([(0, 1), (1, 1), (1, 2), ("same", 1)])
        groups = 2 if channels % 2 == 0 and depth and pick([0, 1]) else 1
        dilation, bias = pick([1, 1, 2]), pick([True, False])
        layers.append(nn.Conv2d(channels, out, 3, stride, padding, dilation, groups, bias, mode))
        if pick([0, 1]):
            layers.append(norm := nn.BatchNorm2d(out, eps))
            norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        layers += [pick(ACTIVATIONS)()] if depth < 3 or pick([0, 1]) else []
        layers += pick([[], [], [nn.Dropout(0.5)], [nn.AvgPool2d(2, 1)], [nn.MaxPool2d(2, 1)]])
        channels = out
    if pick([0, 1]):
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 5)]
    return nn.Sequential(*layers).double().eval()


def images(side=20, count=2):
    generator = torch.Generator().manual_seed(5)
    return 3 * torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)


def direction_for(network, x):
    width = copy.deepcopy(network).eval()(x[:1].clone()).numel()
    return torch.randn(width, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def by_zennit(network, direction, x, gamma):
    """The same rules, by zennit: gamma in front of an activation, the plain gradient elsewhere."""
    chosen = lrp.rules(network)
    network = copy.deepcopy(network)
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False

    def rule(context, name, module):
        if name in chosen:
            gamma_rule = chosen[name].startswith("gamma")
            return zennit.rules.Gamma(gamma, exact) if gamma_rule else zennit.rules.Epsilon(exact)
        if isinstance(module, (nn.AvgPool2d, nn.AdaptiveAvgPool2d)):
            return zennit.rules.Epsilon(exact)
        plain = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.ELU, nn.Hardswish, nn.Tanh)
        return zennit.rules.Pass() if isinstance(module, (*plain, nn.BatchNorm2d)) else None

    composite = zennit.core.Composite(rule, [zennit.canonizers.SequentialMergeBatchNorm()])
    with composite.context(network) as modified:
        x = x.clone().requires_grad_()
        phi = modified(x)
        return torch.autograd.grad(phi, x, phi.detach() * direction.view(phi.shape[1:]))[0].sum(1)


@pytest.mark.parametrize("seed", range(24))
def test_relevance_of_random_networks_equals_zennit(seed):
    network, x = random_network(seed), images()
    direction = direction_for(network, x)
    for gamma in (0.0, 0.5):
        expected = by_zennit(network, direction, x, gamma)
        found = heatmaps.relevance(network, direction, x, gamma)
        assert (found - expected).abs().max() <= 1e-7 * expected.abs().max(), network


@pytest.mark.parametrize("seed", range(12))
def test_the_forward_pass_of_the_copy_is_unchanged(seed):
    network, x = random_network(seed, eps=1e-3), images()
    with torch.no_grad():
        torch.testing.assert_close(biased(network, 0.7)(x.clone()), network(x.clone()), rtol=1e-9, atol=1e-9)


FUNCTIONS = {
    "scores": heatmaps.scores, "sensitivity": heatmaps.sensitivity,
    "gradient_times_input": heatmaps.gradient_times_input,
    "smooth_grad": lambda *a: heatmaps.smooth_grad(*a, samples=3),
    "integrated_gradients": lambda *a: heatmaps.integrated_gradients(*a, steps=3),
    "occlusion": lambda *a: heatmaps.occlusion(*a, patch=10),
    "grad_cam": lambda *a: heatmaps.grad_cam(*a, layer="0"),
    "relevance": heatmaps.relevance,
    "features": lambda network, direction, x: networks.features(network, x, cache=False),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_users_network_is_left_as_it_was(name):
    relu = lambda: nn.ReLU(inplace=True)
    network = nn.Sequential(relu(), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), relu(), nn.Dropout(0.5),
                            nn.Conv2d(6, 4, 3), relu()).double()
    x, calls = images(), []
    direction = direction_for(network, x)
    network.train()
    network[2].eval()  # a mixture of modes, as in fine-tuning
    network[1].register_forward_hook(lambda *_: calls.append(1))
    hooks = dict(network[1]._forward_hooks)
    modes = [module.training for module in network.modules()]
    state = copy.deepcopy(network.state_dict())
    kept = x.clone()
    first, again = (FUNCTIONS[name](network, direction, x) for _ in range(2))
    torch.testing.assert_close(torch.as_tensor(first), torch.as_tensor(again), rtol=0, atol=0)
    if name != "smooth_grad":  # whose noise is drawn for the batch
        alone = FUNCTIONS[name](network, direction, x[1:])
        torch.testing.assert_close(torch.as_tensor(first)[1:], torch.as_tensor(alone))  # images do not mix
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all(network[place].inplace for place in (0, 3, 6))
    assert network[1]._forward_hooks == hooks
    assert torch.equal(x, kept)  # nor are the images, although the first layer works in place


def test_the_mode_comes_back_after_an_error():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout()).double().train()
    with pytest.raises(ValueError, match="^direction"):
        heatmaps.scores(network, torch.ones(3), images())
    assert network[1].training


class Functional(nn.Module):
    """The same residual block in functions that work in place, one convolution used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.twice = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.first(x), inplace=True)
        y = F.relu(self.twice(x), inplace=True)
        y = self.twice(y).relu_()
        y += x
        return F.silu(self.twice(y), inplace=True).mean((2, 3))


class Modules(nn.Module):
    """What Functional computes, from modules of its own that keep what they are given."""

    def __init__(self, other):
        super().__init__()
        self.first = copy.deepcopy(other.first)
        self.a, self.b, self.c = (copy.deepcopy(other.twice) for _ in range(3))
        self.relu, self.silu = nn.ReLU(), nn.SiLU()

    def forward(self, x):
        x = self.relu(self.first(x))
        return self.silu(self.c(self.relu(self.b(self.relu(self.a(x)))) + x)).mean((2, 3))


def test_functions_in_place_and_a_module_used_twice_are_as_good_as_modules():
    torch.manual_seed(0)
    network, x = Functional().double(), images()
    plain, direction = Modules(network).double(), direction_for(network, x)
    for gamma in (0.0, 0.5):
        torch.testing.assert_close(heatmaps.relevance(network, direction, x, gamma),
                                   heatmaps.relevance(plain, direction, x, gamma))
    assert not torch.allclose(heatmaps.relevance(network, direction, x, 0.0),
                              heatmaps.relevance(network, direction, x, 0.5))
    kinds = [type(module) for module in biased(network).modules()]
    assert (kinds.count(Biased), kinds.count(Passing)) == (3, 1)
    expected = ["LRP-0: reads the pixels", "gamma", "gamma", "gamma, both signs"]
    assert list(lrp.rules(plain).values()) == expected


class Sums(nn.Module):
    """A convolution whose inputs are positive but for what is added to them, and halved."""

    def __init__(self, shift):
        super().__init__()
        self.first, self.second, self.shift = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), shift

    def forward(self, x):
        return torch.relu(self.second((torch.relu(self.first(x)) + self.shift) * 0.5))


def test_a_number_that_is_added_may_make_inputs_negative():
    torch.manual_seed(0)
    network, x = Sums(-1.0).double(), images()
    layer = next(module for module in biased(network, 1.0).modules() if isinstance(module, Biased))
    assert layer.down is not None
    direction = direction_for(network, x)
    a = ((torch.relu(network.first(x)) - 1) * 0.5).detach()
    weight = network.second.weight
    up, down = weight + weight.clamp(min=0), weight + weight.clamp(max=0)
    bias = network.second.bias + network.second.bias.clamp(min=0)
    z, z_up = network.second(a), F.conv2d(a.clamp(min=0), up, bias) + F.conv2d(a.clamp(max=0), down)
    upper = torch.relu(z) / z_up * direction.view(1, 4, 16, 16)
    slope = torch.where(a > 0, F.conv_transpose2d(upper, up), F.conv_transpose2d(upper, down)).detach() * 0.5
    point = x.clone().requires_grad_()
    gradient = torch.autograd.grad((torch.relu(network.first(point)) * slope).sum(), point)[0]
    torch.testing.assert_close(heatmaps.relevance(network, direction, x, 1.0), (x * gradient).sum(1).detach())


class Plain(nn.Module):
    """`before`, then two convolutions."""

    def __init__(self, before):
        super().__init__()
        self.before, self.a, self.b = before, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return torch.relu(self.b(torch.relu(self.a(self.before(x)))))


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


@pytest.mark.parametrize("before", [
    nn.Identity(), nn.Dropout(0.5), nn.BatchNorm2d(3), nn.Sequential(nn.Identity(), nn.ZeroPad2d(1)),
    Called(lambda x: (x - 0.5) / 0.25), Called(lambda x: x.view(x.size(0), 3, 18, 18)), nn.AvgPool2d(2),
])  # fmt: skip
def test_what_comes_before_the_first_layer_does_not_change_that_it_reads_the_pixels(before):
    assert list(lrp.rules(Plain(before).eval()).values()) == ["LRP-0: reads the pixels", "gamma"]
    torch.manual_seed(0)
    network, x = Plain(nn.Identity()).double(), images()
    bare = nn.Sequential(network.a, nn.ReLU(), network.b, nn.ReLU())
    torch.testing.assert_close(heatmaps.relevance(network, direction := direction_for(network, x), x, 0.5),
                               heatmaps.relevance(bare, direction, x, 0.5))


class Gated(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


def test_the_product_of_two_maps_is_refused_and_a_copy_stays_what_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Gated()).double()
    with pytest.raises(ValueError, match=r"relevance has no rule for mul \(1\)"):
        heatmaps.relevance(network, torch.ones(4 * 18 * 18), images())
    plain = biased(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3), nn.SiLU()).eval())
    assert isinstance(plain, nn.Sequential)  # modules alone need no new graph, and can still be indexed
    assert isinstance(plain[2], Biased)


def test_no_relevance_passes_an_activation_at_zero():
    z = torch.tensor([0.0, 2.0, -1.0], requires_grad=True)
    Passing(nn.SiLU())(z).sum().backward()
    assert z.grad.tolist() == pytest.approx([0, 1 / (1 + 2.718282**-2), 1 / (1 + 2.718282)], rel=1e-5)


def test_half_precision_stays_finite_and_close():
    network, x = random_network(2), 40 * images()
    direction = direction_for(network, x)
    for name in ("sensitivity", "gradient_times_input", "smooth_grad", "integrated_gradients"):
        exactly = FUNCTIONS[name](network, direction, x).float()
        half = FUNCTIONS[name](copy.deepcopy(network).bfloat16(), direction, x)
        assert half.dtype == torch.float32
        assert F.cosine_similarity(half.flatten(), exactly.flatten(), dim=0) > 0.9, name


def test_grad_cam_equals_its_formula():
    network, x = random_network(1), images()
    direction = direction_for(network, x)
    maps = network[0](x).detach().requires_grad_()
    slope = torch.autograd.grad((network[1:](maps).flatten(1) @ direction).sum(), maps)[0]
    small = F.relu(torch.einsum("nk,nkhw->nhw", slope.mean((2, 3)), maps.detach()))
    expected = F.interpolate(small[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(heatmaps.grad_cam(network, direction, x, "0"), expected)
    with pytest.raises(ValueError, match="^layer: 'convolution' is not known; allowed are names of"):
        heatmaps.grad_cam(network, direction, x, "convolution")


def test_a_network_that_gamma_does_not_reach_is_warned_of():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 18 * 18, 2)).double()
    x = images()
    with pytest.warns(UserWarning, match="gamma: reaches no layer of this network"):
        heatmaps.relevance(network, torch.ones(2), x)


class Depends(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(("layers", "says"), [
    ([nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.GroupNorm(2, 4), nn.Sigmoid()],
     r"relevance has no rule for GroupNorm \(2\), Sigmoid \(1\); use integrated_gradients"),
    ([nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)], "1 normalises by the batch even in"),
    ([nn.Conv2d(3, 4, 3), Depends()], "its forward pass cannot be traced"),
])
def test_what_has_no_rule_is_refused_by_name(layers, says):
    with pytest.raises(ValueError, match=f"^network: {says}"):
        heatmaps.relevance(nn.Sequential(*layers).double(), torch.ones(4 * 18 * 18), images())


def test_a_box_needs_a_convolution_that_reads_the_pixels():
    layers = [nn.AvgPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()]
    network, x = nn.Sequential(*layers).double(), images()
    with pytest.raises(ValueError, match="^box: the first layer that reads the pixels is no convolution"):
        heatmaps.relevance(network, direction_for(network, x), x, box=heatmaps.BOX)
