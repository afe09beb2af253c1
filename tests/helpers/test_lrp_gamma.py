"""LRP-gamma against zennit and closed forms, on both architectures."""

import pytest
import torch
import zennit.composites
import zennit.core
import zennit.rules
from torch import nn

from helpers import heatmaps, lrp, networks
from helpers.heatmaps import Biased, biased, relevance
from tests.helpers.small_networks import KINDS, SIDE, case_of, direction_for, pictures, score, small
from tests.helpers.test_heatmaps import FUNCTIONS


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    return case_of(request.param)


def exact(z):
    """No stabilisation but where the sum is exactly zero."""
    return z + (z == 0)


class EveryGamma(zennit.composites.LayerMapComposite):
    """zennit's generalised gamma rule on every layer but the first, which keeps its gradient (LRP-0)."""

    def __init__(self, gamma, pixels=None):
        seen = []

        def choose(context, name, module):
            if not isinstance(module, nn.Conv2d):
                return zennit.rules.Pass() if isinstance(module, nn.ReLU) else None
            seen.append(name)
            if len(seen) == 1:
                return zennit.rules.ZBox(*pixels, exact) if pixels else zennit.rules.Epsilon(exact)
            return zennit.rules.Gamma(gamma, exact)

        super().__init__([])
        self.module_map = choose


def zennit_relevance(network, direction, images, gamma, pixels=None):
    with EveryGamma(gamma, pixels).context(network) as modified:
        x = images.clone().requires_grad_()
        phi = modified(x)
        upper = phi.detach() * direction.view(phi.shape[1:])
        return torch.autograd.grad(phi, x, upper)[0].sum(1)


@pytest.mark.parametrize("gamma", [0.0, 0.25, 3.0])
@pytest.mark.parametrize("box", [None, heatmaps.BOX])
def test_relevance_equals_zennit(case, gamma, box):
    network, direction, images = case
    if box is not None:
        images = torch.maximum(torch.minimum(images, box[1]), box[0])
    pixels = box and tuple(bound[None].double() for bound in box)
    expected = zennit_relevance(network, direction, images, gamma, pixels)
    found = relevance(network, direction, images, gamma, box)
    assert (found - expected).abs().max() <= 1e-8 * expected.abs().max()


def formula(layer, gamma):
    """The curriculum's biased layer, literally: z = z_up * [z / z_up].detach()."""
    class Literal(nn.Module):
        def forward(self, x):
            w, b = layer.weight, layer.bias
            z = layer(x)
            z_up = nn.functional.conv2d(x, w + gamma * w.clamp(min=0), b + gamma * b.clamp(min=0),
                                        layer.stride, layer.padding)
            return torch.where(z > 0, z_up * (z / z_up).detach(), 0 * z)
    return Literal()


def test_relevance_equals_the_formula_where_inputs_are_positive():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3).double(), nn.Conv2d(6, 4, 3, padding=1).double()
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    images = pictures(side=12)
    direction = direction_for(network, images)
    literal = nn.Sequential(first, nn.ReLU(), formula(second, 0.7))
    x = images.clone().requires_grad_()
    expected = (x * torch.autograd.grad(score(literal, direction)(x).sum(), x)[0]).sum(1).detach()
    torch.testing.assert_close(relevance(network, direction, images, 0.7), expected, rtol=1e-10, atol=1e-10)


def test_the_forward_pass_is_unchanged(case):
    network, _, images = case
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        with torch.no_grad():
            plain = network.to(dtype)(images.to(dtype))
            found = biased(network, 0.5)(images.to(dtype))
        network.double()
        torch.testing.assert_close(found, plain, rtol=tolerance, atol=tolerance * plain.abs().max().item())


def test_gamma_zero_is_gradient_times_input(case):
    network, direction, images = case
    expected = heatmaps.gradient_times_input(network, direction, images)
    torch.testing.assert_close(relevance(network, direction, images, 0.0), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 50.0])
@pytest.mark.parametrize("last_relu", [True, False])
@pytest.mark.parametrize("box", [None, heatmaps.BOX])
def test_relevance_is_conserved_without_biases(gamma, last_relu, box):
    network, images = small(bias=False, last_relu=last_relu), pictures().clamp(-100, 130)
    direction = direction_for(network, images)
    found = relevance(network, direction, images, gamma, box).sum((1, 2))
    torch.testing.assert_close(found, score(network, direction)(images), rtol=1e-8, atol=1e-9)


def test_guard_black_and_mean_images_give_no_nan(case):
    network, direction, _ = case
    images = torch.stack([torch.zeros(3, SIDE, SIDE), heatmaps.BOX[0].expand(3, SIDE, SIDE)]).double()
    for name in ("relevance", "relevance_box", "sensitivity", "gradient_times_input"):
        assert torch.isfinite(FUNCTIONS[name](network, direction, images)).all()
    assert (relevance(network, direction, images)[0] == 0).all()


def test_the_box_holds_what_black_and_white_pixels_become():
    for bound, value in zip(heatmaps.BOX, (0, 255), strict=True):
        pixel = torch.full((3, 1, 1), value, dtype=torch.uint8)
        torch.testing.assert_close(bound, networks.preprocess(pixel), rtol=1e-6, atol=1e-4)


def test_guard_a_pixel_at_the_edge_of_the_box_behind_positive_weights():
    """Every sum of the z^B rule is exactly zero there: unguarded it is 0 / 0."""
    network = small(bias=False)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.data.abs_()
    images = heatmaps.BOX[0].expand(1, 3, SIDE, SIDE).double()
    found = relevance(network, direction_for(network, images), images, 0.25, heatmaps.BOX)
    assert torch.isfinite(found).all()


def test_guard_zero_biases_and_a_black_image():
    """All sums are exactly zero: an unguarded z / z_up is 0 / 0."""
    network, images = small(bias=False), torch.zeros(2, 3, SIDE, SIDE).double()
    direction = direction_for(network, images)
    for box in (None, heatmaps.BOX):
        found = relevance(network, direction, images, 0.25, box)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.sum((1, 2)), score(network, direction)(images), rtol=1e-8, atol=1e-9)


def test_guard_rounding_cannot_blow_up_the_ratio():
    """z > 0 by rounding alone while z_up is 0 or below: the ratio stays between 0 and 1."""
    z = torch.tensor([1e-30, 1.0, 2.0, -1.0, 0.0])
    z_up = torch.tensor([0.0, -1e-20, 4.0, -5.0, 0.0], requires_grad=True)
    lrp._Gate.apply(z_up, z).sum().backward()
    assert z_up.grad.tolist() == pytest.approx([1, 1, 0.5, 0, 0])


def test_guard_negative_inputs():
    """A convolution behind a convolution without ReLU sees negative inputs: generalise the rule."""
    torch.manual_seed(3)
    convolutions = [nn.Conv2d(3, 5, 3), nn.Conv2d(5, 6, 3), nn.Conv2d(6, 4, 3)]
    network = nn.Sequential(*convolutions[:2], nn.ReLU(), convolutions[2], nn.ReLU()).double()
    images = pictures(side=14)
    direction = direction_for(network, images)
    changed = [module for module in biased(network, 1.0).modules() if isinstance(module, Biased)]
    assert [module.down is not None for module in changed] == [True, False]
    found = relevance(network, direction, images, gamma=1.0)
    expected = zennit_first_two_plain(network, direction, images, 1.0)
    assert (found - expected).abs().max() <= 1e-8 * expected.abs().max()
    changed[0].down = None  # what an ungeneralised rule would do
    plain_rule = nn.Sequential(network[0], changed[0], nn.ReLU(), changed[1], nn.ReLU())
    wrong = relevance(plain_rule, direction, images)
    assert not torch.allclose(wrong, expected, rtol=1e-2)


def zennit_first_two_plain(network, direction, images, gamma):
    composite = zennit.core.Composite(lambda context, name, module: {
        "0": zennit.rules.Epsilon(exact), "1": zennit.rules.Gamma(gamma, exact), "2": zennit.rules.Pass(),
        "3": zennit.rules.Gamma(gamma, exact), "4": zennit.rules.Pass()}.get(name))
    with composite.context(network) as modified:
        x = images.clone().requires_grad_()
        phi = modified(x)
        return torch.autograd.grad(phi, x, phi.detach() * direction.view(phi.shape[1:]))[0].sum(1)


def test_guard_a_layer_with_no_relu_after_it_keeps_its_weights():
    network, images = small(last_relu=False), pictures()
    direction = direction_for(network, images)
    clone = biased(network, 0.5)
    assert isinstance(clone[6], nn.Conv2d)
    assert (network(images) < 0).any()
    torch.testing.assert_close(clone(images), network(images))
    features = network[:6]
    # the direction pulled back through the last, linear layer explains the features before it
    linear = torch.autograd.functional.jacobian(
        lambda f: score(network[6:], direction)(f), features(images[:1]).detach())[0].flatten()
    torch.testing.assert_close(relevance(network, direction, images[:1], gamma=0.5),
                               relevance(features, linear, images[:1], gamma=0.5), rtol=1e-9, atol=1e-12)


def test_guard_in_place_relu():
    plain, inplace = small(), small(inplace=True)
    images = pictures()
    direction = direction_for(plain, images)
    for box in (None, heatmaps.BOX):
        torch.testing.assert_close(relevance(inplace, direction, images, 0.3, box),
                                   relevance(plain, direction, images, 0.3, box))
    assert inplace[1].inplace


def test_guard_the_original_is_untouched(case):
    network, direction, images = case
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modules = [id(module) for module in network.modules()]
    clone = biased(network, 2.0)
    relevance(clone, direction, images)
    relevance(network, direction, images, box=heatmaps.BOX)
    assert [id(module) for module in network.modules()] == modules
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert any(isinstance(module, Biased) for module in clone.modules())


def test_gamma_per_depth_and_bad_gamma():
    network = small()
    clone = biased(network, lambda depth: 1 - depth)
    found = [(module.up.weight / module.layer.weight)[module.layer.weight > 0].mean().item()
             for module in clone.modules() if isinstance(module, Biased)]
    assert found == pytest.approx([1.8, 1.6, 1.4, 1.2, 1.0])
    for gamma in (-0.1, float("nan"), float("inf"), lambda depth: -depth):
        with pytest.raises(ValueError, match="^gamma: .* is not allowed; give a finite number of at least 0"):
            biased(network, gamma)
