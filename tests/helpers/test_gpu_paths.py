"""Every path that takes a device, on a machine without a GPU: the device "meta" plays it.

Tensors there have a type and a shape and no values. `Elsewhere` refuses what a GPU would refuse (tensors of
two devices in one operation, a NumPy array of what is not on the CPU) and answers with ones where a program
asks for values. torch's own fake tensors know "cuda", but not its backward pass without a driver.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers import graphs, heatmaps, networks, softmin_tasks, training

ATEN = torch.ops.aten
COPIES = {ATEN._to_copy, ATEN.to}
MAY_MIX = {*COPIES, ATEN.copy_, ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_}
VALUES = {ATEN._local_scalar_dense: 1, ATEN.equal: True}


class Elsewhere(TorchDispatchMode):
    """A GPU's rules for tensors on "meta"; a CPU number without dimensions may go anywhere."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs, kind = kwargs or {}, operation.overloadpacket
        leaves = tree_leaves((args, kwargs))
        given = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device.type for tensor in given if tensor.ndim}
        if len(devices) > 1 and kind not in MAY_MIX:
            raise RuntimeError(f"{operation}: tensors on two devices: {sorted(devices)}")
        if kind in COPIES and torch.device("cpu") in leaves and given[0].device.type == "meta":
            dtype = next((leaf for leaf in leaves if isinstance(leaf, torch.dtype)), given[0].dtype)
            return torch.ones(given[0].shape, dtype=dtype)
        if kind in VALUES and "meta" in {tensor.device.type for tensor in given}:
            return VALUES[kind]
        return operation(*args, **kwargs)


@pytest.fixture
def gpu():
    with Elsewhere():
        yield torch.device("meta")


def test_a_tensor_left_behind_is_noticed(gpu):
    here, there = torch.ones(2, 2), torch.ones(2, 2, device=gpu)
    for operation in (torch.add, torch.matmul, torch.nn.functional.linear):
        with pytest.raises(RuntimeError, match="two devices"):
            operation(here, there)
    with pytest.raises(TypeError, match="can't convert"):
        there.numpy()
    assert (here + there.cpu()).device.type == "cpu"


HEATMAPS = {
    **{name: getattr(heatmaps, name) for name in (
        "scores", "sensitivity", "smooth_grad", "integrated_gradients", "occlusion", "gradient_times_input",
        "relevance")},
    "relevance in a box": lambda *args: heatmaps.relevance(*args, box=heatmaps.BOX),
    "Grad-CAM": lambda network, *rest: heatmaps.grad_cam(network, *rest, layer=list(
        dict(network.named_children()))[-1]),
}  # fmt: skip


@pytest.mark.parametrize("name", networks.NETWORKS)
@pytest.mark.parametrize("kind", HEATMAPS)
def test_heatmaps(gpu, name, kind):
    network = networks.load_network(name, weights=None).to(gpu)
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    width = network(networks.preprocess(images).to(gpu)).flatten(1).shape[1]
    found = HEATMAPS[kind](network, np.ones(width, dtype=np.float32), images)
    assert found.device.type == "cpu"
    assert len(found) == 2
    assert networks.features(network, images, cache=False).shape == (2, width)


@pytest.mark.parametrize("layer", graphs.LAYERS)
def test_graph_networks_and_their_training(gpu, layer):
    places = np.tile(np.outer(np.arange(5), [2.0, 0, 0]), (4, 1, 1))  # bohr
    molecules = SimpleNamespace(charges=np.tile([6, 1, 1, 1, 1], (4, 1)), coordinates=places)
    kinds, filters = graphs.tensors(molecules, device=gpu)
    model = graphs.EnergyNetwork(features=8, hidden=8, layers=2, layer=layer).to(gpu)
    energies = torch.zeros(4, device=gpu)

    def loss(model, rows):
        return (model(kinds[rows], filters[rows]).sum(1) - energies[rows.to(gpu)]).square().mean()

    order = torch.Generator().manual_seed(0)
    history = training.fit(model, loss, lambda epoch: graphs.batches([5] * 4, 2, order),
                           lambda model: loss(model, torch.arange(4)), epochs=2)
    assert len(history) == 2
    assert next(model.parameters()).device.type == "meta"
    rows, = next(training.shuffled((torch.zeros(4, 3, device=gpu),), 2, order))
    assert rows.device.type == "meta"


def test_soft_minimum_scores(gpu, monkeypatch):
    monkeypatch.setattr(softmin_tasks, "SIDE", 16)  # several tiles
    X = np.random.default_rng(0).normal(size=(40, 3))
    nearest = np.zeros(40)
    for precision in ("float32", "float64"):
        assert softmin_tasks.scores_alone(X, nearest, np.arange(40), 1.0, gpu, precision).shape == (40,)
    assert softmin_tasks.scores_by_pairs(X, 1.0, gpu, None).shape == (40,)
