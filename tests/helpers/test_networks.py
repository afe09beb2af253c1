"""Feature extractors: weights against a plain NumPy network, loading, bad images, directions."""

import threading

import h5py
import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from helpers import datasets, files, images, networks
from helpers.networks import difference_of_means, features, load_images, load_network, preprocess, read_image


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture(scope="module")
def squeezenet():
    try:
        return load_network()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=networks.NETWORKS)
def untrained(request):
    torch.manual_seed(0)
    return load_network(request.param, weights=None)


def picture(seed=0, shape=(256, 256, 3)):
    """Smooth random colours, so that resizing and JPEG keep most of it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(shape[1::-1], Image.BICUBIC)


@pytest.fixture
def photographs(tmp_path):
    paths = [tmp_path / f"leaf {number}.png" for number in range(11)]
    for number, path in enumerate(paths):
        picture(number).save(path)
    return paths


def keras_squeezenet(path, image):
    """The published Keras graph in NumPy: NHWC, BGR, 'valid' but for the padded 3x3, floor in the pools."""
    def convolve(x, kernel, bias, stride=1, pad=0):
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
        return np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel, optimize=True) + bias, 0)

    def pool(x):
        return sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max((-1, -2))

    with h5py.File(path, "r") as file:
        def weights(layer):
            return [file[layer][name.decode()][()] for name in file[layer].attrs["weight_names"]]

        mean = 255 * np.array(networks.MEAN)[::-1]
        assert np.abs(mean - [103.939, 116.779, 123.68]).max() < 0.7  # torchvision's mean for Keras's
        x = image[:, :, ::-1] - mean
        x = pool(convolve(x, *weights("conv1"), stride=2))
        for fire in range(2, 10):
            x = convolve(x, *weights(f"fire{fire}/squeeze1x1"))
            x = np.concatenate([convolve(x, *weights(f"fire{fire}/expand1x1")),
                                convolve(x, *weights(f"fire{fire}/expand3x3"), pad=1)], axis=2)
            x = pool(x) if fire in (3, 5) else x
    return x


def test_squeezenet_equals_the_keras_graph(squeezenet):
    weights = datasets.network_weights("squeezenet1_1")
    if weights.suffix != ".h5":
        pytest.skip("needs the published weights, not those of the sample")
    image = np.array(picture(3, (224, 224, 3)))
    expected = keras_squeezenet(weights, image.astype(float))
    with torch.no_grad():
        found = squeezenet(preprocess(torch.from_numpy(image).permute(2, 0, 1))[None])[0].permute(1, 2, 0)
    assert found.shape == (13, 13, 512)
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())
    assert (expected > 0).mean() > 0.02


def test_the_first_filters_look_at_edges_and_colours(squeezenet):
    """Trained filters are smooth and come in opposite colours; a wrong transposition gives noise."""
    filters = squeezenet[0].weight.numpy()
    flat = filters - filters.mean((2, 3), keepdims=True)
    neighbours = (flat[:, :, 1:] * flat[:, :, :-1]).sum() / (flat ** 2).sum()
    shuffled = filters.transpose(0, 2, 3, 1).reshape(filters.shape)
    wrong = shuffled - shuffled.mean((2, 3), keepdims=True)
    assert neighbours > (wrong[:, :, 1:] * wrong[:, :, :-1]).sum() / (wrong ** 2).sum()
    greyish = np.corrcoef(filters.transpose(1, 0, 2, 3).reshape(3, -1))
    assert greyish[0, 1] > greyish[0, 2]  # red resembles green more than blue


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
@pytest.mark.parametrize("prefix", ["", "features."])
def test_vgg16_takes_a_features_only_file_from_the_mirror(tmp_path, monkeypatch, ending, prefix):
    torch.manual_seed(1)
    state = load_network("vgg16", weights=None).state_dict()
    state = {prefix + key: value.contiguous() for key, value in state.items()}
    path = tmp_path / "mirror" / "networks" / f"vgg16_features.{ending}"
    path.parent.mkdir(parents=True)
    save_file(state, path) if ending == "safetensors" else torch.save(state, path)
    monkeypatch.setattr(files, "mirror_folder", lambda: tmp_path / "mirror")
    monkeypatch.setenv("DATA", "auto")
    for key, value in load_network("vgg16").state_dict().items():
        assert torch.equal(value, state[prefix + key])


def test_vgg16_first_layers_with_real_weights():
    path = files.mirror_folder() / "networks" / "vgg16_blocks12_caffe_bgr.pth"
    if not path.exists():
        pytest.skip("the first four convolutions of VGG-16 are not in the mirror")
    network = load_network("vgg16", weights=None)[:10]
    state = torch.load(path, weights_only=True)
    state = {key.removeprefix("features."): value for key, value in state.items()}
    network.load_state_dict(state)
    x = preprocess(torch.from_numpy(np.array(picture(3, (64, 64, 3)))).permute(2, 0, 1))[None]
    expected = network(x.flip(1))
    network[0].weight.copy_(state["0.weight"].flip(1))
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-2)
    assert features(network, x, cache=False).shape == (1, 128 * 16 * 16)


def test_networks_are_frozen_and_safe(untrained):
    assert not untrained.training
    assert not any(value.requires_grad for value in untrained.parameters())
    assert not any(module.inplace for module in untrained.modules() if isinstance(module, nn.ReLU))
    convolution = next(module for module in untrained.modules() if isinstance(module, nn.Conv2d))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"^network: 'lexnet' is not known; allowed are 'squeezenet1_1'"):
        load_network("lexnet")
    with pytest.raises(ValueError, match=r"^weights: 'random' is not known; allowed are 'imagenet' and None"):
        load_network(weights="random")


def test_preprocessing_is_torchvisions(photographs):
    from torchvision.models import VGG16_Weights
    from torchvision.transforms.functional import normalize

    raw = load_images(photographs[:3])
    preset = VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    expected = normalize(raw / 255, preset.mean, preset.std)
    torch.testing.assert_close(preprocess(raw), expected, rtol=0, atol=1e-3)
    assert raw.shape == (3, 3, 224, 224)
    assert raw.is_contiguous(memory_format=torch.channels_last)


def test_images_keep_their_order_and_size(photographs):
    raw = load_images(photographs)
    batches = list(networks.image_batches(photographs, batch=4, size=64))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    for index, path in enumerate(photographs):
        expected = np.array(Image.open(path).resize((224, 224), Image.BILINEAR))
        np.testing.assert_array_equal(raw[index].permute(1, 2, 0), expected)
        assert torch.equal(torch.cat(batches)[index], read_image(path, 64))


def test_decoding_overlaps_with_the_network(photographs, monkeypatch):
    """While the first batch is in use, the next ones are being read."""
    second, read = threading.Event(), networks.read_image

    def watched(path, size):
        if path == photographs[4]:
            second.set()
        return read(path, size)

    monkeypatch.setattr(images, "read_image", watched)
    batches = networks.image_batches(photographs, batch=2)
    next(batches)
    assert second.wait(10)
    assert sum(len(batch) for batch in batches) == 9


def save_bad(folder, kind):
    path = folder / f"bad {kind}.jpg"
    if kind == "CMYK":
        picture().convert(kind).save(path)
    elif kind in ("RGBA", "I;16", "LA", "F"):
        path = path.with_suffix(".tif")
        image = picture().convert({"RGBA": "RGBA", "LA": "LA"}.get(kind, "L")).convert(kind)
        if "A" in kind:
            image.putpixel((3, 3), (9,) * (len(kind) - 1) + (99,))
        image.save(path)
    elif kind == "1x1":
        picture().resize((1, 1)).save(path)
    elif kind == "text":
        path.write_text("not an image")
    else:
        picture().save(path)
        path.write_bytes(path.read_bytes()[:{"truncated": 1500, "zero-byte": 0}[kind]])
    return path


@pytest.mark.parametrize(("kind", "message"), [
    ("RGBA", "has mode 'RGBA'; allowed is 'RGB', three channels of 8 bits: put it on a background"),
    ("LA", "put it on a background"), ("I;16", "scale its 16 bits to 8"), ("F", "scale its values to 8 bits"),
    ("CMYK", "has mode 'CMYK'; allowed is 'RGB', three channels of 8 bits: save it as RGB with its colour"),
    ("1x1", "has 1x1 pixels; allowed are at least 16x16"), ("truncated", "does not decode"),
    ("zero-byte", "is empty; copy"), ("text", "does not decode")])
def test_bad_images_are_named(tmp_path, photographs, untrained, kind, message):
    path = save_bad(tmp_path, kind)
    calls = [lambda: read_image(path), lambda: load_images([*photographs, path])]
    if kind in ("LA", "truncated"):
        calls.append(lambda: features(untrained, [path, *photographs[:1]]))
    for call in calls:
        with pytest.raises(ValueError, match=r"^image: '.*bad " + kind) as error:
            call()
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_missing_photographs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        load_images([tmp_path / "gone.jpg"])


def test_preprocess_refuses_other_input():
    with pytest.raises(TypeError, match=r"^images: torch.float32 is not allowed; give a tensor"):
        preprocess(torch.zeros(3, 8, 8))
    with pytest.raises(TypeError, match=r"^images: uint8 is not allowed"):
        preprocess(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"^images: shape \(8, 8, 3\) is not allowed"):
        preprocess(torch.zeros(8, 8, 3, dtype=torch.uint8))


def test_features_are_the_flattened_last_maps(untrained, photographs):
    paths = photographs[:3]
    raw = load_images(paths)
    with torch.no_grad():
        expected = torch.cat([untrained(preprocess(one)[None]).flatten(1) for one in raw])
    for given in (paths, raw, preprocess(raw), map(str, paths)):
        found = features(untrained, given, batch=2, cache=False)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_no_images_are_refused(untrained):
    with pytest.raises(ValueError, match="^images: an empty list is not allowed; give at least one"):
        features(untrained, [])


def test_class_folders(tmp_path):
    root = tmp_path / "own"
    for name, count in (("sick", 2), ("healthy", 3)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture().save(root / name / f"{number}.JPG")
        (root / name / "notes.txt").write_text("no photograph")
    paths, names = networks.class_folders(root)
    assert [path.parent.name for path in paths] == list(names) == ["healthy"] * 3 + ["sick"] * 2
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^root: '.*own' has no photograph in \['empty'\]; allowed are two"):
        networks.class_folders(root)


def test_a_folder_with_one_class_is_named(tmp_path):
    (tmp_path / "own" / "healthy").mkdir(parents=True)
    picture().save(tmp_path / "own" / "healthy" / "0.jpg")
    with pytest.raises(ValueError, match=r"^root: '.*own' has 1 class folders \['healthy'\]; allowed"):
        networks.class_folders(tmp_path / "own")


def test_difference_of_means_is_a_unit_vector():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(7, 50)), generator.normal(1, size=(9, 50)).astype(np.float32)
    w = difference_of_means(first, second)
    assert w.shape == (50,)
    assert np.linalg.norm(w.astype(float)) == pytest.approx(1, abs=1e-6)
    step = second.mean(0) - first.mean(0)
    np.testing.assert_allclose(w, step / np.linalg.norm(step), atol=1e-6)
    np.testing.assert_allclose(difference_of_means(second, first), -w)
    np.testing.assert_allclose(difference_of_means(first[::-1], second), w, atol=1e-6)


@pytest.mark.parametrize(("first", "second", "message"), [
    (np.zeros((0, 4)), np.ones((2, 4)), r"^first: shape \(0, 4\) is not allowed"),
    (np.zeros((2, 4)), np.ones((2, 5)), r"^second: shape \(2, 5\) is not allowed"),
    (np.zeros(4), np.ones((2, 4)), r"^first: shape \(4,\) is not allowed"),
    (np.ones((2, 4)), np.ones((3, 4)), r"^second: its mean lies 0.0 away"),
    (np.ones((2, 4)), np.full((3, 4), np.nan), r"^second: its mean lies nan away")])
def test_difference_of_means_refuses(first, second, message):
    with pytest.raises(ValueError, match=message):
        difference_of_means(first, second)
