"""Pretrained feature extractors: weights, preprocessing, batched features, difference of means."""

import contextlib
import difflib
import hashlib
import inspect
import os
from functools import partial
from itertools import chain

import numpy as np
import PIL
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedParameter

from helpers import files
from helpers.arguments import positive, torch_module, whole_number
from helpers.images import (
    BATCH,
    SIZE,
    as_paths,
    class_folders,
    from_array,
    image_batches,
    load_images,
    read_image,
)
from helpers.runtime import progress
from helpers.weights import squeezenet1_1, vgg16

NETWORKS = ("squeezenet1_1", "vgg16")
MEAN = (0.48235, 0.45882, 0.40784)  # RGB in 0..1; the standard deviation is 1/255 in every channel
CACHED_BYTES = 2 * 10**9  # the features of 5,000 photographs are 1.7 GB, all of the course's 1 GB
STANDARD = (nn.Sequential, nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AdaptiveAvgPool2d,
            nn.Flatten, nn.Dropout)  # their print and weights say all that they compute
FAMILIES = tuple(f"torchvision.models.{name}" for name in ("alexnet", "resnet", "squeezenet", "vgg"))
VERSION = 2  # part of the cache key: raise it when decoding, preprocessing or an architecture changes
__all__ = ["class_folders", "image_batches", "load_images", "read_image"]  # of helpers.images, for notebooks


def load_network(name="squeezenet1_1", weights="imagenet"):
    """Return a pretrained network: evaluation mode, frozen, no in-place activation, channels-last.

    name: "squeezenet1_1" (224x224 pixels give 512 maps of 13x13) or "vgg16" (512 maps of 7x7), convolutional
    part only; or any other classification network of torchvision, whole, to be used with `layer=`.
    weights: "imagenet" (torchvision's default ones, downloaded, for the others), or None for untrained ones.
    The preprocessing that belongs to the weights goes with the network (`preprocessing_of`).
    Raises ValueError for other values of either. Sources: arXiv:1602.07360, arXiv:1409.1556.
    """
    from torchvision import models

    allowed = (*NETWORKS, *sorted(set(models.list_models(module=models)) - set(NETWORKS)))
    if name not in allowed:
        raise ValueError(f"network: {name!r} is not known; allowed are {' and '.join(map(repr, NETWORKS))}, "
                         f"and of torchvision {', '.join(allowed[2:])}")
    if weights not in ("imagenet", None):
        raise ValueError(f"weights: {weights!r} is not known; allowed are 'imagenet' and None (untrained)")
    if name in NETWORKS:
        network, own = getattr(models, name)(weights=None).features, preprocess
        if weights:
            network.load_state_dict({"squeezenet1_1": squeezenet1_1, "vgg16": vgg16}[name]())
    else:
        default = models.get_model_weights(name).DEFAULT
        network = models.get_model(name, weights=default if weights else None)
        own = partial(normalised, mean=default.transforms().mean, std=default.transforms().std)
    for module in network.modules():
        module.preprocess = own  # on every part, so that a slice or a new head on top knows it too
        if getattr(module, "inplace", False):
            module.inplace = False  # in place it would overwrite what a hook or a second pass still needs
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def normalised(images, mean, std):
    """uint8 (n, 3, h, w) RGB -> float32, (x / 255 - mean) / std: what torchvision's own weights expect."""
    preprocess(images)  # refuses other types and shapes
    for value in np.ravel(std).tolist():
        positive("std", value)
    mean, std = (torch.tensor(value, device=images.device).view(3, 1, 1) for value in (mean, std))
    return (images.float() / 255 - mean) / std


def preprocessing_of(network):
    """The function from uint8 images to floats that belongs to a network's weights.

    It is the attribute `preprocess` of the network or of one of its parts, as `load_network` sets it. Raises
    ValueError where there is none: a wrong mean or scale gives features that look right and are not.
    """
    for module in network.modules():
        if callable(getattr(module, "preprocess", None)):
            return module.preprocess
    raise ValueError("network: its preprocessing is not known; set network.preprocess to a function from "
                     "uint8 images to floats, such as networks.preprocess, or give float images")


def preprocessed(network, images):
    """uint8 images as the network's preprocessing makes them; float images as they are.

    Raises ValueError where the result is no tensor of finite floats, or no longer one entry for each image.
    """
    if images.is_floating_point():
        said, result = "images: some are", images
    else:
        said, result = "network: its preprocessing makes some", preprocessing_of(network)(images)
        kind = getattr(result, "dtype", type(result).__name__)
        if not (isinstance(result, torch.Tensor) and result.is_floating_point()):
            raise ValueError(f"network: its preprocessing gives {type(result).__name__} of {kind}; allowed "
                             "is a tensor of floats, made from images.float(): whole numbers wrap around")
        if result.shape[:1] != images.shape[:1]:
            raise ValueError(f"network: its preprocessing makes {tuple(result.shape)} of "
                             f"{tuple(images.shape)}; allowed is one result for each image")
    if not result.isfinite().all():
        raise ValueError(f"{said} NaN or infinite; allowed are finite numbers")
    return result


@contextlib.contextmanager
def evaluation(network):
    """The network in evaluation mode for as long as the block lasts; each part's own mode afterwards.

    Raises ValueError for weights without values, a forward pass that needs more than images, and batch
    normalisation without running statistics, by which the images of a batch would change each other's.
    """
    lazy = [name for name, value in network.named_parameters() if isinstance(value, UninitializedParameter)]
    if lazy:
        raise ValueError(f"network: {lazy[0]} has no values yet; run the network once on images of your size")
    needed = [name for name, value in inspect.signature(network.forward).parameters.items()
              if value.default is value.empty and value.kind not in (value.VAR_POSITIONAL, value.VAR_KEYWORD)]
    if len(needed) > 1:
        raise ValueError(f"network: its forward pass needs {' and '.join(needed)}; wrap it in a module "
                         "that needs images alone")
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ValueError(f"network: {name or 'it'} normalises by the batch even in evaluation mode; give "
                             "a network with running statistics (track_running_stats=True)")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield network
    finally:
        for module, mode in modes.items():
            module.training = mode


def standard(network):
    """Whether layers of torch and torchvision alone make it, whose print and weights say what it computes.

    False for classes, forward passes and hooks of one's own, which say neither.
    """
    return not any(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
                   or not (type(module) in STANDARD or type(module).__module__ in FAMILIES)
                   for module in network.modules())


def first_weight(network):
    """The first parameter or buffer of floats: its type and device are those that images need."""
    values = (value for value in chain(network.parameters(), network.buffers()) if value.is_floating_point())
    return next(values, torch.empty(0))


def layout(network):
    """The memory format for images: channels-last where weights lie so, as `load_network` leaves them.

    Elsewhere the usual one: `x.view(len(x), -1)` in a forward pass of one's own takes no other.
    """
    last = any(value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
               and not value.is_contiguous() for value in network.parameters())
    return torch.channels_last if last else torch.contiguous_format


def named_layer(network, name):
    """The part of a network with this name; ValueError with the nearest names where it has none."""
    parts = dict(network.named_modules())
    if name not in parts or name == "":
        close = difflib.get_close_matches(str(name), parts, 3, 0.3) or list(parts)[1:4]
        raise ValueError(f"layer: {name!r} is not known; allowed are names of network.named_modules(), such "
                         f"as {', '.join(map(repr, close))}")
    return parts[name]


@contextlib.contextmanager
def kept_output(module, inputs=False):
    """A list that collects what the module gives at each call, or (first input, output).

    The network goes on with a copy, so that what works in place behind the module overwrites nothing.
    """
    kept = []

    def keep(_, given, output):
        kept.append((given[0].detach().clone(), single(output)) if inputs else single(output))
        return output.clone()

    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError("network: a ScriptModule takes no hooks; give the module that it was made of")
    hook = module.register_forward_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()


def single(output):
    """The output itself; ValueError where it is not one tensor."""
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"network: it gives a {type(output).__name__}, not one tensor; wrap it in a module "
                         "that returns the one to explain, or name another layer")
    return output


def rows(output, images, what="network: it"):
    """The output as (n, d), a row for each image; ValueError where its first axis does not count them."""
    if output.shape[:1] != (len(images),):
        raise ValueError(f"{what} gives {tuple(output.shape)} for {len(images)} images; allowed is an output "
                         "whose first axis is the images'")
    return output.reshape(len(images), -1)


def once(kept, layer):
    """The one output that `kept_output` collected; ValueError where the layer works more often, or never."""
    if len(kept) != 1:
        raise ValueError(f"layer: {layer!r} works {len(kept)} times in one pass; give one that works once")
    return kept.pop()


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


def features(network, images, batch=BATCH, cache=True, layer=None):
    """Flattened activations of a layer, (n, d) float32 array, one row per image.

    images: paths of photographs (decoded while the network computes), uint8 (n, 3, h, w), or float images
    that are preprocessed already. layer: a name of network.named_modules(), None for what the network gives.
    cache: keep the result in the data cache (the 2 GB used last), so that no notebook computes it twice,
    under a key of the images' contents, the weights, and the versions of code, torch and Pillow; for networks
    (`standard`) and preprocessing of `load_network` alone, since a key does not tell code of one's own.
    The network is left as it was, its mode too.
    Raises ValueError for no images, an unknown layer or preprocessing, and as `read_image` does.
    """
    whole_number("batch", batch), torch_module("network", network)
    images = from_array(images)
    if not isinstance(images, torch.Tensor):
        images = as_paths("images", images)
    elif images.ndim != 4 or len(images) == 0:
        raise ValueError(f"images: shape {tuple(images.shape)} is not allowed; give (n, 3, height, width)")
    module = network if layer is None else named_layer(network, layer)
    cache = cache and standard(network) and _known(_preprocessing(network, images))
    if cache:
        file = files.features_folder() / f"{_cache_key(network, images, layer)}.npy"
        try:
            result = np.load(file)
            os.utime(file)
            return result
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError) as error:
            files.LOG.warning("features: cache file %s is not readable (%s); it is made again", file, error)
    batches = images.split(batch) if isinstance(images, torch.Tensor) else image_batches(images, batch)
    watched = progress(batches, "features", total=-(-len(images) // batch))
    result = np.concatenate(list(_activations(network, watched, module, layer)))
    if cache and result.nbytes <= CACHED_BYTES:
        _write_cache(file, result)
    return result


def _activations(network, batches, module, layer):
    """Yield what a module of the network gives for each batch, flattened, as float32 arrays."""
    with torch.inference_mode(), evaluation(network), kept_output(module) as kept:
        weight, memory = first_weight(network), layout(network)
        for part in batches:
            network(preprocessed(network, part).clone().to(weight, memory_format=memory))
            said = "network: it" if layer is None else f"layer: {layer!r}"
            yield rows(once(kept, layer), part, said).float().cpu().numpy()


def _preprocessing(network, images):
    """The network's preprocessing, "" where images are preprocessed already."""
    done = isinstance(images, torch.Tensor) and images.is_floating_point()
    return "" if done else preprocessing_of(network)


def _known(own):
    """Whether a preprocessing is one of `load_network`, whose numbers print with all their digits."""
    return own == "" or own is preprocess or (
        isinstance(own, partial) and own.func is normalised and not own.args
        and all(isinstance(values, (list, tuple)) and {type(number) for number in values} == {float}
                for values in own.keywords.values()))


def _cache_key(network, images, layer):
    """Content hash of images, weights, layers and preprocessing: equal keys mean equal features."""
    own = _preprocessing(network, images)
    how = layer, "" if own in ("", preprocess) else getattr(own, "keywords", own)
    digest = hashlib.sha256(f"{VERSION} {torch.__version__} {PIL.__version__} {SIZE} {network}{how}".encode())
    for value in network.state_dict().values():
        if value.dtype in (torch.float16, torch.bfloat16):  # equal bytes mean other numbers
            digest.update(str(value.dtype).encode())
        digest.update(_bytes(value))
    if isinstance(images, torch.Tensor):
        digest.update(f"{images.dtype} {tuple(images.shape)}".encode())
        digest.update(_bytes(images))
    else:
        for path in images:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _bytes(values):
    """The bytes of a tensor in its order of rows; NumPy knows no bfloat16."""
    return values.detach().cpu().flatten().view(torch.uint8).numpy()


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
        files.keep_newest(file.parent, "*.npy", CACHED_BYTES)


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
