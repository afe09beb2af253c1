"""The embedded sample: what is committed is what its scripts make, and it teaches what the real data teach.

Pictures are stored with loss, and coders and trigonometric functions differ in the last bit between machines.
So a rebuilt picture may differ from the committed one by half a grey level on average, a mask in a thousandth
of its pixels.
"""

import hashlib
import io
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from sklearn.ensemble import RandomForestClassifier
from torchvision.models import squeezenet1_1

from helpers import datasets, files, heatmaps, networks, scoring

FOLDER = files.ROOT / "data" / "sample"
sys.path.insert(0, str(FOLDER))
import make_leaves  # noqa: E402
import make_network  # noqa: E402

LEAVES = make_leaves.table()


@pytest.fixture(autouse=True)
def sample_only(monkeypatch):
    monkeypatch.setenv("DATA", "sample")


@pytest.fixture(scope="module")
def frame():
    return datasets.load_leaves("color", rendered=True)


@pytest.fixture(scope="module")
def truth():
    return datasets.leaf_truth(datasets.load_leaves("masks")["path"])


@pytest.fixture(scope="module")
def cutouts():
    return networks.load_images(datasets.load_leaves("segmented", rendered=True)["path"])


@pytest.fixture(scope="module")
def photographs(frame):
    return networks.load_images(frame["path"])


# --- the leaves


def test_whole_sample_stays_below_eight_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if "__pycache__" not in path.parts) < 8e6


def test_counts_are_those_of_the_real_collection(frame):
    counts = pd.crosstab(frame["label"], frame["split"])
    assert counts.to_numpy().tolist() == [[50, 200, 50], [50, 200, 50]]
    real = files.manifest().query("split != 'unused'")
    assert counts.equals(pd.crosstab(real["label"], real["split"]))


def test_no_leaf_is_in_two_splits_and_no_session_in_two_classes(frame):
    assert frame.groupby("leaf")["split"].nunique().max() == 1
    assert frame.groupby("leaf").size().eq(make_leaves.VIEWS).all()
    assert frame.groupby("session")["label"].nunique().max() == 1


def test_manifest_is_that_of_the_script():
    stored = files.manifest(FOLDER).drop_duplicates("leaf")
    columns = ["leaf", "label", "session", "split"]
    assert sorted(LEAVES) == sorted(stored[columns].itertuples(index=False, name=None))


@pytest.mark.parametrize(("kind", "prefix"), [("color", ""), ("segmented", "cutout_")])
def test_files_are_those_of_the_manifest(kind, prefix):
    for _, row in files.manifest(FOLDER).iterrows():
        content = (FOLDER / row[kind]).read_bytes()
        assert len(content) == row[prefix + "bytes"]
        assert hashlib.sha256(content).hexdigest() == row[prefix + "sha256"]


@pytest.mark.parametrize("leaf", [LEAVES[0], LEAVES[30], LEAVES[60], LEAVES[-1]], ids=str)
def test_rebuilt_leaves_equal_the_committed_ones(leaf):
    number, label, session, _ = leaf
    view = number % make_leaves.VIEWS
    pictures = make_leaves.photograph(number, label, session, view)
    for kind, made in zip(("color", "segmented"), pictures, strict=False):
        stream = io.BytesIO()
        made.save(stream, "webp", quality=make_leaves.QUALITY[kind], method=6)
        again = np.asarray(Image.open(stream).convert("RGB"), float)
        path = FOLDER / "leaves" / kind / files.LEAF_FOLDERS[label] / f"{number + view}.webp"
        with Image.open(path) as image:
            stored = np.asarray(image, float)
        assert np.abs(again - stored).mean() < 0.5
        assert np.abs(np.asarray(made, float) - stored).mean() < 6  # what the coder loses
    path = FOLDER / "leaves" / "masks" / files.LEAF_FOLDERS[label] / f"{number + view}.png"
    with Image.open(path) as image:
        assert (np.asarray(image) != np.asarray(pictures[2])).mean() < 1e-3


def test_lesions_lie_in_leaves_and_only_in_sick_ones(frame, truth, cutouts):
    (leaf, lesion), sick = truth, (frame["label"] == "black rot").to_numpy()
    assert not (lesion & ~leaf).any()
    assert not lesion[~sick].any()
    assert lesion[sick].sum((1, 2)).min() >= 15  # pixels at 224 x 224
    seen = scoring.leaf_masks(cutouts)
    assert ((seen & leaf).sum((1, 2)) / (seen | leaf).sum((1, 2))).min() > 0.93
    assert (seen & leaf).sum() / (seen | leaf).sum() > 0.98


def test_lesions_are_browner_than_the_leaf_around_them(frame, truth, photographs):
    (leaf, lesion), images = truth, photographs.numpy().astype(int)
    around = np.stack([binary_dilation(mask, iterations=6) for mask in lesion]) & leaf & ~lesion
    redness = images[:, 0] - images[:, 1]
    for row in np.flatnonzero((frame["label"] == "black rot").to_numpy())[::5]:
        assert redness[row][lesion[row]].mean() > redness[row][around[row]].mean() + 10


def test_truth_follows_the_size_and_refuses_what_is_no_mask(frame):
    masks = datasets.load_leaves("masks", ["test"])["path"]
    small, large = (datasets.leaf_truth(masks[:3], size)[0].mean((1, 2)) for size in (112, 256))
    assert np.allclose(small, large, atol=0.01)
    with pytest.raises(ValueError, match="is no mask; allowed are files of load_leaves"):
        datasets.leaf_truth(frame["path"][:1])


def test_rendered_leaves_are_there_whatever_data_says(monkeypatch):
    monkeypatch.setenv("DATA", "real")
    for kind in files.RENDERED_ENDINGS:
        found = datasets.load_leaves(kind, ["test"], rendered=True)
        assert found.attrs["source"] == "sample"
        assert all(path.is_file() for path in found["path"])
    monkeypatch.setattr(files, "sample_paths", lambda names: None)
    with pytest.raises(FileNotFoundError, match="make them with data/sample/make_leaves.py"):
        datasets.load_leaves("masks")


# --- the network


def test_network_has_torchvisions_layout_in_half_precision():
    from safetensors.torch import load_file

    stored = load_file(make_network.TARGET)
    expected = squeezenet1_1().features.state_dict()
    assert {name: tensor.shape for name, tensor in stored.items()} == {
        name: tensor.shape for name, tensor in expected.items()}
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in stored.values())
    loaded = networks.load_network().state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())


def test_folding_leaves_the_function_as_it_is():
    torch.manual_seed(0)
    learner = make_network.Learner().eval()
    for module in learner.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -1),
                                (module.running_mean, -1)):
                values.data.uniform_(low, low + 1.5)
    plain = squeezenet1_1().features.eval()
    plain.load_state_dict(make_network.folded(learner.features))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = learner.features(x)
        assert torch.allclose(plain(x), expected, rtol=1e-4, atol=1e-4 * expected.max().item())


def test_training_learns_something(monkeypatch):
    monkeypatch.setattr(make_network, "LEAVES", 2)
    monkeypatch.setattr(make_network, "PICTURES", 1)
    monkeypatch.setattr(make_network, "BATCH", 16)
    monkeypatch.setattr(make_network, "RATE", 1e-3)
    data, losses = make_network.pictures(), []
    assert len(data[0]) == len(data[1]) == 2 * (len(make_network.LOOKS) + 2) + len(
        make_network.TEXTURES + make_network.SHAPES)
    entropy = torch.nn.functional.cross_entropy
    monkeypatch.setattr(make_network.F, "cross_entropy", lambda look, y: losses.append(
        entropy(look, y).item()) or entropy(look, y))
    make_network.train(data, steps=24)
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.2


# --- the lesson


@pytest.fixture(scope="module")
def score(frame, photographs, truth):
    """Two views of each training and test leaf: scores by kind of picture, labels, and what heatmaps need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA", "sample")
        network = networks.load_network()
    rows = np.flatnonzero((frame["split"] != "validation") & (frame.groupby("leaf").cumcount() < 2))
    wide = torch.from_numpy(np.stack([binary_dilation(truth[0][row], iterations=4) for row in rows]))
    colour = torch.tensor(networks.MEAN).mul(255).round().to(torch.uint8).view(1, 3, 1, 1)
    sick, test = ((frame[column].iloc[rows] == value).to_numpy()
                  for column, value in (("label", "black rot"), ("split", "test")))
    areas, w = {}, {}
    for kind, images in {"photographs": photographs[rows],
                         "background": torch.where(wide[:, None], colour, photographs[rows])}.items():
        phi = networks.features(network, images, cache=False)
        w[kind] = networks.difference_of_means(phi[~test & ~sick], phi[~test & sick])
        areas[kind] = scoring.auc((phi @ w[kind])[test], sick[test])
    return areas, network, w["photographs"], rows[test & sick]


def test_network_tells_the_classes_and_the_background_does_less(score):
    areas = score[0]
    assert areas["photographs"] > 0.93
    assert 0.6 < areas["background"] < areas["photographs"] - 0.03


def test_background_alone_tells_something_and_mean_colour_little(frame, photographs, truth):
    sick, train, test = ((frame[column] == value).to_numpy() for column, value in (
        ("label", "black rot"), ("split", "train"), ("split", "test")))
    colour = [image[:, mask].mean(1) for image, mask in zip(photographs.numpy(), truth[0], strict=True)]
    areas = []
    for seen in (scoring.border_pixels(photographs), np.array(colour)):
        forest = RandomForestClassifier(200, random_state=0).fit(seen[train], sick[train])
        areas.append(scoring.auc(forest.predict_proba(seen[test])[:, 1], sick[test]))
    assert 0.75 < areas[0] < 0.95
    assert areas[1] < 0.75


@pytest.mark.parametrize("method", [heatmaps.sensitivity, heatmaps.relevance])
def test_heatmaps_find_lesions_better_than_chance(score, photographs, truth, method):
    _, network, w, shown = score
    shown = shown[::2]
    maps, lesion = method(network, w, photographs[shown]).numpy(), truth[1][shown]
    for rate in (scoring.relevance_mass, scoring.relevance_rank):
        hit = rate(maps, lesion)
        assert np.median(hit) > 3 * lesion.mean()  # the share that a random heatmap gets
        assert (hit > lesion.mean((1, 2))).mean() >= 0.8


def test_vgg16_is_refused_in_one_line_and_never_downloaded(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    with pytest.raises(FileNotFoundError, match="'sample'.*squeezenet1_1") as caught:
        networks.load_network("vgg16")
    assert "\n" not in str(caught.value)
