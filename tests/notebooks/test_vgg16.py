"""What notebooks 31 to 39 do to the network itself works on VGG-16 too.

Its weights are large, so a narrow one (all 31 layers, an eighth of the channels, untrained) takes small,
random pictures through the cells that cut it, name its layers or count its maps.
"""

import copy
from types import SimpleNamespace

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models import vgg

from course.notebooks import find
from helpers import datasets, networks

SIDE, MAPS = 64, 64  # pixels; maps of the narrow network's last layer, 2 x 2 cells each
SETTINGS = {"SEED": 0, "DEVICE": "cpu", "NETWORK": "vgg16", "SIZE": SIDE, "TUNED": 4, "EPOCHS": 1, "SEEDS": 2,
            "SUBSETS": 2, "PICTURES": 2, "PAINTS": 2, "SAMPLES": 2, "STEPS": 2, "PATCH": 32, "GAMMA": 0.25,
            "EPSILON": 0.25, "BLUR": 4}


@pytest.fixture(scope="module")
def narrow():
    """What load_network makes of a VGG-16 with the layers of torchvision's and an eighth of their width."""
    torch.manual_seed(0)
    parts = vgg.make_layers([width if width == "M" else width // 8 for width in vgg.cfgs["D"]])
    for layer in parts:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "vgg16", lambda weights: SimpleNamespace(features=parts))
        return networks.load_network("vgg16", weights=None)


@pytest.fixture
def cells(narrow, monkeypatch):
    """Run cells of a notebook, its imports first, on what is given: the variables afterwards."""
    mpl.use("agg")
    monkeypatch.setattr(networks, "load_network", lambda *_, **__: copy.deepcopy(narrow))
    monkeypatch.setattr(datasets, "load_leaves", lambda *_, **__: pytest.fail("no photographs are needed"))

    def run(number, *names, **given):
        sources = {cell.id: cell.source for cell in nbformat.read(find(number), 4).cells}
        space = {**SETTINGS, "__name__": "__main__"}
        exec(sources[f"code-{number}-02"], space)
        space |= {"network": copy.deepcopy(narrow), "w": direction(), **given}
        for name in names:
            exec(compile(sources[f"code-{number}-{name}"], name, "exec"), space)
        return space

    return run


def direction(seed=2):
    return np.random.default_rng(seed).normal(size=4 * MAPS).astype(np.float32)


def pictures(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(30, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def halves(count):
    """Sick or not, turn by turn, and rows of three splits."""
    train, validation, test = np.split(np.arange(count), [count - 16, count - 8])
    return np.arange(count) % 2 == 1, {"train": train, "validation": validation, "test": test}


def test_31_counts_first_kernels_and_last_maps(cells, capsys):
    space = cells("31", "14", "15", pixels=pictures(2))
    assert "first convolution: 224 for 8 maps" in capsys.readouterr().out
    assert (space["maps"], space["height"], space["width"]) == (MAPS, 2, 2)
    assert space["pooled"](np.ones((3, 4 * MAPS))).shape == (3, MAPS)


def test_32_measures_the_field_that_the_formula_gives(cells):
    space = cells("32", "17", "18")
    assert len(space["looking"]) == 18
    space["looking"] = [4, 9, 16, 23, 30]  # the poolings; a field in double precision takes half a second
    space = cells("32", "19", "20", "21", "22", "23", "24", "25", **space | {"pixels": pictures(10)})
    assert [*space["fields"].values()][-1] == 212
    assert space["stages"][30].shape == (10, MAPS, 2, 2)


def test_34_gradients_and_both_layers_of_grad_cam(cells, capsys):
    space = cells("34", "04", "06", "07", "cam", images=pictures(2))
    said = capsys.readouterr().out
    assert "same as the helper: True" in said
    assert "steepest inputs is below 1e-5: True" in said
    assert space["LAYERS"] == {"last": 30, "middle": 29}


def test_35_rules_by_hand_are_those_of_the_library(cells, capsys):
    cells("35", "05", "07", "08", "damped", photographs=pictures(4))
    said = capsys.readouterr().out
    assert said.count("by hand = library: True") == 2
    assert "False" not in said


def test_36_all_methods_and_random_layers(cells):
    truth = np.zeros((4, SIDE, SIDE), bool)
    truth[:, 20:30, 20:40] = True
    space = cells("36", "14", "18", "permuted", "21", "22", clean=pictures(2), painted=pictures(4, 3),
                  truth=truth, chosen=np.arange(2), first=slice(0, 2), group=np.arange(4) % 2,
                  after=np.linspace(1, 2, 4))
    assert {name: values.shape for name, values in space["maps"].items()} == {
        name: (4 if name in space["FULL"] else 2, SIDE, SIDE) for name in space["METHODS"]}
    assert space["layers"] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_37_every_way_is_trained_and_explained(cells):
    sick, rows = halves(40)
    space = cells("37", "04", "05", "06", cutouts=pictures(40), photographs=pictures(40, 2), sick=sick,
                  rows=rows, leaf=np.arange(40) // 2)
    assert (space["EARLY"], space["CUT"], space["CELLS"]) == (10, 21, 4)
    for way, (fed, _) in space["WAYS"].items():
        x = space["fed"]["cut-outs"][fed]
        model, history = space["train"](way, *space["plain"](x, rows["train"][:4]), 0, epochs=1)
        assert np.isfinite(space["logits"](model, x)).all()
        assert len(history) == 1
    space["fed"]["photographs"] = space["activations"](space["photographs"])
    space = cells("37", "23", **space)
    shapes = {name: values.shape for name, values in space["shares"].items()}
    assert shapes == {"before": (2, 4), "after": (2, 4)}  # (seed, photograph)


def test_38_worlds_are_tuned_tested_and_explained(cells):
    sick, rows = halves(40)
    names = ("photographs", "cut-outs", "rendered")
    same = {"rows": rows, "leaf": np.arange(40) // 2, "session": np.arange(40) % 4}
    given = {name: {world: value for world in names} for name, value in same.items()}
    given["pictures"] = {name: pictures(40, seed) for seed, name in enumerate(names)}
    space = cells("38", "04", "17", "20", "23", sick={name: sick for name in names}, **given)
    assert len(space["models"]) == 4 * SETTINGS["SEEDS"]
    assert space["heat"]["rendered", 0].shape == (4, SIDE, SIDE)


def test_39_pretrained_features_of_patches(cells):
    generator = torch.Generator().manual_seed(0)
    names = "train", "validation", "healthy"
    patches = {name: torch.rand(60, 3, 32, 32, generator=generator) for name in names}
    space = cells("39", "06", "08", "paint", "features", patches=patches, source={"healthy": np.arange(60)},
                  leaf=np.arange(60))
    assert space["learned"]["pretrained features"][0].shape == (60, MAPS)
