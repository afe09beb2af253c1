"""The training loop against closed forms and plain loops; checkpoints that are whole and cannot run code."""

import math
import pickle

import pytest
import torch
from torch import nn

from helpers import training


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(3, 1).double()


def data(n=64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 3


def squares(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def run(model, epochs=3, validate=None, batches=None, **options):
    x, y = data()
    batches = batches or (lambda epoch: [(x, y)])
    validate = validate or (lambda m: squares(m, (x, y)))
    return training.fit(model, squares, batches, validate, epochs, **options)


def test_fit_reaches_the_closed_form():
    model = linear()
    run(model, 300, optimizer=torch.optim.SGD(model.parameters(), lr=0.3))
    assert torch.allclose(model.weight, torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64), atol=1e-8)
    assert model.bias.item() == pytest.approx(3, abs=1e-8)


def test_fit_equals_a_plain_loop():
    x, y = data()
    ours, plain = linear(), linear()
    history = run(ours, 4, batches=lambda epoch: training.shuffled(
        (x, y), 16, torch.Generator().manual_seed(epoch)))  # fmt: skip
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    losses = []
    for epoch in range(4):
        for rows in torch.randperm(64, generator=torch.Generator().manual_seed(epoch)).split(16):
            optimizer.zero_grad()
            value = squares(plain, (x[rows], y[rows]))
            value.backward()
            optimizer.step()
            losses.append(value.item())
    assert torch.equal(ours.weight, plain.weight)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert [row["train"] for row in history] == pytest.approx(torch.tensor(losses).view(4, 4).mean(dim=1))


def test_the_best_epoch_is_kept_and_patience_counts_epochs_in_a_row():
    scores, seen = iter([5.0, 3.0, 4.0, 2.0, 2.0, 2.5, 9.0]), []

    def validate(model):
        seen.append(model.weight.clone())
        return next(scores)

    model = linear()
    history = run(model, 7, validate, patience=2)
    assert [row["validation"] for row in history] == [5.0, 3.0, 4.0, 2.0, 2.0, 2.5]
    assert [row["best"] for row in history] == [True, True, False, True, False, False]
    assert torch.equal(model.weight, seen[3])
    assert not torch.equal(model.weight, seen[5])


def test_modes_gradients_and_schedule():
    modes = []
    model = nn.Sequential(linear(), nn.Dropout(0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)

    def validate(m):
        modes.append((m.training, torch.is_grad_enabled()))
        return 1.0

    training.fit(model, lambda m, b: modes.append((m.training, torch.is_grad_enabled())) or squares(m, b),
                 lambda epoch: [data()], validate, 2, optimizer, schedule)
    assert modes == [(True, True), (False, False)] * 2
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert not model.training


def test_frozen_parameters_do_not_move():
    model = nn.Sequential(linear(0), nn.Linear(1, 1).double())
    model[0].requires_grad_(False)
    before = model[0].weight.clone(), model[1].weight.clone()
    run(model)
    assert torch.equal(model[0].weight, before[0])
    assert not torch.equal(model[1].weight, before[1])


@pytest.mark.parametrize(("options", "word"), [({"epochs": 0}, "epochs"), ({"patience": 0}, "patience"),
                                               ({"batches": lambda epoch: []}, "batches")])
def test_bad_arguments_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        run(linear(), **options)


def test_nothing_to_train_and_losses_that_are_not_finite():
    with pytest.raises(ValueError, match="model"):
        run(linear().requires_grad_(False))
    with pytest.raises(FloatingPointError, match="validation"):
        run(linear(), validate=lambda model: math.nan)
    x, y = data()
    with pytest.raises(FloatingPointError, match="training loss"):
        run(linear(), batches=lambda epoch: [(x * math.inf, y)])


def test_shuffled_gives_every_row_once_and_the_same_order_for_the_same_seed():
    rows = torch.arange(10)
    def draw(seed):
        return [pair for pair in training.shuffled((rows, rows * 2), 4, torch.Generator().manual_seed(seed))]

    first = draw(0)
    assert [len(a) for a, _ in first] == [4, 4, 2]
    assert all(torch.equal(2 * a, b) for a, b in first)
    assert torch.equal(torch.cat([a for a, _ in first]).sort().values, rows)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, draw(0), strict=True))
    assert not torch.equal(first[0][0], draw(1)[0][0])
    with pytest.raises(ValueError, match="lengths"):
        list(training.shuffled((rows, rows[:3]), 4, torch.Generator()))


def test_checkpoint_round_trip_with_config(tmp_path):
    path = tmp_path / "new folder" / "model.pt"
    training.save_checkpoint(path, linear(0), {"width": 3, "seed": 0})
    other = linear(1)
    assert training.load_checkpoint(path, other) == {"width": 3, "seed": 0}
    assert torch.equal(other.weight, linear(0).weight)
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.pt", "model.pt.json"]


def test_checkpoint_with_code_in_it_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("code ran",)

    torch.save({"weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(pickle.UnpicklingError):
        training.load_checkpoint(tmp_path / "trap.pt", linear())


def test_checkpoint_that_does_not_fit_or_cannot_be_written(tmp_path):
    training.save_checkpoint(tmp_path / "a.pt", nn.Linear(2, 1), {})
    with pytest.raises(RuntimeError, match="size mismatch"):
        training.load_checkpoint(tmp_path / "a.pt", linear())
    with pytest.raises(TypeError):
        training.save_checkpoint(tmp_path / "b.pt", linear(), {"bad": object()})
    assert not (tmp_path / "b.pt").exists()


def test_a_checkpoint_makes_the_folders_that_it_needs(tmp_path):
    path = tmp_path / "a" / "b" / "net.pt"
    for _ in range(2):  # also where they are there
        training.save_checkpoint(path, linear(), {"width": 3})
    assert training.load_checkpoint(path, linear(1)) == {"width": 3}
