"""Heatmaps per second of SqueezeNet 1.1 at batch 16, beside captum and zennit on the same images."""

from functools import partial

import numpy as np
import torch

from benchmarks import seconds
from helpers import heatmaps, networks

BATCH, FEW, SAMPLES, STEPS, PATCH = 16, 4, 25, 32, 16
SLOW = ("SmoothGrad", "integrated gradients", "occlusion")  # get FEW images, in BATCH copies at a time


def run():
    """Rows: method, heatmaps per second of ours, of captum and zennit on the same channels-last network, of
    captum in PyTorch's default memory layout, and ours over the faster of the two libraries in each layout.

    The slow methods run on fewer images: their cost per image does not depend on how many there are.
    """
    torch.manual_seed(0)
    images = 60 * torch.randn(BATCH, 3, networks.SIZE, networks.SIZE)
    rows = []
    for name, functions in contestants(images).items():
        found = rates(functions, rounds=4 if name in SLOW else 6)
        rows.append({"method": name, **row({"zennit": float("nan"), **found})})
    return rows


def rates(functions, rounds):
    """{who: images per second} of {who: (function, its images)}."""
    for function, images in functions.values():
        function(images[:1])  # warm-up
    calls = {who: partial(function, images) for who, (function, images) in functions.items()}
    return {who: len(functions[who][1]) / taken for who, taken in seconds(calls, rounds).items()}


def contestants(images):
    """{method: {who: (function, its images)}}; each pass of the network has BATCH images, whoever asks.

    Larger batches are slower per image on a CPU: beside a smaller one they say nothing about the code.
    """
    network = networks.load_network()
    contiguous = networks.load_network().to(memory_format=torch.contiguous_format)
    direction = torch.randn(network(images[:1]).numel()) / 300
    same, default = captum_methods(network, direction), captum_methods(contiguous, direction)
    methods = {}
    for name, ours in our_methods(network, direction).items():
        x = images[:FEW] if name in SLOW else images
        last = x.contiguous(memory_format=torch.channels_last)
        methods[name] = {"ours": (ours, last), "captum": (same[name], last), "default": (default[name], x)}
        if name == "LRP-gamma":
            methods[name]["zennit"] = zennit_gamma(network, direction), last
    return methods


def our_methods(network, direction):
    """The helpers' function of each method."""
    clone = heatmaps.biased(network)
    methods = {
        "sensitivity": (network, heatmaps.sensitivity),
        "gradient x input": (network, heatmaps.gradient_times_input),
        "SmoothGrad": (network, partial(heatmaps.smooth_grad, samples=SAMPLES)),
        "integrated gradients": (network, partial(heatmaps.integrated_gradients, steps=STEPS)),
        "occlusion": (network, partial(heatmaps.occlusion, patch=PATCH)),
        "LRP-gamma": (clone, heatmaps.relevance),
    }
    return {
        name: lambda x, given=given, function=function: function(given, direction, x, batch=BATCH)
        for name, (given, function) in methods.items()
    }


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
            x.requires_grad_(), nt_samples=SAMPLES, nt_samples_batch_size=BATCH // FEW, stdevs=20.0, abs=False
        ),
        "integrated gradients": lambda x: captum.attr.IntegratedGradients(score).attribute(
            x, n_steps=STEPS, internal_batch_size=BATCH
        ),
        "occlusion": lambda x: captum.attr.Occlusion(score).attribute(
            x,
            sliding_window_shapes=(3, PATCH, PATCH),
            strides=(3, PATCH, PATCH),
            perturbations_per_eval=BATCH // FEW,
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
