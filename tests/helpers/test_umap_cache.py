"""UMAP's compiled kernels are kept on disk, so that they outlive the process that compiled them."""

import numba

from helpers.runtime import cache_umap_kernels


def test_compiled_kernels_are_kept(tmp_path, monkeypatch):
    from umap import layouts

    assert not layouts.clip.stats.cache_path
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert cache_umap_kernels() > 20
    assert layouts.clip(7.0) == 4.0
    assert list(tmp_path.rglob("layouts.clip*.nbi"))
    again = layouts.clip._cache.load_overload(layouts.clip.signatures[0], layouts.clip.targetctx)
    assert again is not None
