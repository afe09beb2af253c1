"""The cache of features: what its key tells apart, what it keeps, and what a broken one costs."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from helpers import files, images, networks
from helpers.networks import features
from tests.helpers.test_networks import picture


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def photographs(tmp_path):
    paths = [tmp_path / f"leaf {number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        picture(number).save(path)
    return paths


def strided():
    """One small layer with the course's preprocessing."""
    network = nn.Sequential(nn.Conv2d(3, 2, 9, stride=40)).requires_grad_(False)
    network.preprocess = networks.preprocess
    return network


def test_the_cache_knows_content_and_weights(photographs, tmp_path, monkeypatch):
    network = strided()
    calls, activations = [], networks._activations
    monkeypatch.setattr(networks, "_activations", lambda *args: (calls.append(1), activations(*args))[1])

    def runs(given):
        before = len(calls)
        features(network, given)
        return len(calls) > before

    assert runs(photographs[:2])
    assert not runs(photographs[:2])
    copied = [tmp_path / f"copy{path.suffix}{k}.png" for k, path in enumerate(photographs[:2])]
    for source, target in zip(photographs, copied, strict=False):
        target.write_bytes(source.read_bytes())
    assert not runs(copied), "other names, same content"
    assert runs(photographs[1::-1]), "another order"
    picture(99).save(photographs[0])
    assert runs(photographs[:2]), "another content under the same name"
    assert runs(images.load_images(photographs[:2]))
    assert not runs(images.load_images(photographs[:2]))
    with torch.no_grad():
        network[0].bias += 1
    assert runs(photographs[:2]), "other weights"
    monkeypatch.setattr(networks, "VERSION", -1)
    assert runs(photographs[:2]), "another version of the code"
    for library in (networks.torch, networks.PIL):
        monkeypatch.setattr(library, "__version__", "another")
        assert runs(photographs[:2]), f"another {library.__name__}"


def test_the_cache_keeps_what_was_used_last_up_to_a_limit(photographs, tmp_path, monkeypatch):
    network = strided()
    folder = tmp_path / "features"
    monkeypatch.setenv("COURSE_FEATURES", str(folder))
    for photograph in photographs[:3]:
        features(network, [photograph])
        for file in folder.iterdir():
            os.utime(file, (0, file.stat().st_mtime - 100))  # the clock's own steps may be too coarse
    size = file.stat().st_size
    first, second, third = sorted(folder.iterdir(), key=os.path.getmtime)
    features(network, photographs[:1])  # read, so used last
    monkeypatch.setattr(networks, "CACHED_BYTES", 3 * size)
    features(network, photographs[3:4])
    assert [file.exists() for file in (first, second, third)] == [True, False, True]
    monkeypatch.setattr(networks, "CACHED_BYTES", size // 2)
    features(network, photographs[:2])
    assert len(list(folder.iterdir())) == 3, "a result above the limit is not kept and displaces nothing"


def test_a_broken_or_read_only_cache_costs_only_time(photographs, tmp_path, monkeypatch, caplog):
    network = strided()
    expected = features(network, photographs[:2])
    stored = next((tmp_path / "cache" / "features").iterdir())
    stored.write_bytes(stored.read_bytes()[:100])
    np.testing.assert_array_equal(features(network, photographs[:2]), expected)
    assert f"cache file {stored} is not readable" in caplog.messages[0]  # said, not silently replaced
    blocked = tmp_path / "a file"
    blocked.write_text("where a folder should be")
    monkeypatch.setattr(files, "cache_folder", lambda: blocked)
    np.testing.assert_array_equal(features(network, photographs[:2]), expected)
