"""Gradients, SmoothGrad, integrated gradients and occlusion against finite differences and captum."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from helpers import heatmaps, networks
from helpers.heatmaps import relevance
from tests.helpers.small_networks import KINDS, SIDE, case_of, direction_for, pictures, score, small


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    return case_of(request.param)


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


def test_photographs_are_preprocessed_batch_by_batch_after_all_are_checked():
    """So that their floats take the memory of one batch; NaN in the last is refused before any work."""
    network, raw, sizes = small(), torch.randint(0, 256, (7, 3, SIDE, SIDE)).to(torch.uint8), []
    direction = direction_for(network, networks.preprocess(raw).double())
    expected = heatmaps.sensitivity(network, direction, networks.preprocess(raw), batch=3)
    network.preprocess = lambda some: (sizes.append(len(some)), networks.preprocess(some))[1]
    assert torch.equal(heatmaps.sensitivity(network, direction, raw, batch=3), expected)
    assert sizes == [1, 3, 3, 1]  # the first tells the shape
    with pytest.raises(ValueError, match=r"^images: shape \(7, 2, 40, 40\) is not allowed"):
        heatmaps.sensitivity(network, direction, raw[:, :2])
    floats = networks.preprocess(raw)
    floats[6, 0, 0, 0] = torch.nan
    network.register_forward_hook(lambda *_: pytest.fail("an image is computed before all are checked"))
    with pytest.raises(ValueError, match="^images: NaN"):
        heatmaps.sensitivity(network, direction, floats, batch=3)


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


@pytest.mark.parametrize("single", [True, False])
def test_several_numbers_of_copies_are_means_of_the_same_copies(single):
    network, images = small(), pictures(1)
    images = images[0] if single else images
    direction = direction_for(network, pictures(1))
    found = heatmaps.smooth_grad(network, direction, images, samples=(1, 3, 4), seed=5)
    expected = [heatmaps.smooth_grad(network, direction, images, samples, seed=5) for samples in (1, 3, 4)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-9, atol=0)
    for samples in (0, (4, 4), (8, 2)):
        with pytest.raises(ValueError, match=r"^samples: .* a number from 1 on, or several, rising"):
            heatmaps.smooth_grad(network, direction, images, samples)


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
