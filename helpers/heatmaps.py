"""What does the score g(x) = w . phi(x) look at? Batched explanations of (network, direction, images).

Images are uint8 RGB or preprocessed floats, (n, 3, h, w) or one (3, h, w), tensors or arrays; heatmaps are
(n, h, w) or (h, w). Every function raises ValueError where the direction does not fit the features of the
network, for NaN, and where no gradient gets through.
"""

import warnings
from functools import partial
from itertools import accumulate, chain, islice, product

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from helpers.arguments import finite_numbers, not_negative, torch_module, whole_number
from helpers.images import from_array
from helpers.lrp import Biased, biased, biased_with_rules  # noqa: F401 (biased: for notebooks)
from helpers.networks import (
    BATCH,
    MEAN,
    evaluation,
    first_weight,
    kept_output,
    layout,
    named_layer,
    once,
    preprocessed,
    rows,
    single,
    standard,
)
from helpers.runtime import progress

BOX = tuple(255 * (bound - torch.tensor(MEAN)).view(3, 1, 1) for bound in (0, 1))  # darkest, brightest


def _score(network, direction, x):
    """g (n,) of preprocessed images, which a first layer that works in place must not overwrite."""
    phi = rows(single(network(x.clone())), x)
    if direction.shape != phi.shape[1:]:
        raise ValueError(f"direction: shape {tuple(direction.shape)} is not allowed; the network gives "
                         f"{phi.shape[1]} features for images of {x.shape[2]}x{x.shape[3]} pixels")
    return _at_least_float32(phi) @ direction


def _gradient(network, direction, x):
    """dg/dx (n, 3, h, w) with one backward pass for the whole batch: images do not influence each other."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return _at_least_float32(_slopes(_score(network, direction, x), x, "network: its images get"))


def _slopes(score, values, subject):
    """d score / d values, of images that do not influence each other; ValueError where there is none."""
    slopes = None
    if score.requires_grad and values.requires_grad:
        slopes = torch.autograd.grad(score.sum(), values, allow_unused=True)[0]
    if slopes is None:
        raise ValueError(f"{subject} no gradient of the score; the forward pass has to use it, and without "
                         "torch.no_grad() or detach()")
    return slopes


def _at_least_float32(values):
    """Half precision as float32: squares of pixels and gradients leave its range."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _finite(name, values):
    """The values as a tensor; ValueError naming the argument where they are no finite real numbers."""
    if isinstance(values, torch.Tensor):
        finite = values.sum().isfinite() or values.isfinite().all()  # one pass over them, or three
        if values.is_complex() or not finite:
            raise ValueError(f"{name}: NaN, infinite or complex values are not allowed; give finite numbers")
        return values.detach().clone() if values.is_inference() else values.detach()
    try:
        return torch.from_numpy(finite_numbers(values, name=name, allowed="finite numbers"))
    except TypeError as error:
        raise ValueError(str(error)) from None


def _pixels(name, value, x):
    """Preprocessed pixels to put in the place of those of x (n, 3, h, w), in its type and on its device."""
    if np.ndim(value) and "int" in str(getattr(value, "dtype", "")):
        raise ValueError(f"{name}: {value.dtype} is not allowed; give preprocessed pixels, which are floats, "
                         "as network.preprocess makes them")
    value = _finite(name, value).to(x)
    value = value[0] if value.ndim == 4 and len(value) == 1 else value
    if value.shape not in ((), (3, 1, 1), x.shape[1:]):
        raise ValueError(f"{name}: shape {tuple(value.shape)} is not allowed; give a number, (3, 1, 1) or "
                         f"{tuple(x.shape[1:])}, the same for all images")
    return value.expand(x.shape[1:])


def _prepared(network, images):
    """(checked images as they are, function of some of them, whether they are several and not one).

    The function gives preprocessed (b, 3, h, w), which as floats take four times the memory or more: of all
    at once only where they have not three channels, so that a preprocessing names the whole shape.
    Raises ValueError for NaN and for shapes that heatmaps cannot have.
    """
    given = from_array(images)
    if not isinstance(given, torch.Tensor):
        raise ValueError(f"images: {type(given).__name__} is not allowed; give a tensor or an array of "
                         "numbers, such as load_images(paths)")
    if given.is_floating_point():
        given, preprocess = _finite("images", given), lambda some: some
    else:
        preprocess = partial(preprocessed, network)
    first = preprocess(given[:1] if given.ndim == 4 and given.shape[1] == 3 else given)
    if first.shape[-2:] != given.shape[-2:]:
        raise ValueError(f"network: its preprocessing makes {tuple(first.shape[-2:])} pixels of "
                         f"{tuple(given.shape[-2:])}; cut images to the first size, which heatmaps have")
    shape = (len(given), *first.shape[1:]) if given.ndim == first.ndim == 4 else tuple(first.shape)
    if len(shape) not in (3, 4) or shape[-3] != 3 or 0 in shape:
        raise ValueError(f"images: shape {shape} is not allowed; give ([n,] 3, height, width)")
    return given, lambda some: preprocess(some).reshape(-1, *shape[-3:]), len(shape) == 4


def _explain(function, network, direction, images, batch, gradients=True):
    """Apply function(network, direction, x) to batches of preprocessed images and collect on the CPU.

    The network works in evaluation mode meanwhile and gets its mode back; nothing of it is changed.
    gradients: whether the function needs them, also inside the caller's torch.inference_mode().
    """
    whole_number("batch", batch), torch_module("network", network)
    with torch.inference_mode(not gradients), evaluation(network):
        if gradients and any(
                value.is_inference() for value in chain(network.parameters(), network.buffers())):
            raise ValueError("network: weights made under torch.inference_mode() have no gradients; make the "
                             "network outside of it, or give copy.deepcopy(network)")
        weight, memory = first_weight(network), layout(network)
        images, prepare, several = _prepared(network, images)
        direction = _finite("direction", direction).to(_at_least_float32(weight))
        parts = images.split(batch) if images.ndim == 4 else [images]
        batches = (prepare(part).to(weight).contiguous(memory_format=memory)
                   for part in progress(parts, "heatmaps"))
        results = [function(network, direction, x).detach().cpu() for x in batches]
    result = torch.cat(results)
    return result if several else result[0]


def scores(network, direction, images, batch=BATCH):
    """g(x), (n,)."""
    return _explain(_score, network, direction, images, batch, gradients=False)


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
        slopes = slopes.unflatten(0, (len(part), len(point)))
        total = total + torch.einsum("k,knchw->nchw", part.to(slopes), slopes)
    return total


def smooth_grad(network, direction, images, samples=25, noise=0.15, seed=0, batch=BATCH):
    """Squared norm of the gradient averaged over noisy copies. Smilkov et al., arXiv:1706.03825.

    samples: number of copies; several in rising order give a heatmap for each, (k, n, h, w) or (k, h, w), and
    cost as much as the largest. noise: standard deviation as a share of the range of each image; equal seeds
    give equal heatmaps.
    """
    generator = torch.Generator().manual_seed(whole_number("seed", seed, least=0))
    not_negative("noise", noise)
    counts = np.atleast_1d(samples).tolist()
    if not counts or [*map(type, counts)] != [int] * len(counts) or sorted({*counts, 0}) != [0, *counts]:
        raise ValueError(f"samples: {samples!r} is not allowed; give a number from 1 on, or several, rising")
    steps = np.diff([0, *counts]).tolist()

    def smooth(network, direction, x):
        spread = noise * (x.amax((1, 2, 3)) - x.amin((1, 2, 3))).view(-1, 1, 1, 1)
        jitter = (torch.empty_like(x).copy_(torch.randn(x.shape, generator=generator))
                  for _ in range(counts[-1]))
        noisy = (x + spread * values for values in jitter)
        sums = [_summed_gradient(network, direction, islice(noisy, step), torch.ones(step).double(), batch)
                for step in steps]
        return torch.stack([(total / count).square().sum(1)
                            for total, count in zip(accumulate(sums), counts, strict=True)], dim=1)

    maps = _explain(smooth, network, direction, images, batch).movedim(-3, 0)
    return maps if np.ndim(samples) else maps[0]


def integrated_gradients(network, direction, images, steps=32, baseline=0.0, batch=BATCH):
    """sum_c (x_c - b_c) times the mean gradient between baseline b and x (Gauss-Legendre quadrature).

    Complete: a heatmap adds up to g(x) - g(b), up to the quadrature. Sundararajan et al., arXiv:1703.01365.
    """
    whole_number("steps", steps)
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(steps))

    def integrate(network, direction, x):
        start = _pixels("baseline", baseline, x)
        step = x - start
        points = (start + (node.item() + 1) / 2 * step for node in nodes)
        return (step * _summed_gradient(network, direction, points, weights / 2, batch)).sum(1)

    return _explain(integrate, network, direction, images, batch)


def occlusion(network, direction, images, patch=16, stride=None, fill=0.0, batch=BATCH):
    """How much g falls where a square of `patch` pixels is filled (0 is the mean colour).

    stride: step between squares, default `patch`, at most that, so that each pixel is hidden; overlaps are
    averaged. Zeiler and Fergus, arXiv:1311.2901.
    """
    stride = patch if stride is None else stride
    whole_number("patch", patch), whole_number("stride", stride)

    def occlude(network, direction, x):
        if not stride <= patch <= min(x.shape[2:]):
            raise ValueError(f"patch: {patch} with stride {stride} is not allowed; give 1 <= stride <= patch "
                             f"<= {min(x.shape[2:])}, the side of the images")
        rows, columns = ([slice(start, start + patch) for start in range(0, side - patch + stride, stride)]
                         for side in x.shape[2:])
        filling = _pixels("fill", fill, x)
        places, several = list(product(rows, columns)), max(1, batch // len(x))
        total, count = (torch.zeros_like(_at_least_float32(part)) for part in (x[:, 0], x[0, 0]))
        clean = _score(network, direction, x)
        for start in range(0, len(places), several):
            some = places[start:start + several]
            hidden = x.repeat(len(some), 1, 1, 1)
            for copies, place in zip(hidden.split(len(x)), some, strict=True):
                copies[(..., *place)] = filling[(..., *place)]
            for place, score in zip(some, _score(network, direction, hidden).split(len(x)), strict=True):
                total[(..., *place)] += (clean - score).view(-1, 1, 1)
                count[place] += 1
        return total / count

    return _explain(occlude, network, direction, images, batch, gradients=False)


def grad_cam(network, direction, images, layer, batch=BATCH):
    """Maps of a layer weighted by the mean of their gradients, the negative part dropped, enlarged to pixels.

    layer: name of a convolution or block whose output is (n, maps, h, w), see network.named_modules().
    Raises ValueError for a layer that the network has not or whose output is no map. arXiv:1610.02391.
    """
    module = named_layer(torch_module("network", network), layer)

    def weigh(network, direction, x):
        with torch.enable_grad(), kept_output(module) as outputs:
            score = _score(network, direction, x.detach().requires_grad_())
            maps = once(outputs, layer)
            if maps.ndim != 4 or len(maps) != len(x):
                raise ValueError(f"layer: {layer!r} gives {tuple(maps.shape)} for {len(x)} images, not maps "
                                 "(n, maps, h, w)")
            slopes = _slopes(score, maps, f"layer: {layer!r} gets")
        weights = _at_least_float32(slopes).mean((2, 3), keepdim=True)
        mixed = (weights * maps.detach()).sum(1, keepdim=True).clamp(min=0)
        return F.interpolate(mixed, x.shape[2:], mode="bilinear")[:, 0]

    return _explain(weigh, network, direction, images, batch)


def relevance(network, direction, images, gamma=0.25, box=None, batch=BATCH, epsilon=0.0):
    """LRP-gamma: gradient times input of the biased copy; `network` may be biased already.

    gamma, epsilon: numbers or functions of the depth, see `lrp.biased`.

    box: (darkest, brightest) pixel, each (3, 1, 1), for the z^B rule at the pixels (arXiv:1512.02479), for
    example `heatmaps.BOX` for the course's networks; None for the plain rule, which gives a black pixel the
    relevance of its contrast to the mean colour. `lrp.rules(network)` lists the rule of each layer.
    Raises ValueError where a layer has no rule or the copy gives other features; warns where gamma reaches no
    layer.
    """
    if not any(isinstance(module, Biased) for module in torch_module("network", network).modules()):
        original, (network, chosen) = network, biased_with_rules(network, gamma, epsilon)
        if gamma and not any(rule.startswith("gamma") for rule in chosen.values()):
            warnings.warn("gamma: reaches no layer of this network, so this is gradient times input: "
                          f"{chosen}", stacklevel=2)
        if not standard(original):
            _check_copy(original, network, direction, images)
    if box is None:
        return gradient_times_input(network, direction, images, batch)
    return _explain(partial(_boxed, box), network, direction, images, batch)


def _check_copy(network, clone, direction, images):
    """ValueError where the copy of a network with code of its own gives the first image other features."""
    given, prepare, _ = _prepared(network, images)
    first = prepare(given[:1] if given.ndim == 4 else given)[:1]
    features = lambda network, direction, x: single(network(x.clone()))[:1].flatten(1)
    expected, found = (_explain(features, each, direction, first, 1, gradients=False)
                       for each in (network, clone))
    limits = torch.finfo(expected.dtype)
    apart = (found - expected).abs().max() / expected.abs().max().clamp(min=limits.tiny)
    if not apart <= limits.eps ** 0.5:
        raise ValueError(f"network: its traced copy gives features that are {apart:.1%} off: a hook or "
                         "chance changes them, or tracing loses a step; use integrated_gradients instead")


def _bounds(box, x):
    """The darkest and the brightest pixel like x; ValueError where most pixels lie outside."""
    if not isinstance(box, (tuple, list)) or len(box) != 2:
        raise ValueError(f"box: {box!r} is not allowed; give (darkest, brightest) pixel or None")
    low, high = (_pixels("box", bound, x).expand_as(x) for bound in box)
    if not (low < high).all():
        raise ValueError("box: its first bound is not below the second; give (darkest, brightest) pixel")
    inside = ((low <= x) & (x <= high)).float().mean()
    if not inside >= 0.5:  # a little noise may leave it, and so may what preprocessing rounds
        raise ValueError(f"box: only {inside:.0%} of the pixels lie inside; give what black and white become "
                         "by the network's preprocessing")
    return low, high


def _boxed(box, network, direction, x):
    """z^B: R_i = sum_j (x_i w_ij - l_i w+_ij - h_i w-_ij) / (the same summed over i) R_j."""
    first = next(module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear)))
    with torch.enable_grad(), kept_output(first, inputs=True) as kept:
        score = _score(network, direction, x.detach().requires_grad_())
    pixels, output = kept[0]
    if not isinstance(first, nn.Conv2d) or not torch.equal(pixels, x):
        raise ValueError("box: the first layer that reads the pixels is no convolution; allowed is box=None")
    upper = _slopes(score, output, "network: its first layer gets") * output.detach()
    leaves = [leaf.detach().requires_grad_() for leaf in (x, *_bounds(box, x))]
    weights = first.weight, first.weight.clamp(min=0), first.weight.clamp(max=0)
    unbiased = {} if first.bias is None else {"bias": torch.zeros_like(first.bias)}
    with torch.enable_grad():
        z, low, high = (torch.func.functional_call(first, {"weight": weight, **unbiased}, leaf)
                        for leaf, weight in zip(leaves, weights, strict=True))
        z = z - low - high  # at least 0 inside the box; where it is 0, so is every contribution to it
        gradients = torch.autograd.grad(z, leaves, upper / torch.where(z > 0, z, 1).detach())
    return sum(_at_least_float32(leaf.detach()) * gradient
               for leaf, gradient in zip(leaves, gradients, strict=True)).sum(1)
