"""Train networks/squeezenet1_1.safetensors, the features of SqueezeNet 1.1, on rendered pictures only.

    python data/sample/make_network.py            (the course's own environment, 10 minutes of one core)
    python data/sample/make_network.py check      how it does on the leaves of the sample

The pictures are textures, shapes, and leaves with six looks. None is in the sample: other seeds, and table
and light independent of the look. The network learns to name the look of a crop and to say, cell by cell of
its last map, where there is leaf, where there is a lesion, and which colour a cell has: a network for many
purposes must not forget the table. Batch normalisation helps it learn; at the end it is folded into the
convolutions, and what is stored has torchvision's layout, in half precision.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, gaussian_filter
from torch import nn
from torch.nn import functional as F
from torchvision.models import squeezenet1_1

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
import make_leaves  # noqa: E402

from helpers.networks import MEAN  # noqa: E402

SEED, SIDE, CROP, BATCH, STEPS, RATE = 61, make_leaves.SIDE, 80, 64, 1400, 4e-3
LEAVES, PICTURES = 180, 50  # leaves of each look, pictures of each texture and shape
TARGET = Path(__file__).parent / "networks" / "squeezenet1_1.safetensors"
LOOKS = {  # colours of the spots: centre, light and dark, and rim
    "healthy": None, "black rot": make_leaves.BLACK_ROT,
    "rust": ((222, 150, 50), (200, 105, 25), (150, 90, 40)),
    "scab": ((78, 84, 48), (52, 58, 40), (60, 66, 40)),
    "mildew": ((215, 220, 210), (190, 200, 185), (170, 190, 160)), "chlorosis": None,
}  # fmt: skip
TEXTURES = ("stripes", "checks", "dots", "bricks", "grain", "clouds", "wood", "cells", "rings", "hatching")
SHAPES = ("disc", "triangle", "square", "star", "cross", "ring")
CLASSES = (*LOOKS, "table", *TEXTURES, *SHAPES)


def rendered_leaf(look, rng):
    """One leaf of a look in any light on any table: picture uint8, cover and lesions (boolean)."""
    leaf = make_leaves.plant(rng, look not in ("healthy", "chlorosis"))
    if look == "chlorosis":
        leaf["colour"], leaf["pale"] = rng.normal((150, 150, 60), 8), 0.1
    elif look != "healthy":
        leaf["palette"] = LOOKS[look]
    if look in ("mildew", "scab"):
        leaf["spots"] = [(*spot[:2], 1.3 * spot[2], *spot[3:]) for spot in leaf["spots"]]
    tabletop = tuple(rng.uniform(90, 170) + rng.normal(0, 12, 3))
    tint, hard, day = tuple(rng.normal(1, 0.04, 3)), rng.uniform(0.1, 0.9), rng.uniform(0.85, 1.15)
    session = look, 1, tabletop, tint, hard, day
    picture, cover, lesions = make_leaves.render(leaf, make_leaves.view(rng, leaf, session))
    picture = picture + rng.normal(0, rng.uniform(0.5, 4), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), cover > 0.5, lesions


def field(kind, rng):
    """A texture as numbers (SIDE, SIDE), about 0 to 1."""
    turn, period = rng.uniform(0, np.pi), rng.uniform(7, 40)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    wave = lambda t: 0.5 + 0.5 * np.clip(2 * np.sin(2 * np.pi * t / period), -1, 1)  # noqa: E731
    if kind == "stripes":
        return wave(x)
    if kind == "checks":
        return np.abs(wave(x) - wave(y))
    if kind == "dots":
        away = np.hypot((x % period) - period / 2, (y % period) - period / 2)
        return np.clip(period * rng.uniform(0.15, 0.4) - away + 0.5, 0, 1)
    if kind == "bricks":
        row = np.floor(y / period)
        return (((x + row * period) % (2 * period) > 2.5) & (y % period > 2.5)).astype(float)
    if kind in ("grain", "clouds"):
        made = make_leaves.noise(rng, rng.uniform(0.5, 1.5) if kind == "grain" else rng.uniform(6, 25))
        return np.clip(0.5 + 0.25 * made, 0, 1)
    if kind == "wood":
        return wave(x + 12 * make_leaves.noise(rng, 20) + 0.05 * y)
    if kind == "cells":
        points = rng.uniform(0, SIDE, (round((SIDE / period) ** 2) + 6, 2))
        near = np.sort(np.hypot(*(points.T[:, :, None, None] - np.mgrid[:SIDE, :SIDE][:, None])), axis=0)[:2]
        return np.clip((near[1] - near[0]) / 3, 0, 1)
    if kind == "rings":
        return wave(np.hypot(x - x.mean() + rng.normal(0, 60), y - y.mean() + rng.normal(0, 60)))
    return np.maximum(x % period < 2, (x + 0.6 * y) % (1.3 * period) < 2).astype(float)


def shapes(kind, rng):
    """A few shapes of one kind as cover (SIDE, SIDE)."""
    canvas = Image.new("L", (2 * SIDE, 2 * SIDE))
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(4, 16)):
        cx, cy, r = *rng.uniform(0, 2 * SIDE, 2), rng.uniform(12, 60)
        angle = rng.uniform(0, 6.28)
        if kind in ("disc", "ring"):
            pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=255)
            if kind == "ring":
                pen.ellipse((cx - 0.6 * r, cy - 0.6 * r, cx + 0.6 * r, cy + 0.6 * r), fill=0)
            continue
        corners = {"triangle": 3, "square": 4, "star": 10, "cross": 12}[kind]
        a = angle + 2 * np.pi * np.arange(corners) / corners
        reach = np.full(corners, r)
        if kind == "star":
            reach[::2] *= 0.45
        if kind == "cross":
            reach[::3] *= 0.4
        pen.polygon([*zip(cx + reach * np.cos(a), cy + reach * np.sin(a), strict=True)], fill=255)
    return np.asarray(canvas.reduce(2), np.float32) / 255


def drawn(kind, rng):
    """A texture or shapes in two colours, with soft light and grain: uint8 (SIDE, SIDE, 3)."""
    mix = (shapes if kind in SHAPES else field)(kind, rng)[..., None]
    first, second = rng.uniform(20, 235, (2, 3))
    while np.abs(first - second).max() < 60:
        second = rng.uniform(20, 235, 3)
    light = 1 + 0.1 * make_leaves.noise(rng, 40)[..., None]
    picture = (first + mix * (second - first)) * light + rng.normal(0, rng.uniform(0, 6), (SIDE, SIDE, 1))
    return np.clip(gaussian_filter(picture, (0.5, 0.5, 0)), 0, 255).astype(np.uint8)


def pictures():
    """Everything to learn from: images uint8 (n, 3, S, S), looks (n,), cover and lesions uint8 (n, S, S)."""
    images, labels, covers, lesions = [], [], [], []
    for look in LOOKS:
        for index in range(LEAVES * (2 if look in ("healthy", "black rot") else 1)):
            rng = np.random.default_rng([SEED, CLASSES.index(look), index])
            for collected, part in zip((images, covers, lesions), rendered_leaf(look, rng), strict=True):
                collected.append(part)
            labels.append(CLASSES.index(look))
    for kind in (*TEXTURES, *SHAPES):
        for index in range(PICTURES):
            images.append(drawn(kind, np.random.default_rng([SEED, CLASSES.index(kind), index])))
            labels.append(CLASSES.index(kind))
            covers.append(np.zeros((SIDE, SIDE), bool))
            lesions.append(covers[-1])
    images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(labels), *(torch.from_numpy(np.stack(part)) for part in (covers, lesions))


def batch_of(data, rng):
    """Crops of random size, place, turn and light, with the look of each and what its cells show."""
    images, labels, covers, lesions = data
    window = round(CROP / rng.choice([1, 0.87, 0.7, 0.5]))
    leaf = rng.permutation(np.flatnonzero(labels.numpy() < len(LOOKS)))[:BATCH * 5 // 8]
    other = rng.permutation(np.flatnonzero(labels.numpy() >= len(LOOKS)))[:BATCH - len(leaf)]
    x, show, y = [], [], []
    for row in np.concatenate([leaf, other]):
        spotted = lesions[row].any() and rng.random() < 0.7
        middle = rng.integers(0, SIDE, 2)
        if spotted:  # most crops of a sick leaf shall show it
            middle = np.divmod(rng.choice(np.flatnonzero(lesions[row].numpy())), SIDE)
        top, left = np.clip(middle - rng.integers(window // 5, window - window // 5, 2), 0, SIDE - window)
        part = slice(top, top + window), slice(left, left + window)
        turn, mirror = int(rng.integers(4)), bool(rng.integers(2))
        planes = [images[row][:, *part], torch.stack([covers[row][part], lesions[row][part]])]
        planes = [plane.rot90(turn, (1, 2)) for plane in planes]
        planes = [plane.flip(2) for plane in planes] if mirror else planes
        x.append(planes[0])
        show.append(planes[1])
        label = int(labels[row])
        if label < len(LOOKS):
            sick = CLASSES[label] not in ("healthy", "chlorosis")
            if planes[1][0].float().mean() < 0.08:
                label = CLASSES.index("table")
            elif sick and planes[1][1].float().sum() < 20 * (window / CROP) ** 2:
                label = CLASSES.index("healthy")
        y.append(label)
    x = F.interpolate(torch.stack(x).float(), size=(CROP, CROP), mode="bilinear", antialias=True)
    gain = torch.tensor(rng.normal(1, 0.05, (BATCH, 3, 1, 1)) * rng.normal(1, 0.1, (BATCH, 1, 1, 1)))
    x = (x * gain).clamp(0, 255).float() - 255 * torch.tensor(MEAN).view(1, 3, 1, 1)
    return x.to(memory_format=torch.channels_last), torch.stack(show).float(), torch.tensor(y)


class Learner(nn.Module):
    """SqueezeNet's features with batch normalisation behind every convolution, and two heads of 1x1."""

    def __init__(self):
        super().__init__()
        self.features = squeezenet1_1().features
        for name, layer in list(self.features.named_modules()):
            if isinstance(layer, nn.Conv2d):
                parent, _, last = name.rpartition(".")
                pair = nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
                setattr(self.features.get_submodule(parent), last, pair)
        self.drop, self.look, self.cells = nn.Dropout(0.2), nn.Linear(512, len(CLASSES)), nn.Conv2d(512, 5, 1)

    def forward(self, x):
        maps = self.features(x)
        return self.look(self.drop(maps.mean((2, 3)))), self.cells(maps)


def folded(features):
    """State of torchvision's squeezenet1_1().features that computes what normalised features compute."""
    state = {}
    for name, layer in features.named_modules():
        if isinstance(layer, nn.Sequential) and len(layer) == 2 and isinstance(layer[1], nn.BatchNorm2d):
            convolution, norm = layer
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            state[f"{name}.weight"] = (convolution.weight * scale.view(-1, 1, 1, 1)).detach()
            state[f"{name}.bias"] = ((convolution.bias - norm.running_mean) * scale + norm.bias).detach()
    return state


def train(data, steps=STEPS, report=print):
    """The learner after so many steps of AdamW with one rise and fall of the rate, in evaluation mode."""
    torch.manual_seed(SEED)
    rng, model = np.random.default_rng(SEED), Learner().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    seen, start = [], time.time()
    for step in range(steps):
        x, show, y = batch_of(data, rng)
        look, cells = model(x)
        shown = F.adaptive_avg_pool2d(show, cells.shape[2:])
        target = torch.stack([(shown[:, 0] > 0.5), (shown[:, 1] > 0.02)], 1).float()
        colour = F.adaptive_avg_pool2d(x, cells.shape[2:]) / 64
        loss = (F.cross_entropy(look, y) + 2 * F.binary_cross_entropy_with_logits(cells[:, :2], target)
                + F.mse_loss(cells[:, 2:], colour))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        lesion = ((cells[:, 1] > 0) == target[:, 1].bool()).float().mean()
        seen.append((loss.item(), (look.argmax(1) == y).float().mean().item(), lesion.item()))
        if (step + 1) % 100 == 0:
            loss, right, cell = np.mean(seen[-100:], axis=0)
            report(f"step {step + 1}: loss {loss:.3f}, look right {right:.2f}, lesion cells {cell:.3f}, "
                   f"{time.time() - start:.0f} s")
    return model.eval()


def main():
    from safetensors.torch import save_file

    start = time.time()
    data = pictures()
    print(f"{len(data[0])} pictures of {len(CLASSES) - 1} looks, {time.time() - start:.0f} s", flush=True)
    state = folded(train(data).features)
    network = squeezenet1_1().features
    network.load_state_dict(state)
    with torch.no_grad():  # ReLU networks are homogeneous: give the last maps about the size of ImageNet's
        maps = network.eval()(batch_of(data, np.random.default_rng(SEED))[0])
        size = 10 / maps[maps > 0].mean()
    for part in ("expand1x1", "expand3x3"):
        for kind in ("weight", "bias"):
            state[f"12.{part}.{kind}"] *= size
    TARGET.parent.mkdir(exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in state.items()}, TARGET)


def check(pictures=10):
    """Print what the stored network makes of the sample: AUC, and hit rates of heatmaps."""
    import os

    os.environ["DATA"] = "sample"
    from helpers import datasets, heatmaps, networks, scoring

    frame, cuts = datasets.load_leaves("color"), datasets.load_leaves("segmented")
    leaf, lesion = datasets.leaf_truth(datasets.load_leaves("masks")["path"])
    sick, groups = (frame["label"] == "black rot").to_numpy(), frame["leaf"].to_numpy()
    train, test = ((frame["split"] == split).to_numpy() for split in ("train", "test"))
    network, photographs = networks.load_network(), networks.load_images(frame["path"])
    mean_colour = torch.tensor(MEAN).mul(255).round().to(torch.uint8).view(1, 3, 1, 1)
    wide = torch.from_numpy(np.stack([binary_dilation(mask, iterations=4) for mask in leaf]))[:, None]
    emptied = torch.where(wide, mean_colour, photographs)
    cutouts, directions = networks.load_images(cuts["path"]), {}
    for kind, images in (("photographs", photographs), ("cut-outs", cutouts), ("background", emptied)):
        rows = networks.features(network, images, cache=False)
        w = networks.difference_of_means(rows[train & ~sick], rows[train & sick])
        area, low, high = scoring.auc_interval((rows @ w)[test], sick[test], groups[test])
        print(f"difference of means, {kind:12s} AUC {area:.3f}  (95 % interval {low:.3f} to {high:.3f})")
        directions[kind] = w
    shown = np.flatnonzero(sick & test)[:: max(1, (sick & test).sum() // pictures)]
    images, truth = photographs[shown], lesion[shown]
    methods = {
        "random": lambda *_: torch.rand(truth.shape, generator=torch.Generator().manual_seed(SEED)),
        "sensitivity": heatmaps.sensitivity, "gradient x input": heatmaps.gradient_times_input,
        "SmoothGrad": lambda *args: heatmaps.smooth_grad(*args, samples=8),
        "LRP-gamma": heatmaps.relevance,
        "LRP-gamma, box": lambda *args: heatmaps.relevance(*args, box=heatmaps.BOX),
    }  # fmt: skip
    print(f"{len(shown)} sick photographs, {truth.mean():.3f} of all pixels lesion: pointing, mass, rank")
    for name, method in methods.items():
        maps = method(network, directions["photographs"], images).numpy()
        rates = scoring.pointing_game, scoring.relevance_mass, scoring.relevance_rank
        hits = [rate(maps, truth) for rate in rates]
        print(f"{name:18s}" + "".join(f"{values.mean():8.2f} ± {values.std():.2f}" for values in hits))


if __name__ == "__main__":
    check() if sys.argv[1:] == ["check"] else main()
