"""The description of a figure notices what a reader would, and nothing else."""

import base64
import io
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import seaborn as sns
from bs4 import BeautifulSoup
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbconvert import HTMLExporter
from PIL import Image

from course.check.compare import agree
from helpers.figures import MIME, describe
from helpers.plots import show

X = np.linspace(0.1, 5, 40)


def draw(**changes):
    """A figure with one of everything; each change draws one thing differently."""
    get = {"factor": 1.0, "labels": ("falling", "rising"), "title": "Two curves", "ylabel": "score",
           "scale": "log", "bars": [3.0, 1.0, 2.0], "names": ["a", "b", "c"], "points": X**2, "values": X**2,
           "pixels": np.outer(X, X), "area": X / 2, "lines": 2, "legend": None, "text": "here",
           "levels": [1, 2, 3], "errors": [0.1, 0.2, 0.3],
           "size": (9, 5), "dpi": 80, "font": 10, "colors": ("C0", "C1")} | changes  # fmt: skip
    with plt.rc_context({"font.size": get["font"], "figure.dpi": get["dpi"]}):
        figure, ((one, two, three), (four, five, six)) = plt.subplots(2, 3, figsize=get["size"])
    curves = (np.exp(-X) * get["factor"], X)
    for curve, label, color in list(zip(curves, get["labels"], get["colors"], strict=True))[: get["lines"]]:
        one.plot(X, curve, label=label, color=color)
    one.legend(*([get["legend"]] if get["legend"] else []))
    one.set(title=get["title"], ylabel=get["ylabel"], xscale=get["scale"])
    two.bar(get["names"], get["bars"], yerr=get["errors"])
    three.scatter(X, get["points"], c=get["values"])
    four.imshow(get["pixels"])
    five.fill_between(X, 0, get["area"])
    five.text(1, 1, get["text"])
    six.contour(get["pixels"], levels=get["levels"])
    text = describe(figure)
    plt.close(figure)
    return text


@pytest.mark.parametrize(
    "change",
    [
        {"factor": 1.05},
        {"labels": ("rising", "falling")},
        {"legend": ["rising", "falling"]},
        {"title": "Two other curves"},
        {"ylabel": "scores"},
        {"scale": "linear"},
        {"bars": [3.0, 2.0, 1.0]},
        {"bars": [3.0, 1.0, 2.2]},
        {"names": ["b", "a", "c"]},
        {"points": X**2.1},
        {"points": (X**2)[np.random.default_rng(0).permutation(40)]},
        {"points": -(X**2)},
        {"values": X},
        {"pixels": np.outer(X, X[::-1])},
        {"pixels": np.outer(X, X) + 1},
        {"area": X / 3},
        {"lines": 1},
        {"text": "there"},
        {"levels": [1, 2]},
        {"errors": [0.2, 0.4, 0.6]},
        {"colors": ("C1", "C0")},
    ],
    ids=str,
)
def test_a_figure_drawn_otherwise_is_noticed(change):
    assert not agree(draw(), draw(**change))


def described(draw, data=True):
    """The description of what `draw` puts on one pair of axes."""
    figure, axis = plt.subplots()
    draw(figure, axis)
    text = describe(figure, data)
    plt.close(figure)
    return text


PHOTOGRAPH = np.random.default_rng(0).random((20, 30, 3)) * (0.9, 0.7, 0.4)
HEATMAP = PHOTOGRAPH[..., 0] + 0.1 * (np.arange(30) > 20)
NAMES = ["Fresh", "Milk", "Grocery"]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("names of places", lambda f, a: a.set_yticks(range(3), NAMES),
         lambda f, a: a.set_yticks(range(3), NAMES[::-1])),
        ("places of names", lambda f, a: a.set_yticks([0, 1, 2], NAMES),
         lambda f, a: a.set_yticks([0, 2, 1], NAMES)),
        ("names of rows", lambda f, a: sns.heatmap(HEATMAP[:3], ax=a, yticklabels=NAMES),
         lambda f, a: sns.heatmap(HEATMAP[:3], ax=a, yticklabels=NAMES[::-1])),
        ("red for blue", lambda f, a: a.imshow(PHOTOGRAPH), lambda f, a: a.imshow(PHOTOGRAPH[..., ::-1])),
        ("a mirror", lambda f, a: a.imshow(PHOTOGRAPH), lambda f, a: a.imshow(PHOTOGRAPH[:, ::-1])),
        ("a mirrored map", lambda f, a: a.imshow(HEATMAP), lambda f, a: a.imshow(HEATMAP[:, ::-1])),
        ("upside down", lambda f, a: a.imshow(PHOTOGRAPH), lambda f, a: a.imshow(PHOTOGRAPH[::-1])),
        ("a mirrored mesh", lambda f, a: a.pcolormesh(HEATMAP), lambda f, a: a.pcolormesh(HEATMAP[:, ::-1])),
        ("a label of all x", lambda f, a: f.supxlabel("gamma"), lambda f, a: f.supxlabel("alpha")),
        ("a label of all y", lambda f, a: f.supylabel("gamma"), lambda f, a: None),
        ("swapped texts", lambda f, a: [a.annotate("A", (0.2, 0.3)), a.annotate("B", (0.8, 0.3))],
         lambda f, a: [a.annotate("A", (0.8, 0.3)), a.annotate("B", (0.2, 0.3))]),
        ("another text's place", lambda f, a: a.text(0.2, 0.3, "A"), lambda f, a: a.text(0.2, 0.5, "A")),
        ("line styles", lambda f, a: [a.plot([0, 1], "k--"), a.plot([0, 2], "k:")],
         lambda f, a: [a.plot([0, 1], "k:"), a.plot([0, 2], "k--")]),
        ("markers", lambda f, a: [a.plot([0, 1], "ko"), a.plot([0, 2], "ks")],
         lambda f, a: [a.plot([0, 1], "ks"), a.plot([0, 2], "ko")]),
        ("styles in a legend", lambda f, a: a.legend(a.plot([0, 1], "k--") + a.plot([0, 2], "k:"), "ab"),
         lambda f, a: a.legend((a.plot([0, 1], "k--") + a.plot([0, 2], "k:"))[::-1], "ab")),
    ],
)  # fmt: skip
def test_what_a_reader_tells_apart_is_described(kind, one, other):
    assert described(one) == described(one)
    assert not agree(described(one), described(other))


def test_the_description_of_an_image_is_its_correlation_with_rows_and_columns():
    rows, columns = np.indices(HEATMAP.shape)
    row, column = (np.corrcoef(HEATMAP.ravel(), places.ravel())[0, 1] for places in (rows, columns))
    assert f"; rows {row:.3f}; columns {column:.3f}" in described(lambda f, a: a.imshow(HEATMAP))
    assert "rows 0.000; columns 0.000" in described(lambda f, a: a.imshow(0.1 * np.ones((7, 9))))
    red = PHOTOGRAPH[..., 0]
    assert f"colours {red.mean():.2e} {red.std():.2e}" in described(lambda f, a: a.imshow(PHOTOGRAPH))


def test_texts_stand_at_shares_of_their_axes_in_every_system():
    def write(figure, axis):
        axis.set(xlim=(0, 10), ylim=(1, 100), yscale="log")
        axis.text(5, 10, "data")
        axis.text(0.25, 0.75, "axes", transform=axis.transAxes)
        axis.annotate("an arrow", xy=(2, 10), xytext=(9, 3), arrowprops={})
        axis.annotate("a share", xy=(0.1, 0.2), xycoords="axes fraction")
        axis.annotate("points", xy=(30, 40), xycoords="axes points")

    assert "texts at (0.50, 0.50) (0.25, 0.75) (0.20, 0.50) (0.10, 0.20) (30.00, 40.00)" in described(write)


def test_without_data_ticks_have_names_and_no_places_and_numbers_are_no_names():
    named = described(lambda f, a: a.set_xticks([0.5, 2.5], ["a", "b"]), data=False)
    assert "x ticks ['a', 'b']" in named
    assert "ticks at" not in named
    assert "ticks" not in described(lambda f, a: a.set_xticks([0.5, 2.5]))
    both = described(lambda f, a: [a.imshow(PHOTOGRAPH), a.text(1, 1, "here")], data=False)
    assert not re.search("columns|colours|texts at", both)


@pytest.mark.parametrize("change", [{"size": (6, 4)}, {"dpi": 200}, {"font": 14}], ids=str)
def test_sizes_and_fonts_do_not_matter(change):
    assert draw() == draw(**change)


def test_the_last_digits_of_another_processor_do_not_matter():
    noise = 1 + 1e-6 * np.random.default_rng(1).standard_normal(40)
    assert agree(draw(), draw(points=X**2 * noise, area=X / 2 * noise, pixels=np.outer(X, X * noise)))


def test_named_values_and_dates_are_described_by_their_places():
    figure, (named, dated) = plt.subplots(1, 2)
    named.errorbar([3.0, 1.0], ["mean", "counts"], xerr=[0.5, 0.1], fmt="o")
    dated.plot(np.array(["2024-01-01", "2024-01-03"], dtype="datetime64[D]"), [1, 2])
    text = describe(figure)
    plt.close(figure)
    assert "y ticks ['mean', 'counts']" in text
    assert "y 0.00e+00 1.00e+00" in text
    assert "x 1.97e+04 1.97e+04" in text  # days since 1970


def test_zero_up_to_rounding_is_zero():
    text = []
    for shift in (1e-17, -3e-17):
        figure, axis = plt.subplots()
        axis.plot([-1, 1], [-1 + shift, 1])
        axis.plot([0, 1], [shift, 0])
        text.append(describe(figure))
        plt.close(figure)
    assert agree(*text)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e9])
def test_zero_is_below_a_millionth_of_the_largest_value(scale):
    figure, axis = plt.subplots()
    axis.plot([0.8e-6 * scale, scale], [1.2e-6 * scale, scale])
    line = describe(figure).splitlines()[-1]
    plt.close(figure)
    assert "x 0.00e+00 " in line
    assert f"y {1.2e-6 * scale:.2e} " in line


def test_a_legend_tells_the_first_color_of_a_handle_that_has_several():
    figure, axis = plt.subplots()
    axis.scatter([0, 1], [0, 1], color=["#ff0000", "#0000ff"], label="both")
    axis.legend()
    text = describe(figure)
    plt.close(figure)
    assert "[('both', '#ff0000')]" in text


def test_without_its_data_a_figure_still_tells_what_it_is():
    figure, axis = plt.subplots()
    axis.scatter(X, X, label="customers")
    axis.set(title="A map")
    text = describe(figure, data=False)
    plt.close(figure)
    assert "'customers'" in text
    assert "40 points" in text
    assert "A map" in text
    assert "e+00" not in text


@pytest.fixture
def output():
    """What `show` sends to a notebook, as nbformat stores it."""
    shell = InteractiveShell.instance()
    publisher, shell.display_pub = shell.display_pub, CapturingDisplayPublisher()
    figure, axis = plt.subplots()
    axis.plot(X, X)
    show(figure, alt='A straight line through "zero" & <one>,\n the longest one.')
    (sent,) = shell.display_pub.outputs
    shell.display_pub = publisher
    return nbformat.v4.new_output("display_data", data=sent["data"])


ALT = 'A straight line through "zero" & <one>, the longest one.'


def test_show_sends_a_picture_with_its_text_and_its_description(output):
    picture = BeautifulSoup(output.data["text/html"], "html.parser").img
    assert picture["alt"] == output.data["text/plain"] == ALT
    assert Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))).format == "PNG"
    assert "40 points" in output.data[MIME]
    assert not plt.get_fignums()


def test_the_exported_page_gives_the_text_to_a_screen_reader(output):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show()", outputs=[output])])
    page = BeautifulSoup(HTMLExporter().from_notebook_node(book)[0], "html.parser")
    (picture,) = page.select(".jp-OutputArea img")
    assert picture["alt"] == ALT
    assert MIME not in str(page)


@pytest.mark.parametrize("alt", ["", "too short a text", None, 7])
def test_show_refuses_a_picture_without_a_text(alt):
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="say in at least five words"):
        show(figure, alt=alt)
    plt.close(figure)


def test_a_large_picture_keeps_the_colour_of_a_small_spot():
    shell = InteractiveShell.instance()
    publisher, shell.display_pub = shell.display_pub, CapturingDisplayPublisher()
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3)) * (0.3, 1, 0.3) / 255  # greens
    pixels[195:205, 195:205] = brown = np.array([0.6, 0.25, 0.1])
    figure = plt.figure(figsize=(5, 5), dpi=80)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(pixels, interpolation="nearest")
    axis.axis("off")
    show(figure, alt="Four hundred pixels a side of green noise with a small brown spot.")
    (sent,) = shell.display_pub.outputs
    shell.display_pub = publisher
    source = BeautifulSoup(sent["data"]["text/html"], "html.parser").img["src"]
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert picture.mode == "P"
    middle = np.array(picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2)))
    assert np.abs(middle - 255 * brown).max() < 25
