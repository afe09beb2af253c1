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

from helpers.arguments import file_path, one_each, whole_number
from helpers.files import disguise

SIZE = 224  # pixels a side, what most networks were trained on
BATCH = 8  # on a CPU larger batches fall out of the cache and are slower per image
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".gif",
            ".jp2", ".tga", ".ppm", ".pgm", ".pbm"}
UNREADABLE = {".heic", ".heif", ".hif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
              ".pef", ".srw", ".jxl", ".psd", ".xcf", ".svg", ".pdf", ".mov", ".mp4"}
NOTES = {".txt", ".csv", ".json", ".xml", ".md", ".db", ".ini"}  # beside pictures, and no pictures
REMEDIES = {"CMYK": "save it as RGB with its colour profile", "LAB": "save it as RGB",
            "I;16": "scale its 16 bits to 8", "I": "scale its values to 8 bits",
            "F": "scale its values to 8 bits", "RGBA": "put it on a background, for it is partly transparent"}


def read_image(path, size=SIZE):
    """Decode one photograph: uint8 (3, size, size) in RGB, bilinearly resized, channels-last in memory.

    It is turned upright as its EXIF data say. Grey, black-and-white, palette and fully opaque pictures are
    converted, and of several frames the first is taken, with a warning. Raises ValueError naming the file
    where it does not decode (HEIC and web pages called .jpg by name), where its colours have no one
    translation to 8-bit RGB (it says what to do), where channels have more than 8 bits, or where a side has
    under 16 pixels; and for another size.
    """
    whole_number("size", size)
    file_path("path", path)
    try:
        with Image.open(path) as opened:
            if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":  # phones keep two in one .jpg
                warnings.warn("of images with several frames the first is taken", stacklevel=2)
            deep = len(opened.getbands()) > 1 and _more_than_8_bits(opened)  # before it is decoded
            image, mode = ImageOps.exif_transpose(opened), opened.mode
            sides, image = image.size, None if deep else _as_rgb(image)
            if image is not None and min(sides) >= 16:
                return torch.from_numpy(np.array(image.resize((size, size), Image.BILINEAR))).permute(2, 0, 1)
    except (FileNotFoundError, Warning):
        raise
    except Exception as error:  # Pillow has ValueError, TypeError, struct.error and more for damaged files
        reason = str(error) or type(error).__name__
        said = disguise(path) or f"does not decode ({reason}); allowed are photographs"
        heic = not disguise(path) and Path(path).read_bytes()[4:8] == b"ftyp"
        said = "is HEIC; save it as .jpg" if heic else said.replace("\n", " ")
        raise ValueError(f"image: '{path}' {said}") from None
    if image is None:
        kind = "RGBA" if mode in ("LA", "PA", "P", "La", "RGBa", "RGB") else mode[:4]  # I;16B is I;16
        kind = "I;16" if deep else kind
        mode = "RGB with a transparent colour" if mode == "RGB" and not deep else mode
        mode = f"{mode} of 16 bits a channel" if deep and mode[0] != "I" else mode
        raise ValueError(f"image: '{path}' has mode {mode!r}; allowed is 'RGB', three channels of 8 bits: "
                         f"{REMEDIES.get(kind, 'save it as RGB')}")
    raise ValueError(f"image: '{path}' has {sides[0]}x{sides[1]} pixels; allowed are at least 16x16")


def _more_than_8_bits(opened):
    """Whether the file of an opened picture has more than 8 bits a channel; RGB keeps the upper 8."""
    coded = [tile[3] for tile in opened.tile]  # ("RGB;16L", 0, 1), in PPM ("RGB", largest value)
    largest = [args[1] for args in coded if opened.format == "PPM" and isinstance(args, tuple)]
    bits = opened.tag_v2.get(258) or () if opened.format == "TIFF" else ()
    return any(";16" in str(args) for args in coded) or max([*bits, 0]) > 8 or max([*largest, 0]) > 255


def _as_rgb(image):
    """The picture as RGB, or None where the translation would be a guess."""
    transparent = "A" in image.getbands() or "transparency" in image.info
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return None
    if transparent and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        return None
    if image.mode == "RGB":
        return image
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
    """Yield uint8 (b, 3, size, size) tensors while threads decode the next two batches.

    Raises ValueError like `load_images`, and for counts that are no whole numbers of at least 1.
    """
    whole_number("batch", batch), whole_number("threads", threads)
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
    formats that are not read, such as .heic, other files (but notes and tables), links that lead nowhere,
    and pictures beside the folders are counted in a warning. Raises ValueError where there are fewer than two
    classes, a class has no photograph, or some in folders below it, or two classes differ in capitals and
    spaces alone.
    """
    if not file_path("root", root).is_dir():
        raise ValueError(f"root: '{root}' is no folder; allowed is one that holds a folder for each class")
    within = {folder.name: _visible(folder) for folder in _visible(Path(root)) if folder.is_dir()}
    found = {name: _pictures(paths) for name, paths in within.items()}
    beside = len(_pictures(_visible(Path(root))))
    notes = _left_out(found, within)
    notes += [f"{beside} pictures beside the class folders, which are left out"] if beside else []
    _check_classes(root, found, within, notes)
    for note in notes:
        warnings.warn(f"root: '{root}' has {note}", stacklevel=2)
    names = np.repeat(list(found), [len(paths) for paths in found.values()])
    return [path for paths in found.values() for path in paths], names


def _visible(folder):
    return [path for path in sorted(folder.iterdir())
            if not path.name.startswith(".") and path.name != "__MACOSX"]


def _pictures(paths):
    return [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]


def _left_out(found, within):
    """What the class folders hold beside the pictures found, in words: a list of notes."""
    rest = [path for name, paths in within.items() for path in paths
            if path not in found[name] and not path.is_dir()]
    lost = [path.name for path in rest if not path.is_file()]
    endings = Counter(path.suffix.lower() or "without ending" for path in rest
                      if path.is_file() and path.suffix.lower() not in NOTES)
    said = {known: ", ".join(f"{count} {ending}" for ending, count in endings.items()
                             if (ending in UNREADABLE) == known) for known in (True, False)}
    notes = [f"{said[True]} that cannot be read and are left out; save them as .jpg"] if said[True] else []
    notes += [f"{said[False]} that are taken for no pictures and left out"] if said[False] else []
    return notes + ([f"links that lead nowhere, such as {lost[0]!r} ({len(lost)}), left out"] if lost else [])


def _check_classes(root, found, within, notes):
    """ValueError, with what the folder has instead, where found ({name: pictures}) are no two classes."""
    empty = [name for name, paths in found.items() if not paths]
    if len(found) < 2 or empty:
        problem = f"no photograph in {empty}" if empty else f"{len(found)} class folders {list(found)}"
        below = [path.name for name in empty for path in within[name] if path.is_dir()][:1]
        notes = notes + [f"folders such as {name!r}: give what holds the classes" for name in below]
        problem += f" (but {'; '.join(notes)})" if notes else ""
        raise ValueError(f"root: '{root}' has {problem}; allowed are two or more folders with photographs")
    deeper = [path for paths in within.values() for path in paths if path.is_dir() and _pictures(
        each for each in path.rglob("*") if not any(part[0] == "." for part in each.relative_to(path).parts))]
    if deeper:
        raise ValueError(f"root: '{root}' has pictures in {len(deeper)} folders below classes, such as "
                         f"'{deeper[0].parent.name}/{deeper[0].name}'; put them into the class folder itself")
    plain = Counter(name.strip().casefold() for name in found)
    if twins := [name for name in found if plain[name.strip().casefold()] > 1]:
        raise ValueError(f"root: '{root}' has classes {twins} that differ in capitals or spaces alone; make "
                         "one folder of them, or give them other names")


def as_photographs(name, images):
    """The images; ValueError naming the argument where they are no uint8 array or tensor (n, 3, h, w)."""
    images = images if isinstance(images, torch.Tensor) else np.asarray(images)
    shape, kind = tuple(images.shape), str(images.dtype).removeprefix("torch.")
    if len(shape) != 4 or shape[1] != 3:
        raise ValueError(f"{name}: shape {shape} is not allowed; give (n, 3, height, width)")
    if kind != "uint8":
        raise ValueError(f"{name}: type {kind} is not allowed; give uint8, 0 to 255, as load_images does")
    return images


def near_duplicates(images, groups=None, likeness=0.99):
    """Pairs (k, 2) of images that show the same picture: rows i < j, correlated by more than `likeness`.

    images: uint8 (n, 3, h, w), compared in grey at 16x16 pixels, so that size, compression and brightness do
    not matter; two plain ones are the same where their grey is. Mirrored, turned and cut ones are not
    found. groups: (n,) class or split of each; then only pairs of different groups, which make a test set
    easier than the world. Raises ValueError for other images, a likeness that is not between 0 and 1, or a
    group that is missing.
    """
    images = torch.as_tensor(as_photographs("images", images))
    if not (isinstance(likeness, (int, float, np.number)) and 0 < likeness < 1):
        raise ValueError(f"likeness: {likeness!r} is not allowed; give a correlation between 0 and 1")
    grey = torch.cat([F.interpolate(part.float().mean(1, keepdim=True), (16, 16), mode="area")
                      for part in images.split(BATCH)]).flatten(1)  # all as floats take four times the memory
    mean = grey.mean(1, keepdim=True)
    grey = grey - mean
    size = grey.norm(dim=1, keepdim=True)
    grey, flat = grey / size.clamp(min=1e-6), size < 1  # of 256 levels at 256 places
    plain = flat & flat.T & ((mean - mean.T).abs() < 1)
    alike = torch.triu(plain | (grey @ grey.T > likeness) & ~(flat & flat.T), diagonal=1).numpy()
    if groups is not None:
        groups = one_each("groups", groups, len(images))
        alike &= groups[:, None] != groups
    return np.argwhere(alike)
