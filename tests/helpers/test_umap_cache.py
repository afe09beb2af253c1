"""UMAP's compiled kernels are kept on disk, so that they outlive the process that compiled them."""

import subprocess
import sys

# in a process of its own: whoever has asked for the cache before keeps it for good
SCRIPT = """
import sys
from pathlib import Path

import numba
from umap import layouts

from helpers.runtime import cache_umap_kernels

assert not layouts.clip.stats.cache_path
numba.config.CACHE_DIR = sys.argv[1]
assert cache_umap_kernels() > 20
assert layouts.clip(7.0) == 4.0
assert list(Path(sys.argv[1]).rglob("layouts.clip*.nbi"))
assert layouts.clip._cache.load_overload(layouts.clip.signatures[0], layouts.clip.targetctx) is not None
"""


def test_compiled_kernels_are_kept(tmp_path):
    result = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
