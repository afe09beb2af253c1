"""Pretrained feature extractors: weights, preprocessing, batched features, difference of means."""

import contextlib
import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from helpers import datasets, files

NETWORKS = ("squeezenet1_1", "vgg16")
SIZE = 224  # pixels a side, what both networks were trained on
MEAN = (0.48235, 0.45882, 0.40784)  # RGB in 0..1; the standard deviation is 1/255 in every channel
CACHED_FILES = 12
VERSION = 1  # part of the cache key: raise it when decoding, preprocessing or an architecture changes
BATCH = 8  # on a CPU larger batches fall out of the cache and are slower per image
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def load_network(name="squeezenet1_1", weights="imagenet"):
    """Return the convolutional part of a network: evaluation mode, frozen, no in-place ReLU, channels-last.

    name: "squeezenet1_1" (224x224 pixels give 512 maps of 13x13) or "vgg16" (512 maps of 7x7).
    weights: "imagenet", or None for untrained ones. Raises ValueError for other values of either.
    Sources: arXiv:1602.07360, arXiv:1409.1556.
    """
    from torchvision import models

    if name not in NETWORKS:
        raise ValueError(f"network: {name!r} is not known; allowed are {' and '.join(map(repr, NETWORKS))}")
    if weights not in ("imagenet", None):
        raise ValueError(f"weights: {weights!r} is not known; allowed are 'imagenet' and None (untrained)")
    network = getattr(models, name)(weights=None).features
    if weights:
        network.load_state_dict({"squeezenet1_1": _squeezenet_weights, "vgg16": _vgg16_weights}[name]())
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # an in-place ReLU overwrites what a hook or a second pass still needs
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _squeezenet_weights():
    """State of squeezenet1_1().features from the Keras file: kernels HWIO to OIHW, first one BGR to RGB."""
    path = datasets.network_weights("squeezenet1_1")
    if path.suffix == ".safetensors":  # the sample's network, in half precision
        from safetensors.torch import load_file

        return {name: tensor.float() for name, tensor in load_file(path).items()}
    import h5py

    layers = {"conv1": "0"}
    for fire, index in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True):
        for part in ("squeeze1x1", "expand1x1", "expand3x3"):
            layers[f"fire{fire}/{part}"] = f"{index}.{part}".replace("squeeze1x1", "squeeze")
    state = {}
    with h5py.File(path, "r") as file:
        for keras, ours in layers.items():
            kernel, bias = (file[keras][name.decode()][()] for name in file[keras].attrs["weight_names"])
            state[f"{ours}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"{ours}.bias"] = torch.from_numpy(bias)
    return state | {"0.weight": state["0.weight"].flip(1)}


def _vgg16_weights():
    """State of vgg16().features: a features-only file of one's own, else torchvision's verified download."""
    path = datasets.network_weights("vgg16")
    if path is None:
        from torchvision.models import VGG16_Weights

        state = VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(check_hash=True, progress=False)
    elif path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True)
    return {key.removeprefix("features."): value for key, value in state.items()
            if not key.startswith("classifier")}


def read_image(path, size=SIZE):
    """Decode one photograph: uint8 (3, size, size) in RGB, bilinearly resized, channels-last in memory.

    Raises ValueError naming the file where it does not decode, is not RGB or has a side under 16 pixels.
    """
    try:
        with Image.open(path) as image:
            mode, sides = image.mode, image.size
            if mode == "RGB" and min(sides) >= 16:
                return torch.from_numpy(np.array(image.resize((size, size), Image.BILINEAR))).permute(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"image: '{path}' does not decode ({error}); allowed are photographs") from None
    if mode != "RGB":
        raise ValueError(f"image: '{path}' has mode {mode!r}; allowed is 'RGB', three channels of 8 bits")
    raise ValueError(f"image: '{path}' has {sides[0]}x{sides[1]} pixels; allowed are at least 16x16")


def image_batches(paths, batch=BATCH, size=SIZE, threads=2):
    """Yield uint8 (b, 3, size, size) tensors while threads decode the next two batches."""
    paths, waiting = list(paths), deque()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths) + 2 * batch, batch):
            waiting.append([pool.submit(read_image, path, size) for path in paths[start:start + batch]])
            if len(waiting) > 2 and (ready := waiting.popleft()):
                yield torch.stack([future.result().permute(1, 2, 0) for future in ready]).permute(0, 3, 1, 2)


def load_images(paths, size=SIZE):
    """Decode photographs in threads: uint8 (n, 3, size, size), RGB; errors as in `read_image`."""
    return torch.cat(list(image_batches(paths, 32, size)))


def preprocess(images):
    """uint8 (n, 3, h, w) or (3, h, w) RGB -> float32, zero-mean per channel, on a scale of 255.

    Raises TypeError for another type and ValueError for another shape.
    """
    kind = getattr(images, "dtype", type(images).__name__)
    if kind is not torch.uint8:
        raise TypeError(f"images: {kind} is not allowed; give a tensor of torch.uint8")
    if images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise ValueError(f"images: shape {tuple(images.shape)} is not allowed; give ([n,] 3, height, width)")
    return images.float() - 255 * torch.tensor(MEAN, device=images.device).view(3, 1, 1)


def features(network, images, batch=BATCH, cache=True):
    """Flattened activations of the last layer, (n, d) float32 array, one row per image.

    images: paths of photographs (decoded while the network computes), uint8 (n, 3, h, w), or float images
    that are preprocessed already. cache: keep the result in the data cache under a key made of the images'
    contents, the weights and the code version, so that no notebook computes it twice.
    Raises ValueError for no images, and as `read_image` and `preprocess` do.
    """
    images = images if isinstance(images, torch.Tensor) else [Path(path) for path in images]
    if len(images) == 0:
        raise ValueError("images: an empty list is not allowed; give at least one")
    if cache:
        file = files.cache_folder() / "features" / f"{_cache_key(network, images)}.npy"
        try:
            result = np.load(file)
            os.utime(file)
            return result
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError) as error:
            files.LOG.warning("features: cache file %s is not readable (%s); it is made again", file, error)
    place, rows = next(network.parameters()).device, []
    batches = images.split(batch) if isinstance(images, torch.Tensor) else image_batches(images, batch)
    with torch.inference_mode():
        for part in batches:
            part = part if part.is_floating_point() else preprocess(part)
            part = part.to(place, memory_format=torch.channels_last)
            rows.append(network(part).flatten(1).float().cpu().numpy())
    result = np.concatenate(rows)
    if cache:
        _write_cache(file, result)
    return result


def _cache_key(network, images):
    """Content hash of images, weights and layers: equal keys mean equal features."""
    digest = hashlib.sha256(f"{VERSION} {SIZE} {network}".encode())
    for value in network.state_dict().values():
        digest.update(value.cpu().contiguous().numpy())
    if isinstance(images, torch.Tensor):
        digest.update(f"{images.dtype} {tuple(images.shape)}".encode())
        digest.update(images.cpu().contiguous().numpy())
    else:
        for path in images:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _write_cache(file, array):
    """Write under a temporary name, then rename; a read-only or full disk costs only the cache."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.part")
        try:
            with open(partial, "wb") as stream:
                np.save(stream, array)
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)
        for old in sorted(file.parent.glob("*.npy"), key=os.path.getmtime)[:-CACHED_FILES]:
            old.unlink(missing_ok=True)


def class_folders(root):
    """Photographs of your own: `root` holds one folder per class; returns (paths, class names), sorted.

    Raises ValueError where there are fewer than two classes or a class has no photograph.
    """
    found = {folder.name: sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
             for folder in sorted(Path(root).iterdir()) if folder.is_dir()}
    empty = [name for name, paths in found.items() if not paths]
    if len(found) < 2 or empty:
        problem = f"no photograph in {empty}" if empty else f"{len(found)} class folders {list(found)}"
        raise ValueError(f"root: '{root}' has {problem}; allowed are two or more folders with photographs")
    names = np.repeat(list(found), [len(paths) for paths in found.values()])
    return [path for paths in found.values() for path in paths], names


def difference_of_means(first, second):
    """Unit vector (d,) from the mean of `first` (n, d) to the mean of `second` (m, d).

    Raises ValueError where an array is empty or not a matrix, widths differ, or the means coincide.
    """
    first, second = np.asarray(first), np.asarray(second)
    for name, rows in (("first", first), ("second", second)):
        if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != first.shape[1]:
            raise ValueError(f"{name}: shape {rows.shape} is not allowed; give (n, d), n > 0, with equal d")
    step = second.mean(0, dtype=float) - first.mean(0, dtype=float)
    length = np.linalg.norm(step)
    if not 0 < length < np.inf:
        raise ValueError(f"second: its mean lies {length} away; allowed are finite means that differ")
    return (step / length).astype(np.float32)
