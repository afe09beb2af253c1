"""One training loop for every network of the course: early stopping, best weights kept, safe checkpoints."""

import copy
import json
import math
import os
from pathlib import Path

import torch

from helpers.arguments import torch_module, whole_number
from helpers.runtime import progress


def fit(model, loss, batches, validate, epochs, optimizer=None, schedule=None, patience=None,
        description="training"):
    """Train a model, leave it with the weights of its best epoch, return one dict per epoch.

    loss(model, batch) -> scalar tensor; batches(epoch) -> iterable of batches, epochs counted from 0;
    validate(model) -> number, lower is better, called after each epoch in evaluation mode, no gradients.
    optimizer: Adam on every trainable parameter unless given. schedule: its learning-rate scheduler, stepped
    once per epoch. patience: stop after so many epochs in a row without a new best (None: never).
    Returns [{"epoch", "train", "validation", "best"}]; "best" says that the epoch set a new best.
    Raises ValueError for epochs or patience below 1, an epoch without a batch or a model with nothing to
    train, FloatingPointError where a loss is not finite.
    """
    for name, value in (("epochs", epochs), ("patience", patience)):
        if name == "epochs" or value is not None:
            whole_number(name, value)
    torch_module("model", model)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("model: no parameter requires a gradient; unfreeze at least one layer")
    optimizer = optimizer or torch.optim.Adam(trainable, lr=1e-3)
    history, best, waited, weights = [], math.inf, 0, None
    for epoch in progress(range(epochs), description):
        train = _one_epoch(model, loss, batches(epoch), optimizer)
        if schedule is not None:
            schedule.step()
        model.eval()
        with torch.no_grad():
            score = _finite(validate(model), "validation")
        history.append({"epoch": epoch, "train": train, "validation": score, "best": score < best})
        if score < best:
            best, waited, weights = score, 0, copy.deepcopy(model.state_dict())
        elif (waited := waited + 1) == patience:
            break
    model.load_state_dict(weights)
    return history


def _one_epoch(model, loss, batches, optimizer):
    """Mean loss over one pass in training mode, weights updated after each batch."""
    model.train()
    values = []
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model, batch)
        values.append(_finite(value, "training loss"))
        value.backward()
        optimizer.step()
    if not values:
        raise ValueError("batches: an epoch without a batch is not allowed; give at least one")
    return sum(values) / len(values)


def _finite(value, name):
    value = float(value.detach() if isinstance(value, torch.Tensor) else value)
    if not math.isfinite(value):
        raise FloatingPointError(f"{name}: {value} is not finite; lower the learning rate, look at the input")
    return value


def shuffled(tensors, size, generator):
    """Yield tuples of at most `size` rows, every row once. The order is drawn on the CPU from `generator`, so
    that it is the same on a GPU. Raises ValueError for tensors of different length."""
    if len({len(tensor) for tensor in tensors}) != 1:
        raise ValueError(f"tensors: lengths {[len(t) for t in tensors]} differ; allowed are equal lengths")
    for rows in torch.randperm(len(tensors[0]), generator=generator).split(size):
        yield tuple(tensor[rows.to(tensor.device)] for tensor in tensors)


def save_checkpoint(path, model, config):
    """Write the weights to `path` and `config`, what rebuilds the model, as JSON beside it (`path`.json).

    Each file appears whole or not at all. Raises TypeError for a config that JSON cannot hold.
    """
    path, text = Path(path), json.dumps(config, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    for target, write in ((Path(f"{path}.json"), lambda part: part.write_text(text, encoding="utf-8")),
                          (path, lambda part: torch.save(weights, part))):
        part = Path(f"{target}.part")
        write(part)
        os.replace(part, target)


def load_checkpoint(path, model):
    """Fill `model` (on any device) with the weights at `path`; return the config saved beside them.

    weights_only=True: a stranger's checkpoint can fill tensors, but not run code. Raises FileNotFoundError,
    RuntimeError where the weights do not fit the model, UnpicklingError for a file that holds code.
    """
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
