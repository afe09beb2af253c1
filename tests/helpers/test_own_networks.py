"""Networks of one's own: what a key, a trace or a batch does not see of them must not go wrong unsaid."""

import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers import files, heatmaps, lrp, networks
from tests.helpers.test_zoo import Net, photographs, preprocessing

conv = nn.Conv2d
FUNCTIONS = {
    "scores": heatmaps.scores, "gradient": heatmaps.sensitivity, "product": heatmaps.gradient_times_input,
    "smooth": partial(heatmaps.smooth_grad, samples=2), "occlusion": partial(heatmaps.occlusion, patch=8),
    "integrated": partial(heatmaps.integrated_gradients, steps=3), "relevance": heatmaps.relevance,
    "box": partial(heatmaps.relevance, box=heatmaps.BOX), "cam": partial(heatmaps.grad_cam, layer="first"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")


def own(run, last=4, **layers):
    """A network of two convolutions by a function of (self, x), in float64."""
    torch.manual_seed(0)
    network = Net(run, first=conv(3, 4, 3), second=conv(4, last, 3), **layers).double().eval()
    network.preprocess = preprocessing
    return network


def plain(net, x):
    return F.relu(net.second(F.relu(net.first(x))))


def direction_for(network):
    width = network(preprocessing(photographs())).flatten(1).shape[1]
    return torch.from_numpy(np.random.default_rng(1).normal(size=width))


def test_features_of_code_of_ones_own_are_never_taken_from_the_cache():
    made = [own(run) for run in (plain, lambda net, x: F.gelu(net.second(net.first(x))))]
    scaled = nn.Sequential(conv(3, 2, 3))
    hooked, other = copy.deepcopy(scaled), copy.deepcopy(scaled)
    hooked[0].register_forward_hook(lambda module, given, output: 2 * output)
    other[0].forward = lambda x: F.conv2d(x, -scaled[0].weight)
    shift, by = (lambda x, mean: x.float() / 255 - mean), (lambda x, mean: x.float() - mean)
    for network, preprocess in [*((each, networks.preprocess) for each in (*made, scaled, hooked, other)),
                                (scaled, partial(shift, mean=0.5)), (scaled, partial(by, mean=0.5)),
                                *((scaled, lambda x, k=k: x.float() / k) for k in range(1, 5))]:
        network.preprocess = preprocess
        found, fresh = (networks.features(network, photographs(), cache=cache) for cache in (True, False))
        np.testing.assert_array_equal(found, fresh)


def test_equal_bytes_of_another_type_are_other_features():
    network, x = nn.Sequential(conv(3, 2, 3)).half(), torch.ones(1, 3, 8, 8)
    twin = copy.deepcopy(network).bfloat16()
    for key, value in network.state_dict().items():
        twin.state_dict()[key].copy_(value.view(torch.bfloat16))
    found = [networks.features(each, x) for each in (network, twin)]
    np.testing.assert_array_equal(found[1], networks.features(twin, x, cache=False))
    assert not np.allclose(*found)


REFUSED = {
    "mul": lambda net, x: net.second((y := F.relu(net.first(x))) * y),
    "truediv": lambda net, x: net.second(1 / (1 + F.relu(net.first(x)))),
    "pow": lambda net, x: net.second(F.relu(net.first(x)) ** 2),
    "square": lambda net, x: net.second(torch.square(net.first(x))),
    "div": lambda net, x: net.second(torch.div(1, 1 + F.relu(net.first(x)))),
    "mul_": lambda net, x: net.second(net.first(x).mul_(2.0)),
    "sum": lambda net, x: net.second((y := F.relu(net.first(x))) / y.sum()),
    "sub": lambda net, x: net.second(torch.sub(1, net.first(x))),
    "clamp": lambda net, x: net.second(net.first(x).clamp(0, 1)),
    "where": lambda net, x: net.second(torch.where(net.first(x) > 0, 1.0, 0.0).double()),
    "getattr": lambda net, x: net.second(net.first(x).data),
    "dropout": lambda net, x: net.second(F.dropout(net.first(x), 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_linear_in_one_map_has_no_rule(kind):
    with pytest.raises(ValueError, match=rf"^network: relevance has no rule for .*\b{kind} \(1\)"):
        lrp.rules(own(REFUSED[kind]))


def test_a_difference_by_alpha_is_the_sum_with_the_negative():
    run = lambda mix: lambda net, x: F.relu(net.second(mix(F.relu(net.first(x)), F.relu(net.third(x)))))
    third = conv(3, 4, 3)
    difference, expected, wide = (own(run(mix), third=third) for mix in (
        lambda u, v: torch.add(u, v, alpha=-1), lambda u, v: u + (-1) * v, lambda u, v: torch.cat([u, u], 1)))
    direction = direction_for(difference)
    found, reference = (heatmaps.relevance(each, direction, photographs()) for each in (difference, expected))
    torch.testing.assert_close(found, reference)
    wide.second = conv(8, 4, 3).double()  # the same map twice is no product
    assert heatmaps.relevance(wide, direction, photographs()).isfinite().all()


def test_a_constant_tensor_scales_and_a_size_divides():
    run = lambda scale: lambda net, x: F.relu(net.second(scale(net, F.relu(net.first(x)))))
    constant = nn.Linear(1, 1)
    found, reference = (own(run(scale), scale=constant) for scale in (
        lambda net, y: y * net.scale.bias / y.shape[1], lambda net, y: y * (net.scale.bias.item() / 4)))
    direction = direction_for(found)
    torch.testing.assert_close(*(heatmaps.relevance(each, direction, photographs())
                                 for each in (found, reference)))


@pytest.mark.filterwarnings("ignore:gamma. reaches no layer")
def test_a_result_in_place_that_nobody_reads_still_counts():
    def careless(net, x):
        x = net.first(x)
        F.relu(x, True)
        y = net.second(x)
        y.add_(1.0)
        return F.relu(y)

    careful = own(lambda net, x: F.relu(net.second(F.relu(net.first(x))) + 1.0))
    network, direction = own(careless), direction_for(careful)
    x = preprocessing(photographs())
    torch.testing.assert_close(lrp.biased(network)(x), network(x))
    torch.testing.assert_close(*(heatmaps.relevance(each, direction, x) for each in (network, careful)))


def test_arguments_that_may_be_left_out_are_left_out():
    class Optional(Net):
        def forward(self, x, shift=None, twice=False):
            x = self.run(self, x) if shift is None else self.run(self, x) + shift
            return (x, x) if twice else x

    network = own(plain)
    twin = Optional(plain, first=network.first, second=network.second)
    direction, x = direction_for(network), preprocessing(photographs())
    torch.testing.assert_close(*(heatmaps.relevance(each, direction, x) for each in (network, twin)))


def test_one_normalisation_used_twice_is_folded_twice():
    run = lambda net, x: F.relu(net.norm(net.second(F.relu(net.norm(net.first(x))))))
    network, x = own(run, norm=nn.BatchNorm2d(4, affine=False)), preprocessing(photographs())
    network.norm.running_mean.normal_(), network.norm.running_var.uniform_(0.5, 2)
    torch.testing.assert_close(lrp.biased(network)(x), network(x))


def test_hooks_that_record_are_ignored_and_those_that_change_are_refused():
    block = nn.Sequential(conv(4, 4, 3), nn.ReLU())
    network = own(lambda net, x: net.block(F.relu(net.first(x))), block=block)
    direction, kept = direction_for(network), []
    expected = heatmaps.relevance(network, direction, photographs())
    network.block.register_forward_hook(lambda module, given, output: kept.append(output.detach().numpy()))
    torch.testing.assert_close(heatmaps.relevance(network, direction, photographs()), expected)
    assert all(isinstance(output, np.ndarray) for output in kept)
    with pytest.warns(UserWarning, match="^network: the copy has no hooks .of block. and nothing that they"):
        lrp.biased(network)
    for part in (network, network.block, network.first):
        for register, hook in ((part.register_forward_pre_hook, lambda module, given: (given[0] / 2,)),
                               (part.register_forward_hook, lambda module, given, output: output / 2)):
            handle = register(hook)
            with pytest.raises(ValueError, match="^network: its traced copy gives features .* a hook"):
                heatmaps.relevance(network, direction, photographs())
            handle.remove()


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore:.*is deprecated")
def test_a_weight_that_is_computed_at_each_pass_is_refused():
    normed = nn.utils.weight_norm(conv(4, 4, 3)).requires_grad_(False)
    network = nn.Sequential(conv(3, 4, 3), normed, nn.ReLU())
    network(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="^network: 1 computes its weight at each pass; make it permanent"):
        lrp.rules(network)


@pytest.mark.parametrize("place", ["after a ReLU", "first"])
def test_normalisation_by_the_batch_is_refused_by_every_method(place):
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    layers = [conv(3, 4, 3), nn.ReLU(), norm] if place == "after a ReLU" else [conv(3, 4, 3), norm]
    network, x = nn.Sequential(*layers), preprocessing(photographs()).float()
    for function in (*FUNCTIONS.values(), lambda network, _, x: networks.features(network, x)):
        call = partial(function, layer="0") if getattr(function, "func", 0) is heatmaps.grad_cam else function
        with pytest.raises(ValueError, match=r"^network: [12] normalises by the batch even in evaluation"):
            call(network, np.ones(4 * 22 * 22), x)
    each = nn.Sequential(conv(3, 4, 3), nn.InstanceNorm2d(4))  # each image by itself
    both, alone = (heatmaps.sensitivity(each, np.ones(4 * 22 * 22), part) for part in (x, x[:1]))
    torch.testing.assert_close(both[:1], alone)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_inference_mode_changes_nothing(name):
    network, x = own(plain), photographs()
    direction = direction_for(network)
    expected = FUNCTIONS[name](network, direction, x)
    (expected * torch.ones_like(expected).requires_grad_()).sum().backward()  # it can be used further
    with torch.inference_mode():
        given = preprocessing(x), direction.clone(), own(plain)
        for images in (x, given[0]):
            torch.testing.assert_close(FUNCTIONS[name](network, given[1], images), expected)
    torch.testing.assert_close(FUNCTIONS[name](network, given[1], given[0]), expected)
    if name in ("scores", "occlusion", "relevance", "box"):
        torch.testing.assert_close(FUNCTIONS[name](given[2], direction, x), expected)
    else:
        with pytest.raises(ValueError, match="^network: weights made under torch.inference_mode.. have no"):
            FUNCTIONS[name](given[2], direction, x)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_gradient_that_does_not_come_through_is_said(frozen):
    def cut(net, x):
        with torch.no_grad():
            x = F.relu(net.first(x))
        return F.relu(net.second(x))

    network, direction = own(cut).requires_grad_(not frozen), direction_for(own(plain))
    for name in ("gradient", "product", "smooth", "integrated"):
        with pytest.raises(ValueError, match="^network: its images get no gradient of the score; .*no_grad"):
            FUNCTIONS[name](network, direction, photographs())
    aside = own(lambda net, x: (net.third(x), plain(net, x))[1], third=conv(3, 4, 3))
    aside.requires_grad_(not frozen)
    for each, layer in ((network, "first"), (aside, "third")):
        with pytest.raises(ValueError, match=f"^layer: '{layer}' gets no gradient of the score; the forward"):
            heatmaps.grad_cam(each, direction, photographs(), layer=layer)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_and_series_are_as_good_as_tensors(name):
    network, x = own(plain), photographs()
    direction = direction_for(network)
    w = direction.numpy()
    expected = FUNCTIONS[name](network, direction, x)
    for given in (pd.Series(w, index=range(5, 5 + len(w))), w[::-1].copy()[::-1], w.tolist()):
        torch.testing.assert_close(FUNCTIONS[name](network, given, x.numpy()), expected)
    mirrored = FUNCTIONS[name](network, w, x.numpy()[..., ::-1])
    torch.testing.assert_close(mirrored, FUNCTIONS[name](network, w, x.flip(3)))
    assert np.array_equal(networks.features(network, x.numpy()), networks.features(network, x))


@pytest.mark.parametrize(("call", "says"), [
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=2, stride=4), "^patch: 2 with stride 4 .* <= 24"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=25, stride=1), "^patch: 25 with stride 1 is not all"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=0), "^patch: 0 is not allowed; give a whole number"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=8.0), "^patch: 8.0 is not allowed"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=8, stride=0), "^stride: 0 is not allowed"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, patch=8, fill=np.nan), "^fill: value nan"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples=2.5), "^samples: 2.5 is not allowed"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples=[]), "^samples: .. is not allowed"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, noise=-1), "^noise: -1 is not allowed; give a finite"),
    (lambda n, w, x: heatmaps.integrated_gradients(n, w, x, steps=0), "^steps: 0 is not allowed; give a w"),
    (lambda n, w, x: heatmaps.integrated_gradients(n, w, x, steps=2.5), "^steps: 2.5 is not allowed"),
    (lambda n, w, x: heatmaps.integrated_gradients(n, w, x, baseline=np.inf), "^baseline: value inf"),
    (lambda n, w, x: heatmaps.integrated_gradients(n, w, x, baseline=x[:1]), "^baseline: torch.uint8"),
    (lambda n, w, x: heatmaps.integrated_gradients(n, w, x, baseline=np.ones((2, 3, 24, 24))),
     r"^baseline: shape \(2, 3, 24, 24\) is not allowed; give a number, \(3, 1, 1\) or \(3, 24, 24\), the"),
    (lambda n, w, x: heatmaps.occlusion(n, w, x, fill=[1.0, 2.0, 3.0]), r"^fill: shape \(3,\) is not"),
    (lambda n, w, x: heatmaps.relevance(n, w, x, box=heatmaps.BOX[::-1]), "^box: its first bound is not be"),
    (lambda n, w, x: heatmaps.relevance(n, w, x, box=True), "^box: True is not allowed; give .darkest, brig"),
    (lambda n, w, x: heatmaps.relevance(n, w, x, box=(0, 1, 2)), r"^box: \(0, 1, 2\) is not allowed; give"),
    (lambda n, w, x: heatmaps.relevance(n, w, x, box=(5, 6)), "^box: only 0% of the pixels lie inside"),
    (lambda n, w, x: networks.features(n, x / 0.0), "^images: some are NaN or infinite; allowed are finite"),
    (lambda n, w, x: heatmaps.relevance(n, w, x, gamma="much"), "^gamma: 'much' is not allowed; give a f"),
    (lambda n, w, x: heatmaps.scores(n, w, x, batch=0), "^batch: 0 is not allowed; give a whole number"),
    (lambda n, w, x: heatmaps.scores(n, w, x[:0]), r"^images: shape \(0, 3, 24, 24\) is not allowed"),
    (lambda n, w, x: heatmaps.scores(n, w, [x]), "^images: list is not allowed; give a tensor or an array"),
    (lambda n, w, x: heatmaps.scores(n, w, x / 0.0), "^images: NaN, infinite or complex values"),
    (lambda n, w, x: heatmaps.scores(n, w * np.nan, x), "^direction: .*finite numbers"),
    (lambda n, w, x: heatmaps.scores(n, w.numpy() * 1j, x), "^direction: type complex128 is not numeric"),
    (lambda n, w, x: networks.features(n, "photo.jpg"), "^images: 'photo.jpg' is a single path; give a list"),
    (lambda n, w, x: networks.features(n, [x[0]]), "^images: a list with Tensor is not allowed; give a list"),
    (lambda n, w, x: networks.features(n, x[0]), r"^images: shape \(3, 24, 24\) is not allowed; give \(n"),
    (lambda n, w, x: networks.features(n, x, batch=-1), "^batch: -1 is not allowed; give a whole number"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples="5"), "^samples: '5' is not allowed; give a numb"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples=None), "^samples: None is not allowed"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples=True), "^samples: True is not allowed"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, samples=[5, 5]), r"^samples: \[5, 5\] is not allowed"),
    (lambda n, w, x: heatmaps.smooth_grad(n, w, x, seed=1.5), "^seed: 1.5 is not allowed; give a whole"),
    (lambda n, w, x: networks.features("resnet18", x), "^network: str is not allowed; give a torch.nn"),
    (lambda n, w, x: heatmaps.sensitivity(None, w, x), "^network: NoneType is not allowed"),
    (lambda n, w, x: heatmaps.relevance("vgg16", w, x), "^network: str is not allowed"),
    (lambda n, w, x: heatmaps.grad_cam([n], w, x, "0"), "^network: list is not allowed"),
    (lambda n, w, x: networks.normalised(x, (0.5,) * 3, (0.2, 0.0, 0.2)), "^std: 0.0 is not allowed; give"),
    (lambda n, w, x: networks.load_images("a.jpg"), "^paths: 'a.jpg' is a single path; give a list of"),
    (lambda n, w, x: networks.load_images([]), "^paths: an empty list is not allowed; give at least one"),
])
def test_bad_arguments_are_one_line(call, says):
    network = own(plain)
    with pytest.raises(ValueError, match=says) as error:
        call(network, direction_for(network), photographs())
    assert "\n" not in str(error.value)
