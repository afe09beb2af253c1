"""Photographs of one's own or of the course: decoded upright as RGB, in batches, from folders by class."""

import os
import warnings
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

from helpers.files import disguise

SIZE = 224  # pixels a side, what most networks were trained on
BATCH = 8  # on a CPU larger batches fall out of the cache and are slower per image
SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".gif"}
UNREADABLE = {".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".svg", ".pdf", ".mov", ".mp4"}
REMEDIES = {"CMYK": "save it as RGB with its colour profile", "LAB": "save it as RGB",
            "I;16": "scale its 16 bits to 8", "I": "scale its values to 8 bits",
            "F": "scale its values to 8 bits", "RGBA": "put it on a background, for it is partly transparent"}


def read_image(path, size=SIZE):
    """Decode one photograph: uint8 (3, size, size) in RGB, bilinearly resized, channels-last in memory.

    It is turned upright as its EXIF data say. Grey, black-and-white, palette and fully opaque pictures are
    converted, and of several frames the first is taken, with a warning. Raises ValueError naming the file
    where it does not decode (HEIC and web pages called .jpg by name), where its colours have no one
    translation to 8-bit RGB (it says what to do), or where a side has under 16 pixels.
    """
    try:
        with Image.open(path) as opened:
            if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":  # phones keep two in one .jpg
                warnings.warn("of images with several frames the first is taken", stacklevel=2)
            image, mode = ImageOps.exif_transpose(opened), opened.mode
            sides, image = image.size, _as_rgb(image)
            if image is not None and min(sides) >= 16:
                return torch.from_numpy(np.array(image.resize((size, size), Image.BILINEAR))).permute(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        heic = "is HEIC; save it as .jpg" if Path(path).read_bytes()[4:8] == b"ftyp" else ""
        said = disguise(path) or heic or f"does not decode ({error}); allowed are photographs"
        raise ValueError(f"image: '{path}' {said}") from None
    if image is None:
        kind = "RGBA" if mode in ("LA", "PA", "P", "La", "RGBa") else mode[:4]  # I;16B is I;16
        raise ValueError(f"image: '{path}' has mode {mode!r}; allowed is 'RGB', three channels of 8 bits: "
                         f"{REMEDIES.get(kind, 'save it as RGB')}")
    raise ValueError(f"image: '{path}' has {sides[0]}x{sides[1]} pixels; allowed are at least 16x16")


def _as_rgb(image):
    """The picture as RGB, or None where the translation would be a guess."""
    if image.mode == "RGB":
        return image
    transparent = "A" in image.getbands() or "transparency" in image.info
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGBA"):
        return None
    if transparent and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        return None
    warnings.warn(f"images of mode {image.mode!r} are converted to RGB", stacklevel=3)
    return image.convert("RGB")


def as_paths(name, paths):
    """The paths as a list; ValueError naming the argument for a single one, none, and what is no path."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise ValueError(f"{name}: {str(paths)!r} is a single path; give a list of paths")
    paths = list(paths)
    if not paths:
        raise ValueError(f"{name}: an empty list is not allowed; give at least one")
    if wrong := [type(path).__name__ for path in paths if not isinstance(path, (str, os.PathLike))]:
        raise ValueError(f"{name}: a list with {wrong[0]} is not allowed; give a list of paths")
    return [Path(path) for path in paths]


def from_array(images):
    """A NumPy array of numbers as a tensor of its own; anything else as it is."""
    numbers = isinstance(images, np.ndarray) and images.dtype.kind in "biuf"
    return torch.from_numpy(images.copy()) if numbers else images


def image_batches(paths, batch=BATCH, size=SIZE, threads=2):
    """Yield uint8 (b, 3, size, size) tensors while threads decode the next two batches."""
    paths, waiting = as_paths("paths", paths), deque()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths) + 2 * batch, batch):
            waiting.append([pool.submit(read_image, path, size) for path in paths[start:start + batch]])
            if len(waiting) > 2 and (ready := waiting.popleft()):
                yield torch.stack([future.result().permute(1, 2, 0) for future in ready]).permute(0, 3, 1, 2)


def load_images(paths, size=SIZE):
    """Decode photographs in threads: uint8 (n, 3, size, size), RGB.

    Raises ValueError for no path, a single one that is in no list, and as `read_image` does.
    """
    return torch.cat(list(image_batches(paths, 32, size)))


def class_folders(root):
    """Photographs of your own: `root` holds one folder per class; returns (paths, class names), sorted.

    Hidden folders and files (.ipynb_checkpoints, ._x.jpg) and __MACOSX are no photographs. Pictures in
    formats that Pillow does not read, such as .heic, and those beside the folders are counted in a warning.
    Raises ValueError where there are fewer than two classes, a class has no photograph, or two differ in
    capitals and spaces alone.
    """
    if not Path(root).is_dir():
        raise ValueError(f"root: '{root}' is no folder; allowed is one that holds a folder for each class")
    visible = lambda folder: [path for path in sorted(folder.iterdir())
                              if not path.name.startswith(".") and path.name != "__MACOSX"]
    within = {folder.name: visible(folder) for folder in visible(Path(root)) if folder.is_dir()}
    pictures = lambda paths: [path for path in paths if path.suffix.lower() in SUFFIXES]
    found = {name: pictures(paths) for name, paths in within.items()}
    left_out = Counter(path.suffix.lower() for paths in within.values() for path in paths
                       if path.suffix.lower() in UNREADABLE)
    said = ", ".join(f"{count} {suffix}" for suffix, count in left_out.items())
    beside = len(pictures(visible(Path(root))))
    notes = [f"{said} that cannot be read and are left out; save them as .jpg"] if said else []
    notes += [f"{beside} pictures beside the class folders, which are left out"] if beside else []
    _check_classes(root, found, within, notes)
    for note in notes:
        warnings.warn(f"root: '{root}' has {note}", stacklevel=2)
    names = np.repeat(list(found), [len(paths) for paths in found.values()])
    return [path for paths in found.values() for path in paths], names


def _check_classes(root, found, within, notes):
    """ValueError, with what the folder has instead, where found ({name: pictures}) are no two classes."""
    empty = [name for name, paths in found.items() if not paths]
    if len(found) < 2 or empty:
        problem = f"no photograph in {empty}" if empty else f"{len(found)} class folders {list(found)}"
        below = [path.name for name in empty for path in within[name] if path.is_dir()][:1]
        notes = notes + [f"folders such as {name!r}: give what holds the classes" for name in below]
        problem += f" (but {'; '.join(notes)})" if notes else ""
        raise ValueError(f"root: '{root}' has {problem}; allowed are two or more folders with photographs")
    plain = Counter(name.strip().casefold() for name in found)
    if twins := [name for name in found if plain[name.strip().casefold()] > 1]:
        raise ValueError(f"root: '{root}' has classes {twins} that differ in capitals or spaces alone; make "
                         "one folder of them, or give them other names")


def near_duplicates(images, groups=None, likeness=0.99):
    """Pairs (k, 2) of images that show the same picture: rows i < j, correlated by more than `likeness`.

    images: uint8 (n, 3, h, w), compared in grey at 16x16 pixels, so that size, compression and brightness do
    not matter; two plain ones are the same where their grey is. Mirrored, turned and cut ones are not
    found. groups: (n,) class or split of each; then only pairs of different groups, which make a test set
    easier than the world. Raises ValueError for groups of another length.
    """
    grey = F.interpolate(images.float().mean(1, keepdim=True), (16, 16), mode="area").flatten(1)
    mean = grey.mean(1, keepdim=True)
    grey = grey - mean
    size = grey.norm(dim=1, keepdim=True)
    grey, flat = grey / size.clamp(min=1e-6), size < 1  # of 256 levels at 256 places
    plain = flat & flat.T & ((mean - mean.T).abs() < 1)
    alike = torch.triu(plain | (grey @ grey.T > likeness) & ~(flat & flat.T), diagonal=1).numpy()
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (len(images),):
            raise ValueError(f"groups: shape {groups.shape} is not allowed; give ({len(images)},)")
        alike &= groups[:, None] != groups
    return np.argwhere(alike)
