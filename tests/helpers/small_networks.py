"""Small networks, pictures and directions that the tests of heatmaps and of LRP share."""

import torch
from torch import nn

from helpers import networks

SIDE = 40
KINDS = ["small", "squeezenet1_1", "vgg16"]


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


def case_of(kind):
    """(network, direction, images) in float64: a small net, or one of both architectures, untrained."""
    torch.manual_seed(0)
    if kind == "small":
        network = small()
    else:
        network = networks.load_network(kind, weights=None).double()
        for module in network.modules():  # untrained biases are zero or small: make them count
            if isinstance(module, nn.Conv2d):
                module.bias.normal_(std=0.3)
                module.weight.mul_(1.5)
    images = pictures()
    return network, direction_for(network, images), images


def score(network, direction):
    return lambda x: network(x).flatten(1) @ direction
