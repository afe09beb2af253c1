"""What the shared figures draw: places, colours and strands, compared with geometry done by hand."""

import colorsys
import html
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from helpers import plots

WATER = np.array([[0.0, 0, 0], [1.8, 0, 0], [-0.45, 1.74, 0]])  # bohr


@pytest.fixture
def figure():
    """Make figures with plots.molecule_figure and close them after the test."""
    made = []

    def make(*arguments, **named):
        made.append(plots.molecule_figure(*arguments, **named))
        return made[-1]

    yield make
    for one in made:
        plt.close(one)


def test_elements_have_the_colors_that_chemists_give_them():
    hue = {charge: colorsys.rgb_to_hsv(*to_rgb(color)) for charge, (_, color, _) in plots.ATOM_STYLE.items()}
    assert hue[1][1] < 0.05  # white and grey have no saturation
    assert hue[1][2] > hue[6][2] > 0.5
    assert hue[6][1] < 0.05
    assert 0.5 < hue[7][0] < 0.7  # nitrogen is blue, oxygen red, sulfur yellow
    assert min(hue[8][0], 1 - hue[8][0]) < 0.1
    assert 0.1 < hue[16][0] < 0.2
    assert [letter for letter, _, _ in plots.ATOM_STYLE.values()] == ["H", "C", "N", "O", "S"]


def test_turning_a_molecule_keeps_its_distances_and_tilts_it_as_scipy_does():
    places = np.random.default_rng(0).normal(size=(6, 3)) * (3, 2, 1)
    flat, turned = plots._facing(places, tilt=(0, 0)), plots._facing(places)
    assert pdist(turned) == pytest.approx(pdist(places))
    assert flat.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-12)
    assert turned == pytest.approx(Rotation.from_euler("xy", [0.45, 0.35]).apply(flat))
    # width, height and depth are the principal axes, the longest first
    longest = np.sqrt(np.linalg.eigvalsh(np.cov(places.T))[::-1])
    assert flat.std(axis=0, ddof=1) == pytest.approx(longest)
    # which way an axis points does not depend on where the molecule came from
    assert plots._facing(places + 5, tilt=(0, 0)) == pytest.approx(flat)
    axes = np.linalg.lstsq(places - places.mean(axis=0), flat, rcond=None)[0].T
    assert (axes[np.arange(3), np.abs(axes).argmax(axis=1)] > 0).all()


def test_the_side_of_a_bond_is_at_a_right_angle_to_it():
    ends = np.array([[1.0, 2.0], [4.0, 6.0]])
    across = plots._across(ends)
    assert np.hypot(*across) == pytest.approx(1)
    assert across @ (ends[1] - ends[0]) == pytest.approx(0)
    assert np.isfinite(plots._across(np.ones((2, 2)))).all()  # a bond seen end on


def test_panels_atoms_and_bonds_are_as_many_as_asked(figure):
    parts = [(WATER, [8, 1, 1], [(0, 1), (0, 2)])] * 5
    drawn = figure(parts, list("abcde"), suptitle="Five of one kind")
    assert len(drawn.axes) == 8  # two rows of four
    assert not any(ax.axison for ax in drawn.axes)
    assert [ax.get_title() for ax in drawn.axes] == [*"abcde", "", "", ""]
    assert drawn.get_suptitle() == "Five of one kind"
    for ax in drawn.axes[:5]:
        assert [circle.get_radius() for circle in ax.patches] == [0.62, 0.45, 0.45]
        assert [text.get_text() for text in ax.texts] == ["O", "H", "H"]
        assert len(ax.lines) == 4
        assert ax.get_aspect() == 1


def test_a_bond_ends_at_its_atoms_and_lies_behind_the_nearer_one(figure):
    ax = figure([(WATER, [8, 1, 1], [(0, 1), (0, 2)])], ["water"]).axes[0]
    place = plots._facing(WATER)
    for circle, at in zip(ax.patches, place, strict=True):
        assert circle.center == pytest.approx(at[:2])
    for line, pair in zip(ax.lines[::2], [(0, 1), (0, 2)], strict=True):
        assert line.get_xydata() == pytest.approx(place[list(pair), :2])
        behind = min(pair, key=lambda atom: place[atom, 2])
        assert line.get_zorder() < ax.patches[behind].get_zorder() < ax.texts[behind].get_zorder()
    rim, core = ax.lines[:2]
    assert rim.get_zorder() < core.get_zorder()
    assert rim.get_linewidth() > core.get_linewidth()


@pytest.mark.parametrize(("order", "aside", "dashed"), [
    (1, [0], 0), (1.5, [-3.5, 3.5], 1), (2, [-3.5, 3.5], 0), (3, [-6, 0, 6], 0)])  # fmt: skip
def test_strands_stand_beside_the_axis_of_the_bond_in_points(figure, order, aside, dashed):
    drawn = figure([(WATER[:2], [6, 6], [(0, 1)])], ["CC"], orders=[[order]])
    drawn.canvas.draw()
    ax = drawn.axes[0]
    middle = ax.transData.transform(plots._facing(WATER[:2])[:, :2])
    direction = (middle[1] - middle[0]) / np.linalg.norm(middle[1] - middle[0])
    found = []
    for line in ax.lines[1::2]:
        moved = line.get_transform().transform(line.get_xydata()) - middle
        found.append(moved @ [-direction[1], direction[0]] * 72 / drawn.dpi)
    assert np.array(found) == pytest.approx(np.array([[one, one] for one in aside]))
    assert sum(line.get_linestyle() == "--" for line in ax.lines[1::2]) == dashed


def test_values_color_their_bonds_and_are_written_where_asked(figure):
    drawn = figure([(WATER, [8, 1, 1], [(0, 1), (0, 2)])], ["water"], values=[[1.0, 3.4]],
                   written=[[False, True]], label="kcal/mol")  # fmt: skip
    ax, bar = drawn.axes[0], drawn.axes[-1]
    low, high = plt.get_cmap("cividis")([0.0, 1.0])
    assert np.array([line.get_color() for line in ax.lines[1::2]]) == pytest.approx(np.array([low, high]))
    assert [text.get_text() for text in ax.texts if text.get_text().isdigit()] == ["3"]
    assert bar.get_ylabel() == "kcal/mol"
    assert bar.get_ylim() == pytest.approx((1.0, 3.4))
    (written,) = (text for text in ax.texts if text.get_text() == "3")
    place = plots._facing(WATER)[:, :2]
    middle = place[[0, 2]].mean(axis=0)
    assert written.xy == pytest.approx(middle)
    assert np.hypot(*written.get_position()) == pytest.approx(17)
    assert np.array(written.get_position()) @ (place[1] - middle) < 0  # away from the other hydrogen


def _page(**named):
    """What turnable_molecule writes into its frame, and its atoms and bonds."""
    shown = plots.turnable_molecule(WATER, [8, 1, 1], [(0, 1), (0, 2)], alt="Water, to turn", **named).data
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    return shown, page, *(json.loads(re.search(rf"{name} = (\[.*?\])[,;] *(?:bonds|canvas)", page)[1])
                          for name in ("atoms", "bonds"))  # fmt: skip


def test_the_molecule_that_turns_has_every_atom_and_bond():
    shown, page, atoms, bonds = _page(orders=[1, 2], values=[1.0, 3.4], width=300)
    assert np.array([atom[:3] for atom in atoms]) == pytest.approx(WATER - WATER.mean(axis=0), abs=6e-4)
    assert [atom[3:] for atom in atoms] == [list(plots.ATOM_STYLE[charge]) for charge in (8, 1, 1)]
    assert [bond[:2] for bond in bonds] == [[0, 1], [0, 2]]
    assert [bond[2:] for bond in bonds] == [["#00224e", "1", [0]], ["#fee838", "3", [-3.5, 3.5]]]  # cividis
    assert "width=300 " in page
    assert 'width="320"' in shown  # room for the frame
    assert "Water, to turn" in page
    assert [bond[2:] for bond in _page()[3]] == [["#8c8c8c", "", [0]]] * 2


def test_a_heatmap_is_drawn_on_the_scale_that_is_said():
    figure, axes = plt.subplots(1, 2)
    heatmap = np.arange(12.0).reshape(3, 4) - 5
    signed = plots.draw_heatmap(axes[0], heatmap, 7, "signed", outline=heatmap > 0)
    unsigned = plots.draw_heatmap(axes[1], heatmap, 7, signed=False)
    assert signed.get_clim() == (-7, 7)
    assert unsigned.get_clim() == (0, 7)
    assert [one.get_cmap().name for one in (signed, unsigned)] == ["RdBu_r", "magma"]
    assert np.array_equal(signed.get_array(), heatmap)
    assert [ax.get_title() for ax in axes] == ["signed", ""]
    assert not any(ax.axison for ax in axes)
    (border,) = axes[0].collections
    assert list(border.levels) == [0.5]
    assert not axes[1].collections
    plt.close(figure)


def test_a_smoothed_map_keeps_its_sum_and_spreads_by_a_pixel_and_a_half():
    point = np.zeros((41, 41))
    point[20, 20] = 1
    drawn = plots.smoothed(point)
    assert drawn.sum() == pytest.approx(1)
    rows = np.arange(41) - 20
    assert (drawn.sum(axis=1) * rows**2).sum() == pytest.approx(1.5**2, rel=0.01)
    assert np.array_equal(drawn, gaussian_filter(point, 1.5))
