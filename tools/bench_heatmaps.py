"""Heatmaps per second of SqueezeNet 1.1 at batch 16, beside captum and zennit on the same images."""

import time

import torch

from helpers import heatmaps, networks

BATCH, SAMPLES, STEPS, PATCH = 16, 25, 32, 16


def rate(function, images, repeats=1):
    """Images per second, the best of `repeats` after a warm-up on the first image."""
    function(images[:1])
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function(images)
        best = min(best, time.perf_counter() - start)
    return len(images) / best


def run():
    """Rows: method, ours, captum and zennit in heatmaps per second, and ours over the faster of the others.

    The slow methods run on fewer images: their cost per image does not depend on how many there are.
    """
    import captum.attr
    import zennit.composites
    import zennit.rules
    from torch import nn

    torch.manual_seed(0)
    network = networks.load_network()
    plain = networks.load_network().to(memory_format=torch.contiguous_format)
    images = 60 * torch.randn(BATCH, 3, networks.SIZE, networks.SIZE)
    direction = torch.randn(network(images[:1]).numel()) / 300
    clone = heatmaps.biased(network)
    composite = zennit.composites.LayerMapComposite([(nn.Conv2d, zennit.rules.Gamma(0.25)),
                                                     (nn.ReLU, zennit.rules.Pass())])

    def score(x):
        return plain(x).flatten(1) @ direction

    def zennit_gamma(x):
        with composite.context(plain) as modified:
            x = x.clone().requires_grad_()
            phi = modified(x)
            return torch.autograd.grad(phi, x, phi.detach() * direction.view(phi.shape[1:]))[0]

    gradient = captum.attr.Saliency(score)
    methods = {
        "sensitivity": (BATCH, heatmaps.sensitivity, lambda x: gradient.attribute(x, abs=False)),
        "gradient x input": (BATCH, heatmaps.gradient_times_input,
                             captum.attr.InputXGradient(score).attribute),
        "SmoothGrad": (4, lambda *a: heatmaps.smooth_grad(*a, samples=SAMPLES),
                       lambda x: captum.attr.NoiseTunnel(gradient).attribute(
                           x, nt_samples=SAMPLES, nt_samples_batch_size=1, stdevs=20.0, abs=False)),
        "integrated gradients": (4, lambda *a: heatmaps.integrated_gradients(*a, steps=STEPS),
                                 lambda x: captum.attr.IntegratedGradients(score).attribute(
                                     x, n_steps=STEPS, internal_batch_size=BATCH)),
        "occlusion": (4, lambda *a: heatmaps.occlusion(*a, patch=PATCH),
                      lambda x: captum.attr.Occlusion(score).attribute(
                          x, sliding_window_shapes=(3, PATCH, PATCH), strides=(3, PATCH, PATCH))),
        "LRP-gamma": (BATCH, lambda n, *a: heatmaps.relevance(clone, *a), captum_lrp(plain, direction)),
    }
    rows = []
    for name, (count, ours, theirs) in methods.items():
        x = images[:count]
        repeats = 3 if count == BATCH else 1
        speeds = {"ours/s": rate(lambda x, f=ours: f(network, direction, x), x, repeats)}
        speeds["captum/s"] = rate(theirs, x.requires_grad_(name not in ("occlusion", "LRP-gamma")), repeats)
        if name == "LRP-gamma":
            speeds["zennit/s"] = rate(zennit_gamma, x[:4])
        others = [value for key, value in speeds.items() if key != "ours/s"]
        rows.append({"method": name, **{key: round(value, 2) for key, value in speeds.items()},
                     "ratio": round(speeds["ours/s"] / max(others), 1)})
    return rows


def captum_lrp(network, direction):
    """captum's LRP (epsilon rule) of a network with the direction as one more layer."""
    import captum.attr
    from torch import nn

    maps, side = 512, round((len(direction) / 512) ** 0.5)
    head = nn.Conv2d(maps, 1, side, bias=False)
    head.weight.data = direction.view(1, maps, side, side)
    attribute = captum.attr.LRP(nn.Sequential(network, head)).attribute
    return lambda x: attribute(x, target=(0, 0, 0))
