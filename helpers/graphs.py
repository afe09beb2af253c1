"""Graph layers on padded batches: (molecule, atom, feature) tensors with a mask, no other library.

A padded place never sends a message, and its own result is 0. Sums over neighbours make every layer
indifferent to the order of the atoms.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from helpers.arguments import whole_number
from helpers.molecules import ELEMENTS, elements, pairs, refuse_angstrom


def neighbours(mask):
    """Return (b, n, n) bool: which j sends to i. Atoms of the same molecule, but nobody to itself."""
    n = mask.shape[1]
    return mask[:, :, None] & mask[:, None, :] & ~torch.eye(n, dtype=torch.bool, device=mask.device)


def distances(coordinates, mask=None):
    """Return (b, n, n) of coordinates (b, n, 3), in their unit; 1 from an atom to itself, so that the
    gradient exists everywhere. mask (b, n): 1 from and to padding, too."""
    atom = torch.ones(coordinates.shape[:2], dtype=torch.bool, device=coordinates.device)
    squared = (coordinates[:, :, None] - coordinates[:, None]).square().sum(-1)
    return squared.masked_fill(~neighbours(atom if mask is None else mask), 1).sqrt()


def radial(coordinates, mask, count=12, first=1.5, last=6.0, cutoff=7.0):
    """Return (b, n, count, n): Gaussian number k of the distance from atom i to atom j, at [:, i, k, j].

    coordinates (b, n, 3) bohr, on padding anything; mask (b, n). Centers from first to last, as wide as they
    are apart, faded by (1 - (r / cutoff)^2)^2, 0 from cutoff on, on padding and from an atom to itself.
    Raises ValueError for count below 2 or first >= last.
    """
    if not first < last:
        raise ValueError(f"count: {count!r} from {first!r} to {last!r} is not allowed; they must rise")
    whole_number("count", count, least=2)
    centers = torch.linspace(first, last, count, dtype=coordinates.dtype, device=coordinates.device)
    r = distances(coordinates.masked_fill(~mask[..., None], 0), mask)[:, :, None, :]
    soft = torch.exp(-0.5 * ((r - centers[:, None]) * ((count - 1) / (last - first))).square())
    fade = (1 - (r / cutoff).square()).clamp(min=0).square()
    return soft * fade * neighbours(mask)[:, :, None, :]


def tensors(molecules, device="cpu", block=512, **radials):
    """Return kinds (m, n) and filters (m, n, k, n) float32 of all molecules on a device.

    kinds: 0 for padding, else 1 + index into ELEMENTS; radials: passed on to `radial`. Raises ValueError like
    `pairs`, and for lengths in angstrom.
    """
    refuse_angstrom(pairs(molecules.coordinates, molecules.charges))
    kinds = torch.as_tensor(elements(molecules.charges) + 1, device=device)
    places = torch.as_tensor(np.asarray(molecules.coordinates, dtype=np.float32), device=device)
    parts = zip(places.split(block), kinds.split(block), strict=True)
    return kinds, torch.cat([radial(place, kind > 0, **radials) for place, kind in parts])


def batches(sizes, batch, generator=None, group=8):
    """Yield index tensors (at most `batch` long) in which molecules have like sizes: less padding to compute.

    sizes (m,) atoms. With a generator, molecules are shuffled, sorted by size within groups of `group`
    batches, and batches shuffled again; without one, all are sorted by size. Every index comes once.
    """
    sizes = torch.as_tensor(sizes).cpu()
    if generator is None:
        yield from torch.argsort(sizes, stable=True).split(batch)
        return
    shuffled = torch.randperm(len(sizes), generator=generator)
    found = [part for rows in shuffled.split(batch * group)
             for part in rows[torch.argsort(sizes[rows], stable=True)].split(batch)]
    for k in torch.randperm(len(found), generator=generator):
        yield found[k]


def trimmed(kinds, filters, rows):
    """Return kinds and filters of some molecules (index tensor), cut to the largest of them."""
    rows = rows.to(kinds.device)
    kinds = kinds[rows]
    n = int((kinds > 0).any(0).nonzero().max()) + 1
    return kinds[:, :n], filters[rows, :n, :, :n]


def pooled(messages, mask, kinds=("min", "max", "sum", "mean")):
    """Return (b, n, len(kinds) * f): messages (b, n, n, f) from j to i, pooled over the j that mask allows.

    mask (b, n, n) bool. Without any neighbour each pool is 0. Raises ValueError for an unknown kind.
    """
    allowed, some = mask[..., None], mask.any(2)[..., None]
    sums = (messages * allowed).sum(2)
    pools = {"sum": lambda: sums, "mean": lambda: sums / allowed.sum(2).clamp(min=1),
             "max": lambda: messages.masked_fill(~allowed, -torch.inf).amax(2).masked_fill(~some, 0),
             "min": lambda: messages.masked_fill(~allowed, torch.inf).amin(2).masked_fill(~some, 0)}
    for kind in kinds:
        if kind not in pools:
            raise ValueError(f"kinds: {kind!r} is not known; allowed are 'min', 'max', 'sum' and 'mean'")
    return torch.cat([pools[kind]() for kind in kinds], -1)


class FilterConv(nn.Module):
    """Continuous filters: x_i + g(sum_j y_j * h(r_ij), x_i), element by element, y = x without mixing atoms.

    Each feature of the sender is multiplied by its own filter h(r) = sum_k radial_k(r) h_k, a smooth curve of
    the distance. The sum over k and j is one matrix product. Source: Schütt et al., J. Chem. Phys. 148,
    241722 (2018), there with h a network of two layers on the same Gaussians.
    """

    def __init__(self, features, filters, hidden, dropout=0.0):
        super().__init__()
        self.send = nn.Linear(features, hidden, bias=False)
        self.filters = nn.Parameter(torch.randn(filters, hidden))
        self.own = nn.Linear(features, hidden, bias=False)
        self.update = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(dropout),
                                    nn.Linear(hidden, features))

    def messages(self, x, filters):
        """Return (b, n, hidden): sum over j of y_j * h(r_ij); senders x (b, m, f), filters (b, n, k, m)."""
        weighted = self.send(x)[:, None] * self.filters[:, None]  # (b or 1, k, m, hidden)
        return filters.flatten(2) @ weighted.flatten(1, 2)

    def forward(self, x, filters, mask, senders=None):
        """senders: whom filters reach, (b or 1, m, f); the atoms x themselves unless given."""
        return x + self.update(self.messages(x if senders is None else senders, filters) + self.own(x))


class Attention(nn.Module):
    """A transformer block over the atoms of a molecule, logits shifted by a learned function of distance.

    x + mix(attention(norm(x))), then x + g(norm(x)); `heads` attentions side by side divide the features.
    Source: Vaswani et al., NeurIPS 2017, eq. 1; the shift as in Ying et al., NeurIPS 2021. Raises ValueError
    where heads does not divide features.
    """

    heads = 4

    def __init__(self, features, filters, hidden, dropout=0.0):
        super().__init__()
        if features % self.heads:
            raise ValueError(f"features: {features} is not allowed; give a multiple of {self.heads}")
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in range(2))
        self.qkv, self.mix = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.near = nn.Linear(filters, self.heads, bias=False)
        nn.init.normal_(self.near.weight, std=3.0)  # else every atom would hear all others alike at first
        self.update = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Dropout(dropout),
                                    nn.Linear(hidden, features))

    def forward(self, x, filters, mask):
        b, n, f = x.shape
        q, k, v = (part.reshape(b, n, self.heads, -1).transpose(1, 2)
                   for part in self.qkv(self.norms[0](x)).chunk(3, -1))
        shift = self.near(filters.transpose(2, 3)).permute(0, 3, 1, 2)  # (molecule, head, atom, atom)
        shift = shift.masked_fill(~mask[:, None, None], -torch.inf)
        heard = F.scaled_dot_product_attention(q, k, v, attn_mask=shift).transpose(1, 2).reshape(b, n, f)
        x = x + self.mix(heard)
        return x + self.update(self.norms[1](x))


LAYERS = {"filter": FilterConv, "attention": Attention}


class EnergyNetwork(nn.Module):
    """Energy of every atom from its element and its neighbours; a molecule's energy is their sum.

    forward(kinds (b, n), filters (b, n, k, n)) -> (b, n) kcal/mol, 0 on padding. Starts as the linear model
    over `atom_energies` (5,) kcal/mol and learns the rest in units of `scale`. layer: "filter" or
    "attention". Raises ValueError for another layer.
    """

    def __init__(self, features=32, filters=12, hidden=64, layers=3, dropout=0.0, layer="filter",
                 atom_energies=(0.0, 0.0, 0.0, 0.0, 0.0), scale=1.0):
        super().__init__()
        if layer not in LAYERS:
            raise ValueError(f"layer: {layer!r} is not known; allowed are {', '.join(map(repr, LAYERS))}")
        self.embed = nn.Embedding(1 + len(ELEMENTS), features, padding_idx=0)
        self.layers = nn.ModuleList(LAYERS[layer](features, filters, hidden, dropout) for _ in range(layers))
        self.read = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, 1))
        nn.init.zeros_(self.read[2].weight)
        nn.init.zeros_(self.read[2].bias)
        self.register_buffer("atom_energies", torch.tensor([0.0, *atom_energies]))
        self.register_buffer("scale", torch.tensor(float(scale)))

    def nodes(self, kinds, filters):
        """Return the features of every atom after all layers, (b, n, features), 0 on padding."""
        mask = kinds > 0
        x = self.embed(kinds)
        for number, layer in enumerate(self.layers):
            if number == 0 and isinstance(layer, FilterConv):  # atoms of one element still send the same
                by_element = F.one_hot(kinds, self.embed.num_embeddings).to(filters.dtype)[:, None]
                x = layer(x, filters @ by_element, mask, self.embed.weight[None])
            else:
                x = layer(x, filters, mask)
            x = x * mask[..., None]
        return x

    def forward(self, kinds, filters):
        learned = self.scale * self.read(self.nodes(kinds, filters)).squeeze(-1)
        return self.atom_energies[kinds] + learned * (kinds > 0)


@torch.no_grad()
def atom_energies(model, kinds, filters, rows, batch=256):
    """Return (len(rows), n) float64 NumPy: the energy of every atom, in evaluation mode, batch by batch."""
    was, rows = model.training, torch.as_tensor(rows)
    model.eval()
    energies = torch.zeros(len(rows), kinds.shape[1])
    sizes = (kinds > 0).sum(1).cpu()[rows]
    for part in batches(sizes, batch):
        found = model(*trimmed(kinds, filters, rows[part])).cpu()
        energies[part, :found.shape[1]] = found
    model.train(was)
    return energies.double().numpy()
