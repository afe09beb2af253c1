"""Heatmaps per second of SqueezeNet 1.1 at batch 16, beside captum and zennit on the same images."""

import time
from functools import partial

import numpy as np
import torch

from helpers import heatmaps, networks

BATCH, SAMPLES, STEPS, PATCH = 16, 25, 32, 16


def rates(functions, rounds):
    """Images per second of each of {name: (function, its images)}: the best of some rounds.

    Each round times all of them, one after the other: what disturbs the machine for a while hits them alike.
    """
    best = dict.fromkeys(functions, float("inf"))
    for function, images in functions.values():
        function(images[:1])  # warm-up
    for _ in range(rounds):
        for name, (function, images) in functions.items():
            start = time.perf_counter()
            function(images)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: len(images) / best[name] for name, (_, images) in functions.items()}


def run():
    """Rows: method, heatmaps per second of ours, of captum and zennit on the same channels-last network, of
    captum in PyTorch's default memory layout, and ours over the faster of the two libraries in each layout.

    The slow methods run on fewer images: their cost per image does not depend on how many there are.
    """
    torch.manual_seed(0)
    network = networks.load_network()
    contiguous = networks.load_network().to(memory_format=torch.contiguous_format)
    images = 60 * torch.randn(BATCH, 3, networks.SIZE, networks.SIZE)
    direction = torch.randn(network(images[:1]).numel()) / 300
    clone = heatmaps.biased(network)
    methods = {
        "sensitivity": (BATCH, heatmaps.sensitivity),
        "gradient x input": (BATCH, heatmaps.gradient_times_input),
        "SmoothGrad": (4, partial(heatmaps.smooth_grad, samples=SAMPLES)),
        "integrated gradients": (4, partial(heatmaps.integrated_gradients, steps=STEPS)),
        "occlusion": (4, partial(heatmaps.occlusion, patch=PATCH)),
        "LRP-gamma": (BATCH, lambda network, *rest: heatmaps.relevance(clone, *rest)),
    }
    same, default = captum_methods(network, direction), captum_methods(contiguous, direction)
    rows = []
    for name, (count, method) in methods.items():
        x = images[:count]
        last = x.contiguous(memory_format=torch.channels_last)
        functions = {
            "ours": (lambda x, f=method: f(network, direction, x), x),
            "captum": (same[name], last),
            "default": (default[name], x),
        }
        if name == "LRP-gamma":
            functions["zennit"] = zennit_gamma(network, direction), last
        found = {"zennit": float("nan"), **rates(functions, 5 if count == BATCH else 2)}
        rows.append({"method": name, **row(found)})
    return rows


def row(found):
    """The columns of a method from {name: images per second}."""
    ours, fastest = found["ours"], np.nanmax([found["captum"], found["zennit"]])
    return {
        "ours/s": round(ours, 2),
        "captum/s": round(found["captum"], 2),
        "zennit/s": round(found["zennit"], 2),
        "ratio": round(ours / fastest, 2),
        "captum default layout/s": round(found["default"], 2),
        "its ratio": round(ours / found["default"], 2),
    }


def captum_methods(network, direction):
    """captum's function of each method; its LRP has the epsilon rule, the direction is a last layer."""
    import captum.attr
    from torch import nn

    def score(x):
        return network(x).flatten(1) @ direction

    maps, side = 512, round((len(direction) / 512) ** 0.5)
    head = nn.Conv2d(maps, 1, side, bias=False)
    head.weight.data = direction.view(1, maps, side, side)
    gradient = captum.attr.Saliency(score)
    noisy, lrp = captum.attr.NoiseTunnel(gradient), captum.attr.LRP(nn.Sequential(network, head))
    return {
        "sensitivity": lambda x: gradient.attribute(x.requires_grad_(), abs=False),
        "gradient x input": lambda x: captum.attr.InputXGradient(score).attribute(x.requires_grad_()),
        "SmoothGrad": lambda x: noisy.attribute(
            x.requires_grad_(), nt_samples=SAMPLES, nt_samples_batch_size=1, stdevs=20.0, abs=False
        ),
        "integrated gradients": lambda x: captum.attr.IntegratedGradients(score).attribute(
            x, n_steps=STEPS, internal_batch_size=BATCH
        ),
        "occlusion": lambda x: captum.attr.Occlusion(score).attribute(
            x, sliding_window_shapes=(3, PATCH, PATCH), strides=(3, PATCH, PATCH)
        ),
        "LRP-gamma": lambda x: lrp.attribute(x, target=(0, 0, 0)),
    }


def zennit_gamma(network, direction):
    """zennit's gamma rule on the convolutions."""
    import zennit.composites
    import zennit.rules
    from torch import nn

    composite = zennit.composites.LayerMapComposite(
        [(nn.Conv2d, zennit.rules.Gamma(0.25)), (nn.ReLU, zennit.rules.Pass())]
    )

    def relevance(x):
        with composite.context(network) as modified:
            x = x.clone().requires_grad_()
            phi = modified(x)
            return torch.autograd.grad(phi, x, phi.detach() * direction.view(phi.shape[1:]))[0]

    return relevance
