"""helpers.runtime: the device asked for, seeds that repeat, a bar only where somebody watches."""

import random
import time
import warnings

import numpy as np
import pytest
import torch

from helpers import runtime


def test_auto_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.delenv("DEVICE", raising=False)
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert runtime.device().type == expected
        assert runtime.device("cpu").type == "cpu"


def test_the_environment_replaces_auto_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("DEVICE", "cpu")
    assert runtime.device().type == "cpu"
    assert runtime.device("cuda").type == "cuda"


def test_bad_devices_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="'cuda' needs a GPU that torch can use"):
        runtime.device("cuda")
    with pytest.raises(ValueError, match="^device: 'tpu' is not known; allowed are 'auto', 'cpu' and 'cuda'"):
        runtime.device("tpu")


def test_a_seed_repeats_every_generator():
    def draws(seed):
        generator = runtime.seed_everything(seed)
        return generator.random(), random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    assert draws(3) == draws(3)
    assert all(one != other for one, other in zip(draws(3), draws(4), strict=True))
    assert draws(0)[0] == np.random.default_rng(0).random()
    draws(2**32 + 5)  # more than NumPy's old generator takes


def test_kernels_are_deterministic():
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False
    runtime.seed_everything(0)
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)


def test_a_gpu_multiplies_in_full_single_precision():
    torch.backends.cudnn.allow_tf32 = True  # torch's default: "by hand = library" is then False on a GPU
    runtime.seed_everything(0)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("seed", [-1, 1.0, "1", True, None])
def test_bad_seeds_are_named(seed):
    with pytest.raises(ValueError, match="^seed: .* give a whole number of at least 0"):
        runtime.seed_everything(seed)


def test_a_bar_is_drawn_only_where_somebody_watches(monkeypatch, capsys):
    def slow(values):
        for value in values:
            time.sleep(0.6)
            yield value

    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert list(runtime.progress(slow([1, 2, 3]), "counting", total=3)) == [1, 2, 3]
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("JPY_SESSION_NAME", "12_anomalies.ipynb")
    assert list(runtime.progress([1, 2], "counting")) == [1, 2]
    assert "counting" not in capsys.readouterr().err  # over before anybody wonders
    assert list(runtime.progress(slow([1, 2, 3]), "counting", total=3)) == [1, 2, 3]
    assert "counting:  67%" in capsys.readouterr().err


def test_a_call_comes_back_with_what_it_warned_of():
    def halved(value, *, twice):
        for _ in range(2):
            warnings.warn("halves are rounded", stacklevel=1)
        return value // 2 * twice

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert runtime.noted(halved, 7, twice=2) == (6, ["halves are rounded"])
        assert runtime.noted(abs, -1) == (1, [])
