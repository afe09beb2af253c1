"""What does the score g(x) = w . phi(x) look at? Batched explanations of (network, direction, images).

Images are uint8 RGB or preprocessed floats, (n, 3, h, w) or one (3, h, w); heatmaps are (n, h, w) or (h, w).
Every function raises ValueError where the direction does not fit the features of the network.
"""

import copy
import math
from functools import partial
from itertools import chain, product

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F

from helpers.networks import BATCH, MEAN, preprocess

BOX = tuple(255 * (bound - torch.tensor(MEAN)).view(3, 1, 1) for bound in (0, 1))  # darkest, brightest
KEEP_SIGN = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Identity, nn.Flatten, torch.cat,
             torch.flatten, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.dropout)
RELU = (nn.ReLU, F.relu, torch.relu, "relu", "relu_")


def _score(network, direction, x):
    """g (n,) of preprocessed images."""
    phi = network(x).flatten(1)
    if direction.shape != phi.shape[1:]:
        raise ValueError(f"direction: shape {tuple(direction.shape)} is not allowed; the network gives "
                         f"{phi.shape[1]} features for images of {x.shape[2]}x{x.shape[3]} pixels")
    return phi @ direction


def _gradient(network, direction, x):
    """dg/dx (n, 3, h, w) with one backward pass for the whole batch: images do not influence each other."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(_score(network, direction, x).sum(), x)[0]


def _explain(function, network, direction, images, batch):
    """Apply function(network, direction, x) to batches of preprocessed images and collect on the CPU."""
    weight = next(network.parameters())
    images = images if images.is_floating_point() else preprocess(images)
    if images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise ValueError(f"images: shape {tuple(images.shape)} is not allowed; give ([n,] 3, height, width)")
    direction = torch.as_tensor(direction).to(weight)
    parts = images.reshape(-1, *images.shape[-3:]).to(weight).split(batch)
    result = torch.cat([function(network, direction, part.contiguous(memory_format=torch.channels_last)).cpu()
                        for part in parts])
    return result if images.ndim == 4 else result[0]


def scores(network, direction, images, batch=BATCH):
    """g(x), (n,)."""
    with torch.inference_mode():
        return _explain(_score, network, direction, images, batch)


def sensitivity(network, direction, images, batch=BATCH):
    """Squared gradient norm over the channels: sum_c (dg/dx_c)^2. Simonyan et al., arXiv:1312.6034."""
    return _explain(lambda *args: _gradient(*args).square().sum(1), network, direction, images, batch)


def gradient_times_input(network, direction, images, batch=BATCH):
    """sum_c x_c dg/dx_c; adds up to g where the network has no biases. arXiv:1605.01713."""
    return _explain(lambda network, direction, x: (x * _gradient(network, direction, x)).sum(1),
                    network, direction, images, batch)


def _summed_gradient(network, direction, points, weights, batch):
    """sum_k weights[k] dg/dx at the k-th point, each (n, 3, h, w), with several points in one pass."""
    points, total = iter(points), 0
    point = next(points)
    _score(network, direction, point[:1])  # a wrong direction is named in terms of the pixels
    points = chain([point], points)
    for part in weights.to(point).split(max(1, batch // len(point))):
        slopes = _gradient(network, direction, torch.cat([next(points) for _ in part]))
        total = total + torch.einsum("k,knchw->nchw", part, slopes.unflatten(0, (len(part), len(point))))
    return total


def smooth_grad(network, direction, images, samples=25, noise=0.15, seed=0, batch=BATCH):
    """Squared norm of the gradient averaged over noisy copies. Smilkov et al., arXiv:1706.03825.

    noise: standard deviation as a share of the range of each image; equal seeds give equal heatmaps.
    """
    generator = torch.Generator().manual_seed(seed)

    def smooth(network, direction, x):
        spread = noise * (x.amax((1, 2, 3)) - x.amin((1, 2, 3))).view(-1, 1, 1, 1)
        jitter = (torch.randn(x.shape, generator=generator).to(x, memory_format=torch.channels_last)
                  for _ in range(samples))
        noisy = (x + spread * values for values in jitter)
        mean = _summed_gradient(network, direction, noisy, torch.ones(samples).double() / samples, batch)
        return mean.square().sum(1)

    return _explain(smooth, network, direction, images, batch)


def integrated_gradients(network, direction, images, steps=32, baseline=0.0, batch=BATCH):
    """sum_c (x_c - b_c) times the mean gradient between baseline b and x (Gauss-Legendre quadrature).

    Complete: a heatmap adds up to g(x) - g(b), up to the quadrature. Sundararajan et al., arXiv:1703.01365.
    """
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(steps))

    def integrate(network, direction, x):
        step = x - baseline
        points = (baseline + (node.item() + 1) / 2 * step for node in nodes)
        return (step * _summed_gradient(network, direction, points, weights / 2, batch)).sum(1)

    return _explain(integrate, network, direction, images, batch)


def occlusion(network, direction, images, patch=16, stride=None, fill=0.0, batch=BATCH):
    """How much g falls where a square of `patch` pixels is filled (0 is the mean colour).

    stride: step between squares, default `patch`; overlaps are averaged. Zeiler and Fergus, arXiv:1311.2901.
    """
    stride = stride or patch

    def occlude(network, direction, x):
        rows, columns = ([slice(start, start + patch) for start in range(0, side - patch + stride, stride)]
                         for side in x.shape[2:])
        places, several = list(product(rows, columns)), max(1, batch // len(x))
        total, count = torch.zeros_like(x[:, 0]), torch.zeros_like(x[0, 0])
        clean = _score(network, direction, x)
        for start in range(0, len(places), several):
            some = places[start:start + several]
            hidden = x.repeat(len(some), 1, 1, 1)
            for copies, place in zip(hidden.split(len(x)), some, strict=True):
                copies[(..., *place)] = fill
            for place, score in zip(some, _score(network, direction, hidden).split(len(x)), strict=True):
                total[(..., *place)] += (clean - score).view(-1, 1, 1)
                count[place] += 1
        return total / count

    with torch.inference_mode():
        return _explain(occlude, network, direction, images, batch)


class _Gate(torch.autograd.Function):
    """Forward z, backward through z_up * [z / z_up].detach(), where z > 0; nothing flows where z <= 0."""

    @staticmethod
    def forward(ctx, z_up, z):
        smallest = torch.finfo(z.dtype).tiny  # z <= z_up, but for rounding: the ratio stays between 0 and 1
        ctx.save_for_backward((z.clamp(min=0) / z_up.clamp(min=smallest)).clamp_(max=1))
        return z

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None


class Biased(nn.Module):
    """A layer whose forward pass is that of `layer` and whose backward pass favours positive contributions.

    w_up = w + gamma max(0, w), b_up likewise, z = z_up [z / z_up].detach(). Inputs below zero meet
    w + gamma min(0, w) instead, so that z_up >= z always (the generalised gamma rule, arXiv:2103.10504).
    """

    def __init__(self, layer, gamma, negative_inputs):
        super().__init__()
        self.layer, self.up, self.down = layer, copy.deepcopy(layer), None
        with torch.no_grad():
            for value in self.up.parameters():
                value += gamma * value.clamp(min=0)
            if negative_inputs:
                self.down = copy.deepcopy(layer)
                self.down.weight += gamma * self.down.weight.clamp(max=0)
                self.down.bias = None

    def forward(self, x):
        with torch.no_grad():
            z = self.layer(x)
        z_up = self.up(x) if self.down is None else self.up(x.clamp(min=0)) + self.down(x.clamp(max=0))
        return _Gate.apply(z_up, z)


def _roles(network):
    """{convolution or linear layer: (it reads pixels, a ReLU follows, its inputs may be negative)}."""
    modules, roles, positive = dict(network.named_modules()), {}, {}
    for node in fx.symbolic_trace(network).graph.nodes:
        kind = type(modules[node.target]) if node.op == "call_module" else node.target
        inputs = node.all_input_nodes
        positive[node] = kind in RELU or (kind in KEEP_SIGN and all(positive[other] for other in inputs))
        if kind in (nn.Conv2d, nn.Linear):
            followers = [type(modules[n.target]) if n.op == "call_module" else n.target for n in node.users]
            relu = bool(followers) and all(follower in RELU for follower in followers)
            roles[node.target] = inputs[0].op == "placeholder", relu, not positive[inputs[0]]
    return roles


def biased(network, gamma=0.25):
    """A copy of the network with the same forward pass whose gradient times input is LRP-gamma.

    gamma: a number >= 0, or a function of the depth, from 0 (first layer) to 1 (last). The layer that reads
    the pixels and layers without a ReLU behind them keep their weights (LRP-0): there z may have any sign
    and z / z_up any size. Raises ValueError for another gamma. Montavon et al., LNCS 11700:193 (2019).
    """
    clone = copy.deepcopy(network).eval().requires_grad_(False)
    for module in clone.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    roles = _roles(clone)
    for index, (name, (pixels, relu, negative)) in enumerate(roles.items()):
        value = gamma(index / max(len(roles) - 1, 1)) if callable(gamma) else gamma
        if not 0 <= value < math.inf:
            raise ValueError(f"gamma: {value!r} is not allowed; give a finite number of at least 0")
        if relu and not pixels:
            parent, _, last = name.rpartition(".")
            layer = clone.get_submodule(name)
            setattr(clone.get_submodule(parent), last, Biased(layer, value, negative))
    return clone


def relevance(network, direction, images, gamma=0.25, box=None, batch=BATCH):
    """LRP-gamma: gradient times input of the biased copy; `network` may be biased already.

    box: (darkest, brightest) pixel, each (3, 1, 1), for the z^B rule at the pixels (arXiv:1512.02479), for
    example `heatmaps.BOX`; None for the plain rule, which gives a black pixel the relevance of its contrast
    to the mean colour.
    """
    if not any(isinstance(module, Biased) for module in network.modules()):
        network = biased(network, gamma)
    if box is None:
        return gradient_times_input(network, direction, images, batch)
    return _explain(partial(_boxed, box), network, direction, images, batch)


def _boxed(box, network, direction, x):
    """z^B: R_i = sum_j (x_i w_ij - l_i w+_ij - h_i w-_ij) / (the same summed over i) R_j."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    kept = []
    hook = first.register_forward_hook(lambda _, inputs, z: kept.append(z))
    try:
        with torch.enable_grad():
            score = _score(network, direction, x.detach().requires_grad_())
    finally:
        hook.remove()
    upper = torch.autograd.grad(score.sum(), kept[0])[0] * kept[0].detach()
    leaves = [leaf.detach().requires_grad_() for leaf in (x, *(bound.to(x).expand_as(x) for bound in box))]
    weights = first.weight, first.weight.clamp(min=0), first.weight.clamp(max=0)
    convolve = partial(F.conv2d, stride=first.stride, padding=first.padding, dilation=first.dilation)
    z, low, high = (convolve(leaf, weight) for leaf, weight in zip(leaves, weights, strict=True))
    z = z - low - high  # at least 0 inside the box; where it is 0, so is every contribution to it
    gradients = torch.autograd.grad(z, leaves, upper / torch.where(z > 0, z, 1).detach())
    return sum(leaf.detach() * gradient for leaf, gradient in zip(leaves, gradients, strict=True)).sum(1)
