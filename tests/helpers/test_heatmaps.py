"""Explanations against finite differences, captum, zennit and closed forms, on both architectures."""

import captum.attr
import numpy as np
import pytest
import torch
import zennit.attribution
import zennit.composites
import zennit.core
import zennit.rules
from torch import nn

from helpers import heatmaps, lrp, networks
from helpers.heatmaps import Biased, biased, relevance

SIDE = 40


class Fire(nn.Module):
    """Two branches that are concatenated, with in-place ReLUs: the hard part of SqueezeNet."""

    def __init__(self):
        super().__init__()
        self.squeeze, self.left = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 5, 1)
        self.right = nn.Conv2d(4, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.left(x)), self.relu(self.right(x))], 1)


def small(bias=True, inplace=False, last_relu=True, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(inplace), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, padding=1),
              nn.ReLU(inplace), Fire(), nn.Conv2d(10, 8, 3), *([nn.ReLU(inplace)] if last_relu else [])]
    network = nn.Sequential(*layers).to(dtype).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not bias:
            module.bias.zero_()
    network.preprocess = networks.preprocess
    return network


def pictures(count=2, side=SIDE, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 60 * torch.randn(count, 3, side, side, generator=generator).to(dtype)


def direction_for(network, images, seed=2):
    width = network(images[:1]).flatten(1).shape[1]
    return torch.randn(width, generator=torch.Generator().manual_seed(seed)).to(images.dtype) / width ** 0.5


@pytest.fixture(scope="module", params=["small", "squeezenet1_1", "vgg16"])
def case(request):
    """(network, direction, images) in float64: a small net, and both architectures untrained."""
    torch.manual_seed(0)
    if request.param == "small":
        network = small()
    else:
        network = networks.load_network(request.param, weights=None).double()
        for module in network.modules():  # untrained biases are zero or small: make them count
            if isinstance(module, nn.Conv2d):
                module.bias.normal_(std=0.3)
                module.weight.mul_(1.5)
    images = pictures()
    return network, direction_for(network, images), images


def score(network, direction):
    return lambda x: network(x).flatten(1) @ direction


def test_scores_and_gradients_by_finite_differences(case):
    network, direction, images = case
    np.testing.assert_allclose(heatmaps.scores(network, direction, images), score(network, direction)(images))
    g, image = score(network, direction), images[:1]
    found, products = (f(network, direction, image)[0] for f in
                       (heatmaps.sensitivity, heatmaps.gradient_times_input))
    for row, column in ((3, 5), (20, 11), (33, 30)):
        slopes = []
        for channel in range(3):
            step = torch.zeros_like(image)
            step[0, channel, row, column] = 1e-5
            slopes.append(((g(image + step) - g(image - step)) / 2e-5).item())
        assert found[row, column].item() == pytest.approx(np.square(slopes).sum(), rel=1e-4, abs=1e-12)
        expected = np.dot(image[0, :, row, column].numpy(), slopes)
        assert products[row, column].item() == pytest.approx(expected, rel=1e-4, abs=1e-10)


FUNCTIONS = {
    "scores": heatmaps.scores,
    "sensitivity": heatmaps.sensitivity,
    "gradient_times_input": heatmaps.gradient_times_input,
    "smooth_grad": lambda *a, **k: heatmaps.smooth_grad(*a, samples=2, noise=0.0, **k),
    "integrated_gradients": lambda *a, **k: heatmaps.integrated_gradients(*a, steps=3, **k),
    "occlusion": lambda *a, **k: heatmaps.occlusion(*a, patch=16, **k),
    "relevance": relevance,
    "relevance_box": lambda *a, **k: relevance(*a, box=heatmaps.BOX, **k),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_batch_gives_what_single_images_give(case, name):
    network, direction, images = case
    images = pictures(3, side=SIDE)
    together = FUNCTIONS[name](network, direction, images, batch=2)
    single = FUNCTIONS[name](network, direction.numpy(), images[2])
    assert together.shape == ((3,) if name == "scores" else (3, SIDE, SIDE))
    assert single.shape == together.shape[1:]
    assert not together.requires_grad
    torch.testing.assert_close(together[2], single, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_uint8_photographs_are_preprocessed(name):
    network = small(dtype=torch.float32)
    raw = (pictures() + 128).clamp(0, 255).to(torch.uint8)
    direction = direction_for(network, networks.preprocess(raw))
    torch.testing.assert_close(FUNCTIONS[name](network, direction, raw),
                               FUNCTIONS[name](network, direction, networks.preprocess(raw)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_input_is_named(name):
    network, images = small(), pictures()
    direction = direction_for(network, images)
    with pytest.raises(ValueError, match=r"^direction: shape \(\d+,\) is .* network gives \d+ features"):
        FUNCTIONS[name](network, direction[:-1], images)
    with pytest.raises(ValueError, match=r"^direction: .* 40x40 pixels"):
        FUNCTIONS[name](network, direction[None], images)
    with pytest.raises(ValueError, match=r"^images: shape \(2, 1, 40, 40\) is not allowed"):
        FUNCTIONS[name](network, direction, images[:, :1])


def test_smooth_grad_averages_gradients_of_noisy_copies(case):
    network, direction, images = case
    image, samples, noise = images[:1], 4, 0.1
    generator, total = torch.Generator().manual_seed(5), 0
    for _ in range(samples):
        x = image + noise * (image.max() - image.min()) * torch.randn(image.shape, generator=generator)
        x.requires_grad_()
        total = total + torch.autograd.grad(score(network, direction)(x).sum(), x)[0]
    found = heatmaps.smooth_grad(network, direction, image, samples, noise, seed=5)
    torch.testing.assert_close(found, (total / samples).square().sum(1), rtol=1e-6, atol=1e-14)
    again = heatmaps.smooth_grad(network, direction, image, samples, noise, seed=5)
    other = heatmaps.smooth_grad(network, direction, image, samples, noise, seed=6)
    assert torch.equal(found, again)
    assert not torch.equal(found, other)


def test_noise_of_smooth_grad_is_a_share_of_the_range_of_each_image():
    class Squares(nn.Module):
        """g = sum x^2, so that the averaged gradient is 2 (x + mean noise) and shows the noise itself."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, x):
            return self.weight * x.square()

    images = pictures(3, side=16) * torch.tensor([1.0, 0.1, 3.0]).view(-1, 1, 1, 1) + 40
    found = heatmaps.smooth_grad(Squares(), torch.ones(3 * 16 * 16), images, samples=4, noise=0.2, seed=9)
    generator, noise = torch.Generator().manual_seed(9), 0
    for _ in range(4):
        noise = noise + torch.randn(3, 3, 16, 16, generator=generator).double() / 4
    ranges = np.ptp(images.numpy().reshape(3, -1), axis=1)
    mean = 2 * (images + 0.2 * torch.tensor(ranges).view(-1, 1, 1, 1) * noise)
    torch.testing.assert_close(found, mean.square().sum(1))


def test_integrated_gradients_equal_captum(case):
    network, direction, images = case
    expected = captum.attr.IntegratedGradients(score(network, direction)).attribute(images, n_steps=7).sum(1)
    found = heatmaps.integrated_gradients(network, direction, images, steps=7)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()  # captum's nodes are float32


def test_integrated_gradients_are_complete():
    network, images = small(), pictures()
    direction = direction_for(network, images)
    found = heatmaps.integrated_gradients(network, direction, images, steps=400, baseline=10.0).sum((1, 2))
    g = score(network, direction)
    torch.testing.assert_close(found, g(images) - g(torch.full_like(images, 10.0)), rtol=5e-3, atol=5e-3)


def test_integrated_gradients_without_biases_are_gradient_times_input():
    """Without biases the gradient is the same all along the ray from zero."""
    network, images = small(bias=False), pictures()
    direction = direction_for(network, images)
    torch.testing.assert_close(heatmaps.integrated_gradients(network, direction, images, steps=3),
                               heatmaps.gradient_times_input(network, direction, images))


@pytest.mark.parametrize(("patch", "stride", "side"), [(16, 8, 40), (8, 8, 40), (12, 8, 45)])
def test_occlusion_equals_captum(patch, stride, side):
    network, images = small(), pictures(side=side)
    direction = direction_for(network, images)
    expected = captum.attr.Occlusion(score(network, direction)).attribute(
        images, sliding_window_shapes=(3, patch, patch), strides=(3, stride, stride), baselines=2.0)[:, 0]
    found = heatmaps.occlusion(network, direction, images, patch, stride, fill=2.0)
    torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=1e-6)  # captum collects in float32


def test_occlusion_on_both_architectures(case):
    network, direction, images = case
    found = heatmaps.occlusion(network, direction, images, patch=20)
    g, hidden = score(network, direction), images.clone()
    hidden[:, :, 20:, :20] = 0
    torch.testing.assert_close(found[:, 25, 5], g(images) - g(hidden), rtol=1e-8, atol=1e-10)


# LRP-gamma


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
