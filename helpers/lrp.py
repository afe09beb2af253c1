"""LRP-gamma as gradient times input of a changed copy: the rule for each layer, and the copy.

Rules: Montavon et al., LNCS 11700:193 (2019); for inputs and outputs of any sign the generalised gamma
rule of Andéol et al., arXiv:2106.04923.
"""

import copy
import inspect
import operator
import warnings
from collections import Counter, OrderedDict

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from helpers.arguments import not_negative
from helpers.networks import evaluation

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
RELU = (nn.ReLU, F.relu, torch.relu, "relu", "relu_")
OTHER_ACTIVATIONS = (nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
                     nn.Hardswish, nn.Hardtanh, nn.Tanh, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish,
                     F.hardswish, F.hardtanh, torch.tanh, "tanh")
SAME = (nn.Identity, nn.Dropout, nn.Dropout2d, F.dropout, F.dropout2d)  # in evaluation mode
KEEP_SIGN = (*SAME, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten,
             torch.cat, torch.flatten, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d,
             "flatten", "mean", "view", "reshape", "contiguous")
SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
LINEAR = (*SUMS, nn.ZeroPad2d, nn.Unflatten, torch.mean, torch.unsqueeze, operator.getitem,
          "permute", "transpose", "unsqueeze", "squeeze")
SHAPES = ("shape", "ndim", "dtype", "device")  # attributes that say nothing of the values
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OUT_OF_PLACE = {operator.iadd: operator.add, "relu_": "relu", "add_": "add", torch.relu_: torch.relu,
                F.leaky_relu_: F.leaky_relu, F.elu_: F.elu, F.hardtanh_: F.hardtanh}


class _Gate(torch.autograd.Function):
    """Forward z, backward through z_up * [z / (z_up + small)].detach(), where z > 0; nothing where z <= 0."""

    @staticmethod
    def forward(ctx, z_up, z, small=0.0):
        smallest = torch.finfo(z.dtype).tiny  # z <= z_up, but for rounding: the ratio stays between 0 and 1
        ctx.save_for_backward((z.clamp(min=0) / (z_up + small).clamp(min=smallest)).clamp_(max=1))
        return z

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


class _Pass(torch.autograd.Function):
    """Forward f(z), backward through z * [f(z) / z].detach(): relevance passes an activation unchanged."""

    @staticmethod
    def forward(ctx, z, value):
        ctx.save_for_backward(torch.where(z == 0, 0, value / torch.where(z == 0, 1, z)))
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None


class Biased(nn.Module):
    """A layer whose forward pass is that of `layer` and whose backward pass favours positive contributions.

    w_up = w + gamma max(0, w), b_up likewise, z = z_up [z / z_up].detach(). Inputs below zero meet
    w + gamma min(0, w) instead, so that z_up >= z always. both_signs: outputs below zero, which a ReLU would
    drop, favour negative contributions in the same way. epsilon: the denominator z_up grows by that many root
    mean squares of the image's z, so that small activations pass on less (LRP-epsilon).
    """

    def __init__(self, layer, gamma, negative_inputs, both_signs=False, epsilon=0.0):
        super().__init__()
        self.layer, self.both_signs, self.epsilon = layer, both_signs, epsilon
        self.up, self.down = copy.deepcopy(layer), None
        with torch.no_grad():
            for value in self.up.parameters():
                value += gamma * value.clamp(min=0)
            if negative_inputs or both_signs:
                self.down = copy.deepcopy(layer)
                for value in self.down.parameters():
                    value += gamma * value.clamp(max=0)

    def forward(self, x):
        with torch.no_grad():
            z = self.layer(x)
            size = z.square().mean(tuple(range(1, z.ndim)), keepdim=True).sqrt() if self.epsilon else 0.0
            small = self.epsilon * size
        if self.down is None:
            return _Gate.apply(self.up(x), z, small)
        positive, negative = x.clamp(min=0), x.clamp(max=0)
        result = _Gate.apply(self.up(positive) + _without_bias(self.down, negative), z, small)
        if self.both_signs:
            z_down = self.down(positive) + _without_bias(self.up, negative)
            result = torch.where(z < 0, -_Gate.apply(-z_down, -z, small), result)
        return result


class Passing(nn.Module):
    """An activation that hands on relevance as it is: f(z) forward, z [f(z) / z].detach() backward."""

    def __init__(self, activation):
        super().__init__()
        self.activation = activation

    def forward(self, z, *args, **kwargs):
        with torch.no_grad():
            value = self.activation(z.clone(), *args, **kwargs)
        return _Pass.apply(z, value)


def _without_bias(layer, x):
    """The layer's output without its bias."""
    if layer.bias is None:
        return layer(x)
    return torch.func.functional_call(layer, {"bias": torch.zeros_like(layer.bias)}, x)


def rules(network):
    """{layer: rule} for every layer with weights: what `biased` does with it.

    Raises ValueError, with kinds and counts, for operations through which relevance cannot be traced.
    """
    clone, graph, _ = _prepared(network)
    return {node.target: rule for node, rule, _ in _rules(graph, clone)}


def biased(network, gamma=0.25, epsilon=0.0):
    """A copy of the network with the same forward pass whose gradient times input is LRP-gamma.

    The copy has no hooks, which is said in a warning: they would see its other passes, too.

    gamma, epsilon: numbers >= 0, or functions of the depth, from 0 (first layer) to 1 (last); a composite of
    rules by depth is two such functions (epsilon as in `Biased`). Batch normalisation is folded into the
    layer before it. Layers in front of an activation get the gamma rule; the layer that reads the pixels and
    layers with none behind them keep their weights (LRP-0): there z may have any sign and z / z_up any size.
    Raises ValueError for another gamma or epsilon, and as `rules` does.
    """
    if hooked := [name or "itself" for name, module in network.named_modules()
                  if module._forward_hooks or module._forward_pre_hooks]:
        warnings.warn(f"network: the copy has no hooks (of {', '.join(hooked)}) and nothing that they change",
                      stacklevel=2)
    return biased_with_rules(network, gamma, epsilon)[0]


@torch.inference_mode(False)
def biased_with_rules(network, gamma=0.25, epsilon=0.0):
    """(the copy of `biased`, what `rules` says of the network), without a warning of hooks."""
    clone, graph, changed = _prepared(network)
    chosen = _rules(graph, clone)
    for index, (node, rule, negative) in enumerate(chosen):
        depth = index / max(len(chosen) - 1, 1)
        value, damping = (_at_depth(*named, depth) for named in (("gamma", gamma), ("epsilon", epsilon)))
        if rule.startswith("gamma"):
            layer = clone.get_submodule(node.target)
            both_signs = rule == "gamma, both signs"
            clone.set_submodule(node.target, Biased(layer, value, negative, both_signs, damping))
    for node in graph.nodes:
        if _kind(node, clone) in OTHER_ACTIVATIONS:
            changed |= _pass_relevance(graph, clone, node)
    result = fx.GraphModule(clone, graph) if changed else clone
    for module in network.modules():
        if callable(getattr(module, "preprocess", None)):  # which a traced copy would lose
            result.preprocess = module.preprocess
            break
    return result, {node.target: rule for node, rule, _ in chosen}


def _at_depth(name, value, depth):
    return not_negative(name, value(depth) if callable(value) else value)


def _prepared(network):
    """(copy, its graph, whether that changed): out of place, one module per use, normalisation folded."""
    unhooked = {id(getattr(module, kind)): OrderedDict() for module in network.modules() for kind in HOOKS}
    try:
        with evaluation(network):
            clone = copy.deepcopy(network, unhooked).requires_grad_(False)
    except RuntimeError as error:  # weights computed at each pass, as by torch.nn.utils.spectral_norm
        raise ValueError(f"network: no copy ({str(error).partition('.')[0]}); remove what "
                         "computes its weights, as torch.nn.utils.remove_spectral_norm does, and tensors "
                         "that it keeps of a pass") from None
    in_place = {name for name, module in clone.named_modules() if getattr(module, "inplace", False)}
    for name in in_place:
        clone.get_submodule(name).inplace = False
    options = list(inspect.signature(clone.forward).parameters.values())[1:]
    try:
        graph = fx.Tracer().trace(clone, {option.name: option.default for option in options
                                          if option.default is not option.empty} or None)
    except Exception as error:  # control flow that depends on data, and what else cannot be traced
        raise ValueError(f"network: its forward pass cannot be traced ({error}); use integrated_gradients or "
                         "smooth_grad".replace("\n", " ")) from None
    used, changed = set(), _out_of_place(graph, in_place)
    for node in graph.nodes:
        if node.op == "call_module":
            if node.target in used and clone.get_submodule(node.target).state_dict():
                copied = f"{node.target.replace('.', '_')}_again_{node.name}"
                clone.add_module(copied, copy.deepcopy(clone.get_submodule(node.target)))
                node.target, changed = copied, True
            used.add(node.target)
    graph.lint()
    _fold(graph, clone)
    return clone, graph, changed


def _out_of_place(graph, in_place):
    """Write no operation's result into its input, and let what reads the input later read the result.

    in_place: names of modules that did. True where the graph changed.
    """
    changed, place = False, {node: index for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        called = node.op in ("call_function", "call_method")
        named = _by_name(node) if called else {}
        writes = node.target in OUT_OF_PLACE or named.get("inplace") or (
            node.op == "call_module" and node.target in in_place)
        if not writes:
            continue
        if called:
            node.target, changed = OUT_OF_PLACE.get(node.target, node.target), True
        source = node.all_input_nodes[0]
        if named.get("inplace"):
            others = {name: value for name, value in named.items() if value is not source}
            node.args, node.kwargs = (source,), {**others, "inplace": False}
        for user in [user for user in source.users if place[user] > place[node]]:
            user.replace_input_with(source, node)
            changed = True
    return changed


def _by_name(node):
    """All arguments of a function by name, in order; those given by name where it does not tell its names."""
    try:
        return inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments
    except (TypeError, ValueError):
        return dict(node.kwargs)


def _fold(graph, clone):
    """Fold every batch normalisation into the layer before it where nothing else reads that layer."""
    for node in graph.nodes:
        norm = _kind(node, clone)
        before = node.all_input_nodes[0] if node.all_input_nodes else None
        if norm in NORMS and _kind(before, clone) in WEIGHTED and len(before.users) == 1:
            layer, scale = clone.get_submodule(before.target), clone.get_submodule(node.target)
            fuse = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
            clone.set_submodule(before.target, fuse(layer, scale).requires_grad_(False))
            clone.set_submodule(node.target, nn.Identity())


def _kind(node, clone):
    """The type of the module, or the function or method that a node calls."""
    if node is None or node.op not in ("call_module", "call_function", "call_method"):
        return None
    return type(clone.get_submodule(node.target)) if node.op == "call_module" else node.target


def _followers(node, clone):
    """Kinds of what reads a node's result, identities looked through, sizes left out."""
    return [kind for user in node.users if not _tells_shape(user, clone) for kind in
            (_followers(user, clone) if _kind(user, clone) in SAME else [_kind(user, clone)])]


def _tells_shape(node, clone):
    """Whether a node asks for a size, which no value of the images changes."""
    kind = _kind(node, clone)
    return kind in ("size", "dim") or (kind is getattr and node.args[1] in SHAPES)


def _has_rule(node, kind, varies):
    """Whether relevance passes an operation; `varies` holds the nodes that depend on the images."""
    operands = [*node.args, *node.kwargs.values()]
    inputs = [other for other in node.all_input_nodes if other in varies]
    if kind in (operator.mul, operator.truediv, operator.sub):  # a constant is divided by, or taken away
        varying = [operand for operand in operands if operand in inputs]
        return len(varying) == 1 and (kind is operator.mul or operands[0] is varying[0])
    if kind is getattr:
        return operands[1] in ("T", "mT")
    if kind in (F.dropout, F.dropout2d) or getattr(kind, "__name__", "") == "stochastic_depth":
        return not _by_name(node).get("training", True)
    known = kind in (*RELU, *OTHER_ACTIVATIONS, *KEEP_SIGN, *LINEAR, *NORMS)
    return known and (len(inputs) == 1 or kind in (*SUMS, torch.cat))


def _reads_pixels(node, clone):
    """Whether no layer with weights and no activation stands between the images and a node."""
    if node.op == "placeholder":
        return True
    nodes = [other for other in node.all_input_nodes if other.op != "get_attr"]
    return bool(nodes) and _kind(node, clone) not in (*WEIGHTED, *RELU, *OTHER_ACTIVATIONS) and all(
        _reads_pixels(other, clone) for other in nodes)


def _rule(node, inputs, clone):
    """The rule of a layer with weights."""
    after = _followers(node, clone)
    if _reads_pixels(inputs[0], clone):
        return "LRP-0: reads the pixels"
    if after and all(follower in RELU for follower in after):
        return "gamma"
    if after and all(follower in (*RELU, *OTHER_ACTIVATIONS) for follower in after):
        return "gamma, both signs"
    return "LRP-0: no activation follows"


def _rules(graph, clone):
    """[(node, rule, may its inputs be negative)] of the layers with weights; ValueError as in `rules`."""
    found, positive, unknown, varies = [], {}, Counter(), {next(iter(graph.nodes))}
    for node in graph.nodes:
        kind, inputs = _kind(node, clone), node.all_input_nodes
        number = any(not isinstance(given, fx.Node) for given in (*node.args, *node.kwargs.values()))
        positive[node] = kind in RELU or (kind in (*KEEP_SIGN, *SUMS) and all(positive[n] for n in inputs)
                                          and not (kind in SUMS and number))  # x - 1, u - v as alpha=-1
        if kind is None or varies.isdisjoint(inputs) or _tells_shape(node, clone):
            continue
        varies.add(node)
        if kind in WEIGHTED:
            if "weight" not in clone.get_submodule(node.target)._parameters:
                raise ValueError(f"network: {node.target} computes its weight at each pass; make it "
                                 "permanent by torch.nn.utils.remove_weight_norm or prune.remove")
            found.append((node, _rule(node, inputs, clone), not positive[inputs[0]]))
        elif not _has_rule(node, kind, varies):
            unknown[getattr(kind, "__name__", str(kind))] += 1
    if unknown:
        named = ", ".join(f"{name} ({count})" for name, count in unknown.items())
        raise ValueError(f"network: relevance has no rule for {named}; use integrated_gradients, "
                         "smooth_grad, grad_cam or occlusion for this network")
    return found


def _pass_relevance(graph, clone, node):
    """Exchange an activation for its Passing twin; True where that changed the graph."""
    if node.op == "call_module":
        clone.set_submodule(node.target, Passing(clone.get_submodule(node.target)))
        return False
    function = node.target if callable(node.target) else getattr(torch, node.target)
    clone.add_module(name := f"passing_{node.name}", Passing(function))
    with graph.inserting_before(node):
        source = node.all_input_nodes[0]
        options = {option: value for option, value in node.kwargs.items() if value is not source}
        new = graph.call_module(name, (source, *node.args[1:]), options)
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    return True
