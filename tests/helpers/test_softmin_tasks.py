"""helpers.softmin_tasks: the same scores in float32, on threads and on a cluster that loses a worker."""

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from helpers import anomalies, softmin, softmin_tasks

CLOUDS = {
    "normal": lambda rng: rng.normal(size=(900, 6)),
    "far from the origin": lambda rng: rng.normal(size=(900, 6)) + 1e4,
    "heavy tails": lambda rng: rng.standard_t(2, size=(900, 6)),
    "large units": lambda rng: 30 * rng.normal(size=(900, 6)),
    "two units": lambda rng: np.vstack([rng.normal(size=(450, 6)) + far for far in (3e5, -3e5)]),
    "one outlier": lambda rng: np.vstack([rng.normal(size=(899, 6)), np.full((1, 6), 300.0)]),
    "copies and lone rows": lambda rng: np.vstack([np.repeat(rng.normal(size=(300, 3)), 3, axis=0),
                                                   [[40.0, 0, 0], [0, -60.0, 0]]]),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Several tiles and several blocks in each, the last ones not full."""
    monkeypatch.setattr(softmin_tasks, "SIDE", 400)
    monkeypatch.setattr(softmin_tasks, "BLOCK_ROWS", 64)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 1.5, 20.0, 1e4, 1e8, 1e40])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_float32_stays_within_its_promise(cloud, gamma, small_blocks):
    X = CLOUDS[cloud](np.random.default_rng(1))
    exact = anomalies.softmin_scores(X, gamma)
    fast = anomalies.softmin_scores(X, gamma, precision="float32")
    np.testing.assert_allclose(fast, exact, rtol=0, atol=1e-4)
    assert softmin_tasks.LARGEST_ERROR <= 1e-4


@pytest.mark.parametrize("gamma", [0.05, 1.5, 1e4])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_error_bound_holds_where_float32_is_not_replaced(cloud, gamma, small_blocks):
    X = CLOUDS[cloud](np.random.default_rng(2))
    X = X - X.mean(axis=0)
    nearest, exact = anomalies.hardmin_scores(X), anomalies.softmin_scores(X, gamma)
    raw = softmin_tasks.scores_alone(X, nearest, np.arange(len(X)), gamma, "cpu", "float32")
    error, bound = np.abs(raw - exact), softmin_tasks.float32_error(X, nearest, gamma)
    assert (error <= bound).all()
    assert error.max() > 1e-12  # it really was float32
    by_pairs = softmin_tasks.scores_by_pairs(X, gamma, "cpu", None)
    close = -gamma * nearest >= softmin_tasks.SMALLEST * np.log(2)
    assert (np.abs(by_pairs - exact)[close] <= bound[close]).all()


@pytest.mark.parametrize(("unit", "gamma", "least", "most"), [
    (1, 1.5, 0, 0), (1, 30.0, 0.05, 0.5), (1, 1e4, 1, 1), (30, 1.5, 1, 1), (1, 0.01, 1, 1),
])  # fmt: skip
def test_a_row_is_done_alone_only_where_pairs_promise_too_little(unit, gamma, least, most, monkeypatch):
    """A row so far away that its weights vanish in float32, or one that float32 is too coarse for."""
    X, done, alone = unit * np.random.default_rng(9).normal(size=(900, 6)), [], softmin_tasks.scores_alone
    monkeypatch.setattr(softmin_tasks, "scores_alone", lambda *job: done.append(len(job[2])) or alone(*job))
    fast = anomalies.softmin_scores(X, gamma, precision="float32")
    np.testing.assert_allclose(fast, anomalies.softmin_scores(X, gamma), rtol=0, atol=1e-4)
    assert least <= sum(done) / len(X) <= most


def test_the_error_bound_grows_with_the_square_of_the_unit_where_all_rows_count():
    X = np.random.default_rng(3).normal(size=(50, 4))
    X, gamma = X - X.mean(axis=0), 1e9  # so stiff that no row can be left out
    nearest = anomalies.hardmin_scores(X)
    small, large = (softmin_tasks.float32_error(s * X, s**2 * nearest, gamma) - 4e-6 / gamma for s in (1, 10))
    np.testing.assert_allclose(large, 100 * small)
    longest = np.linalg.norm(X, axis=1).argmax()
    assert small.max() == pytest.approx(8 * 2.0**-24 * (4 * (X[longest] ** 2).sum() + nearest[longest]))


def test_the_error_bound_of_one_row_worked_out():
    """Row 0.5 meets rows within sqrt(0.25 + (ln 4 + 7) / 2) = 2.108 of it; all others weigh nothing."""
    X, nearest = np.array([[-10.0], [0.0], [0.5], [9.5]]), np.array([100.0, 0.25, 0.25, 81.0])
    bound = softmin_tasks.float32_error(X, nearest, 2.0)[2]
    assert bound == pytest.approx(1.003 * 5 / 2**24 * (3.1079**2 + 0.25) + 2e-6, rel=1e-4)


def test_doubtful_rows_are_done_in_float64(small_blocks):
    X = 30 * np.random.default_rng(3).normal(size=(900, 6))
    exact, fast = anomalies.softmin_scores(X, 1.5), anomalies.softmin_scores(X, 1.5, precision="float32")
    np.testing.assert_allclose(fast, exact, rtol=1e-10)  # every row is doubtful at this scale


def test_the_size_of_tasks_and_blocks_changes_nothing(monkeypatch):
    X = np.random.default_rng(4).normal(size=(700, 4))
    one = anomalies.softmin_scores(X, 1.5, precision="float32")
    for side, height in ((100, 128), (333, 57), (64, 1000)):
        monkeypatch.setattr(softmin_tasks, "SIDE", side)
        monkeypatch.setattr(softmin_tasks, "BLOCK_ROWS", height)
        other = anomalies.softmin_scores(X, 1.5, precision="float32")
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)


def test_exponentials_and_sums_stay_within_what_the_bound_grants_them():
    exponents = -torch.rand(500, softmin_tasks.SIDE, generator=torch.Generator().manual_seed(1))
    exponents *= torch.logspace(-3, 2, 500)[:, None]
    exact = exponents.double().exp2().sum(dim=1)
    np.testing.assert_allclose(exponents.exp2().sum(dim=1).double(), exact, rtol=1e-6)
    block = exponents[:, :softmin_tasks.BLOCK_ROWS].T.contiguous()
    exact = block.double().exp2().sum(dim=0)
    np.testing.assert_allclose(block.exp2().sum(dim=0).double(), exact, rtol=1e-6)
    for size in (softmin_tasks.BLOCK_ROWS, softmin_tasks.SIDE):  # added to the first, each other one is lost
        block = torch.full((size, 64), 2.0**-24 * 0.99)
        block[0] = 1
        np.testing.assert_allclose(block.sum(dim=0).double(), block.double().sum(dim=0), rtol=2e-6)


def test_settings_of_the_caller_change_nothing(small_blocks):
    X = np.random.default_rng(4).normal(size=(900, 4))
    one = anomalies.softmin_scores(X, 1.5, precision="float32")
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu"):
            other = anomalies.softmin_scores(X, 1.5, precision="float32")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(other, one)


def test_weights_that_float32_would_round_away_are_not_lost(monkeypatch):
    """8,000 near copies far from a row: together they outweigh the row beside it."""
    monkeypatch.setattr(softmin_tasks, "LARGEST_ERROR", 1e-2)  # so that no row is done in float64
    place = np.sqrt(99 * np.log(2))
    near_copies = 1.9 * place + 1e-4 * np.random.default_rng(5).normal(size=8000)
    X = np.concatenate([[0, place], near_copies])[:, None]
    fast = anomalies.softmin_scores(X, 1.0, precision="float32")
    np.testing.assert_allclose(fast, anomalies.softmin_scores(X, 1.0), rtol=0, atol=5e-4)


@pytest.mark.parametrize("breaks", [False, True])
def test_the_number_of_torch_threads_is_put_back(breaks, monkeypatch):
    if breaks:
        monkeypatch.setattr(softmin_tasks, "tile_sums", lambda *job: 1 / 0)
    torch.set_num_threads(2)  # the fixture of all tests puts back what was
    X = np.random.default_rng(5).normal(size=(300, 2))
    with pytest.raises(ZeroDivisionError) if breaks else contextlib.nullcontext():
        anomalies.softmin_scores(X, 1.0, precision="float32")
    assert torch.get_num_threads() == 2


def test_callers_in_several_threads_do_not_mix_their_settings():
    torch.set_num_threads(2)
    X = np.random.default_rng(5).normal(size=(2000, 3))
    with ThreadPoolExecutor(4) as pool:
        one, *others = pool.map(lambda _: anomalies.softmin_scores(X, 1.0, precision="float32"), range(8))
    assert all((other == one).all() for other in others)
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_keeps_the_promise():
    X = np.random.default_rng(6).normal(size=(20_000, 6))
    fast = anomalies.softmin_scores(X, 1.5, precision="float32", device="cuda")
    np.testing.assert_allclose(fast, anomalies.softmin_scores(X, 1.5), rtol=0, atol=1e-4)


def test_bad_precision_and_device_are_named():
    X = np.eye(3)
    with pytest.raises(ValueError, match=r"^precision: 'half' is not known; allowed are 'float64' and"):
        anomalies.softmin_scores(X, 1.0, precision="half")
    with pytest.raises(ValueError, match=r"^precision: 'float32' is not allowed with squared=False"):
        anomalies.softmin_scores(X, 1.0, squared=False, precision="float32")
    with pytest.raises(ValueError, match=r"^device: 'tpu' is not known"):
        anomalies.softmin_scores(X, 1.0, precision="float32", device="tpu")


def test_a_cluster_in_float32_gives_the_same_scores(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(softmin_tasks, "SIDE", 250)
    X = np.random.default_rng(8).normal(size=(900, 3))
    with distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster:
        there = anomalies.softmin_scores(X, 1.5, precision="float32", scheduler=cluster.scheduler_address)
    here = anomalies.softmin_scores(X, 1.5, precision="float32")
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-6)


def test_a_cluster_that_loses_a_worker_gives_the_same_scores(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(softmin_tasks, "SIDE", 250)
    X = np.random.default_rng(7).normal(size=(5000, 6))
    here = anomalies.softmin_scores(X, 1.5)
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
          distributed.Client(cluster) as client):
        address, killed = cluster.scheduler_address, []

        def kill_one_at_work():
            while not any(client.processing().values()):
                time.sleep(0.02)
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one_at_work)
        killer.start()
        there = anomalies.softmin_scores(X, 1.5, scheduler=address)
        killer.join()
        assert killed
        assert killed[0] not in client.run(os.getpid).values()
        np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize(("said", "several"), [("3", 3), (" 2,1", 2), ("", -1), ("0", -1), ("all", -1),
                                               (None, -1)])  # fmt: skip
def test_a_tree_takes_the_threads_that_the_environment_gives(said, several, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert (softmin._workers(9_999), softmin._workers(10_000)) == (1, several)
