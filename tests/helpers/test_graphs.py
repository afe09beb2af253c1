"""Graph layers: indifferent to atom order, padding, rotation; gradients, loops and checkpoints."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from helpers import graphs, training

LAYERS = sorted(graphs.LAYERS)


def batch(n=6, atoms=7, seed=0):
    """Random molecules of 1 to `atoms` atoms, padded at the end, in float64."""
    rng = np.random.default_rng(seed)
    charges = rng.choice([1, 6, 7, 8, 16], size=(n, atoms))
    charges[np.arange(atoms) >= rng.integers(1, atoms + 1, n)[:, None]] = 0
    coordinates = rng.uniform(-3, 3, (n, atoms, 3)) * (charges > 0)[..., None]
    kinds, _ = graphs.tensors(SimpleNamespace(coordinates=coordinates, charges=charges), count=4)
    return kinds, torch.tensor(coordinates)


def network(layer, **config):
    """A small network in float64 whose last layer is not zero."""
    torch.manual_seed(1)
    base = (-1, -2, -3, -4, -5)
    model = graphs.EnergyNetwork(4, 4, 6, 2, layer=layer, atom_energies=base, scale=2, **config)
    torch.nn.init.normal_(model.read[2].weight)
    return model.double()


def energies(model, kinds, coordinates):
    return model(kinds, graphs.radial(coordinates, kinds > 0, 4))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_new_order_of_atoms_only_reorders_the_energies(layer):
    kinds, coordinates = batch()
    model, order = network(layer), torch.tensor([3, 0, 6, 2, 5, 1, 4])
    torch.testing.assert_close(energies(model, kinds[:, order], coordinates[:, order]),
                               energies(model, kinds, coordinates)[:, order])


@pytest.mark.parametrize("layer", LAYERS)
def test_padding_has_no_effect_wherever_it_lies(layer):
    kinds, coordinates = batch()
    model = network(layer)
    wide = torch.cat([coordinates, 9 * torch.randn(6, 4, 3, dtype=torch.float64)], 1)  # not zeros
    padded = energies(model, torch.cat([kinds, torch.zeros(6, 4, dtype=kinds.dtype)], 1), wide)
    torch.testing.assert_close(padded[:, :7], energies(model, kinds, coordinates))
    assert not padded[:, 7:].any()


def test_the_first_layer_hears_elements_as_it_would_hear_their_atoms():
    kinds, coordinates = batch()
    model, filters = network("filter"), graphs.radial(coordinates, kinds > 0, 4)
    x = model.embed(kinds)
    for layer in model.layers:  # every atom sends
        x = layer(x, filters, kinds > 0) * (kinds > 0)[..., None]
    torch.testing.assert_close(model.nodes(kinds, filters), x)


@pytest.mark.parametrize("layer", LAYERS)
def test_rotation_and_shift_change_nothing_and_stretching_does(layer):
    kinds, coordinates = batch()
    model, turn = network(layer), torch.tensor(Rotation.random(random_state=0).as_matrix())
    before = energies(model, kinds, coordinates)
    torch.testing.assert_close(energies(model, kinds, coordinates @ turn + 3), before)
    assert (energies(model, kinds, 1.1 * coordinates) - before).abs().max() > 1e-3


@pytest.mark.parametrize("layer", LAYERS)
def test_molecules_of_a_batch_do_not_see_each_other(layer):
    kinds, coordinates = batch()
    model = network(layer)
    alone = [energies(model, kinds[m:m + 1], coordinates[m:m + 1]) for m in range(6)]
    torch.testing.assert_close(torch.cat(alone), energies(model, kinds, coordinates))


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_agree_with_finite_differences(layer):
    kinds, coordinates = batch(3, 4)
    model = network(layer)
    names, values = zip(*model.named_parameters(), strict=True)

    def total(places, *parameters):
        filters = graphs.radial(places, kinds > 0, 4)
        weights = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(model, weights, (kinds, filters)).sum(1)

    inputs = [value.detach().clone().requires_grad_() for value in (coordinates, *values)]
    assert torch.autograd.gradcheck(total, inputs, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_checkpoint_gives_the_same_network_back(layer, tmp_path):
    kinds, coordinates = batch()
    coordinates = coordinates.float()
    config = {"features": 4, "filters": 4, "hidden": 6, "layers": 2, "layer": layer}
    model = network(layer).float()
    training.save_checkpoint(tmp_path / "net.pt", model, config)
    again = graphs.EnergyNetwork(**config)
    assert training.load_checkpoint(tmp_path / "net.pt", again) == config
    torch.load(tmp_path / "net.pt", weights_only=True)
    assert torch.equal(energies(again, kinds, coordinates), energies(model, kinds, coordinates))
    assert float(again.scale) == 2.0  # baseline and unit travel with the weights


def test_a_new_network_is_the_linear_model_over_atoms():
    kinds, coordinates = batch()
    model = graphs.EnergyNetwork(filters=4, atom_energies=(1, 2, 3, 4, 5)).double()
    assert torch.equal(energies(model, kinds, coordinates), kinds.double())


def test_without_energies_of_atoms_a_new_network_says_zero():
    kinds, filters = torch.tensor([[1, 2, 0]]), torch.rand(1, 3, 12, 3)
    assert (graphs.EnergyNetwork()(kinds, filters) == 0).all()


def test_radial_equals_its_formula():
    r = torch.tensor([[[0.0, 0, 0], [0, 0, 3], [0, 0, 0]]])
    found = graphs.radial(r, torch.tensor([[True, True, False]]), 4, 1.5, 6.0, 7.0)
    expected = np.exp(-0.5 * ((3 - np.array([1.5, 3, 4.5, 6])) / 1.5) ** 2) * (1 - (3 / 7) ** 2) ** 2
    np.testing.assert_allclose(found[0, 0, :, 1], expected, rtol=1e-5)
    assert found.sum().item() == pytest.approx(2 * expected.sum(), rel=1e-5)  # and nothing else
    with pytest.raises(ValueError, match="count"):
        graphs.radial(r, torch.ones(1, 3, dtype=torch.bool), 1)


def test_the_default_centers_are_1_5_to_6_bohr():
    places = torch.tensor([[[0.0, 0, 0], [2.2, 0, 0]]], dtype=torch.float64)
    centers = np.linspace(1.5, 6.0, 12)
    expected = np.exp(-0.5 * ((2.2 - centers) / (4.5 / 11)) ** 2) * (1 - (2.2 / 7) ** 2) ** 2
    both = torch.ones(1, 2, dtype=torch.bool)
    np.testing.assert_allclose(graphs.radial(places, both)[0, 0, :, 1], expected)
    assert graphs.radial(places, both, 2, 1.0, 3.0).shape == (1, 2, 2, 2)


def test_padding_takes_no_part_in_filters_and_gradients():
    """Padding at one place, or at none, gives what molecules without it give."""
    places, mask = torch.randn(1, 3, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.bool)
    alone = places.clone().requires_grad_()
    graphs.radial(alone, mask).square().sum().backward()
    for filled in (0.0, torch.nan):
        wide = torch.cat([places, torch.full((1, 2, 3), filled, dtype=torch.float64)], 1).requires_grad_()
        found = graphs.radial(wide, torch.tensor([[True, True, True, False, False]]))
        torch.testing.assert_close(found[:, :3, :, :3], graphs.radial(places, mask))
        assert not found[:, 3:].any()
        assert not found[..., 3:].any()
        found.square().sum().backward()
        torch.testing.assert_close(wide.grad[:, :3], alone.grad)
        assert not wide.grad[:, 3:].any()


def test_trimming_cuts_to_the_largest_molecule_of_the_batch():
    kinds = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 1, 0]])
    filters = torch.arange(3 * 4 * 2 * 4).reshape(3, 4, 2, 4)
    for rows, width in (([1], 1), ([0, 1], 2), ([2, 0], 3)):
        few, near = graphs.trimmed(kinds, filters, torch.tensor(rows))
        assert torch.equal(few, kinds[rows, :width])
        assert torch.equal(near, filters[rows, :width, :, :width])


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_is_dropped_unless_asked_for(layer):
    network = graphs.EnergyNetwork(8, layer=layer)
    assert {part.p for part in network.modules() if isinstance(part, torch.nn.Dropout)} == {0.0}
    alone = graphs.LAYERS[layer](8, 4, 6)
    assert {part.p for part in alone.modules() if isinstance(part, torch.nn.Dropout)} == {0.0}


def test_a_filter_convolution_has_no_bias_before_its_sum_over_neighbours():
    assert {name for name, _ in graphs.FilterConv(3, 4, 6).named_parameters() if "bias" in name} == {
        "update.0.bias", "update.3.bias"}


def test_filter_convolution_equals_a_plain_loop_element_by_element():
    kinds, coordinates = batch(2, 4)
    layer, x = graphs.FilterConv(3, 4, 6).double(), torch.randn(2, 4, 3, dtype=torch.float64)
    filters = graphs.radial(coordinates, kinds > 0, 4)
    for b in range(2):
        for i in range(4):
            heard = torch.zeros(6, dtype=torch.float64)
            for j in range(4):
                h = sum(filters[b, i, k, j] * layer.filters[k] for k in range(4))  # (hidden,)
                heard = heard + layer.send.weight @ x[b, j] * h
            expected = x[b, i] + layer.update(heard + layer.own.weight @ x[b, i])
            torch.testing.assert_close(layer(x, filters, kinds > 0)[b, i], expected)


def test_what_is_learned_counts_in_units_of_scale():
    kinds, coordinates = batch()
    model = network("filter")
    base = model.atom_energies[kinds]
    filters = graphs.radial(coordinates, kinds > 0, 4)
    learned = model.read(model.nodes(kinds, filters)).squeeze(-1) * (kinds > 0)
    assert learned.abs().max() > 0.1
    torch.testing.assert_close(model(kinds, filters), base + 2 * learned)


def test_the_default_cutoff_is_where_filters_end():
    places = torch.tensor([[[0.0, 0, 0], [6.99, 0, 0]], [[0.0, 0, 0], [7.01, 0, 0]]], dtype=torch.float64)
    filters = graphs.radial(places, torch.ones(2, 2, dtype=torch.bool))
    assert filters.shape == (2, 2, 12, 2)
    assert filters[0].max() > 0
    assert not filters[1].any()


def test_pools_equal_plain_loops_and_an_isolated_atom_gets_zeros():
    rng = np.random.default_rng(0)
    messages, mask = rng.normal(size=(2, 5, 5, 3)), rng.random((2, 5, 5)) < 0.5
    mask[0, 2] = False
    found = graphs.pooled(torch.tensor(messages), torch.tensor(mask)).numpy()
    for b in range(2):
        for i in range(5):
            heard = messages[b, i, mask[b, i]]
            pools = (np.min, np.max, np.sum, np.mean)
            expected = np.ravel([pool(heard, axis=0) for pool in pools]) if len(heard) else np.zeros(12)
            np.testing.assert_allclose(found[b, i], expected)
    with pytest.raises(ValueError, match="median"):
        graphs.pooled(torch.tensor(messages), torch.tensor(mask), ("median",))


def test_batches_hold_every_molecule_once_in_like_sizes():
    sizes = np.random.default_rng(0).integers(4, 24, 1000)
    for generator in (None, torch.Generator().manual_seed(0)):
        found = list(graphs.batches(sizes, 32, generator))
        assert sorted(torch.cat(found).tolist()) == list(range(1000))
        assert max(map(len, found)) == 32
        assert np.mean([np.ptp(sizes[rows]) for rows in found]) < 5
    first, again = ([rows.tolist() for rows in graphs.batches(sizes, 32, torch.Generator().manual_seed(7))]
                    for _ in range(2))
    assert first == again
    assert first != [rows.tolist() for rows in graphs.batches(sizes, 32, torch.Generator().manual_seed(8))]


def test_trimming_and_blocks_change_no_energy():
    kinds, coordinates = batch(40)
    filters = graphs.radial(coordinates.float(), kinds > 0, 4)
    model, rows = network("filter", dropout=0.5).float(), np.arange(39, -1, -3)
    found = graphs.atom_energies(model, kinds, filters, rows, batch=4)
    assert model.training  # left as it was
    with torch.no_grad():
        np.testing.assert_allclose(found, model.eval()(kinds, filters)[rows.copy()], atol=1e-4)


def test_tensors_do_not_depend_on_the_block():
    rng = np.random.default_rng(0)
    molecules = SimpleNamespace(coordinates=rng.normal(size=(9, 4, 3)), charges=rng.choice([0, 1, 6], (9, 4)))
    kinds, filters = graphs.tensors(molecules, block=2)
    assert kinds.tolist() == np.select([molecules.charges == 1, molecules.charges == 6], [1, 2]).tolist()
    assert torch.equal(filters, graphs.tensors(molecules)[1])


def test_an_unknown_layer_is_refused():
    with pytest.raises(ValueError, match="'spline' is not known"):
        graphs.EnergyNetwork(layer="spline")
    with pytest.raises(ValueError, match="multiple of 4"):
        graphs.EnergyNetwork(features=5, layer="attention")


def test_attention_equals_softmax_written_out():
    kinds, coordinates = batch(3, 5)
    layer, x = graphs.Attention(4, 4, 6).double(), torch.randn(3, 5, 4, dtype=torch.float64)
    for norm in layer.norms:  # as after training: the two differ
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    filters, mask = graphs.radial(coordinates, kinds > 0, 4), kinds > 0
    def normed(y, norm):
        centered = y - y.mean(-1, keepdim=True)
        return centered / (centered.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias

    q, k, v = layer.qkv(normed(x, layer.norms[0])).chunk(3, -1)
    heard = []
    for h in range(4):  # one feature per head, so sqrt(d) = 1
        logits = q[..., [h]] @ k[..., [h]].transpose(1, 2) + layer.near(filters.transpose(2, 3))[..., h]
        weights = logits.exp() * mask[:, None]
        heard.append(weights / weights.sum(-1, keepdim=True) @ v[..., [h]])
    between = x + layer.mix(torch.cat(heard, -1))
    expected = between + layer.update(normed(between, layer.norms[1]))
    torch.testing.assert_close(layer(x, filters, mask)[mask], expected[mask])
