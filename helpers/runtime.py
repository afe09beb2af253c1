"""Device, seeds, determinism and progress: what a notebook needs to run the same way anywhere."""

import contextlib
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm import TqdmWarning
from tqdm.auto import tqdm

from helpers.arguments import whole_number


def device(name="auto"):
    """Return the torch device to compute on.

    name: "auto" (CUDA where there is one, else CPU), "cpu" or "cuda". The environment variable DEVICE,
    where set, replaces "auto".
    Raises ValueError for another name, RuntimeError for "cuda" on a machine without CUDA.
    """
    if name == "auto":
        name = os.environ.get("DEVICE") or "auto"
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {name!r} is not known; allowed are 'auto', 'cpu' and 'cuda'")
    if name == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device: 'cuda' needs a GPU that torch can use; allowed here are 'auto' and 'cpu'")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if "COURSE_DEVICE_USED" in os.environ:  # the file in which course.run.execute looks for it
        Path(os.environ["COURSE_DEVICE_USED"]).write_text(name, encoding="utf-8")
    return torch.device(name)


def seed_everything(seed):
    """Seed Python, NumPy and torch, ask torch for deterministic kernels in full single precision, return a
    NumPy Generator.

    Results still differ between CPU and GPU and between GPU models: the order of a float sum is not ours.
    """
    whole_number("seed", seed, least=0)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (umap-learn and shap draw from the global state)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # cuDNN's convolutions round to 10 bits (TF32) unless told not to: heatmaps then differ in the third digit
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return np.random.default_rng(seed)


def progress(iterable, description, total=None):
    """Wrap an iterable in a tqdm bar, from its second second on; silent where nobody watches.

    Somebody watches in a terminal and in JupyterLab (which names the notebook in JPY_SESSION_NAME), nobody in
    papermill, nbval or a pipe.
    """
    watched = sys.stderr.isatty() or os.environ.get("JPY_SESSION_NAME")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without widgets the bar is text, which is all it says
        return tqdm(iterable, desc=description, total=total, disable=not watched, leave=False, delay=1)


def cache_umap_kernels():
    """Let numba keep umap-learn's compiled kernels on disk; return how many there are.

    umap-learn compiles for about ten seconds in every new process; cached, only the first one pays. Call it
    before the first fit. Where numba finds no folder it may write to, the kernels compile as before.
    """
    import umap.distances
    import umap.layouts
    import umap.umap_
    import umap.utils
    from numba.core.dispatcher import Dispatcher

    modules = (umap.distances, umap.layouts, umap.umap_, umap.utils)
    found = [item for module in modules for item in vars(module).values() if isinstance(item, Dispatcher)]
    kernels = {id(kernel): kernel for kernel in found}
    for kernel in kernels.values():
        with contextlib.suppress(RuntimeError):
            kernel.enable_caching()
    return len(kernels)


def fixed(values, digits):
    """Numbers as text with fixed decimals, in brackets per axis: '[0.50 1.00]'; a single one without.

    values: number, list, array, tensor or frame of any shape, converted to float. NumPy prints a rounded
    array as `1.`, which does not say how many decimals are meant.
    """
    values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)
    cleaned = np.where(np.abs(values) < 0.5 * 10.0**-digits, 0.0, values)  # no minus before a zero
    if not values.ndim:
        return f"{float(cleaned):.{digits}f}"
    show = {"float_kind": lambda value: f"{value:.{digits}f}"}
    return np.array2string(cleaned, formatter=show, max_line_width=100, threshold=10_000)


def noted(function, *arguments, **options):
    """(result, [what each warning says]) of a call: for a report that has to tell what was assumed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*arguments, **options)
    return result, list(dict.fromkeys(str(one.message) for one in caught))
