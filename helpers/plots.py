"""The figures used more than once, one palette for the whole course, and alt text for every picture."""

import json
from base64 import b64encode
from html import escape
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import HTML, display
from matplotlib.colors import to_hex
from matplotlib.patheffects import Normal, Stroke
from matplotlib.transforms import ScaledTranslation
from PIL import Image as Pictures
from scipy.ndimage import gaussian_filter

from helpers.figures import MIME, describe

PALETTE = sns.color_palette("colorblind")
LARGE = 120_000  # bytes of a PNG


def use_course_style():
    """Set the palette, grid and font sizes that every notebook of the course shares."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 80, "savefig.dpi": 80, "figure.constrained_layout.use": True})


def show(figure, alt, data=True):
    """Display a figure as a picture whose alternative text says what one should see, and close it.

    The output is a picture with an `alt` attribute, because viewers of notebooks ignore alternative text in
    metadata, and a description of what is drawn (helpers.figures), which no viewer shows and nbval compares.
    data: False leaves the numbers out of that description. Raises ValueError for an alt below five words.
    """
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"alt: {alt!r} is too short; say in at least five words what one should see")
    alt = " ".join(alt.split())
    buffer = BytesIO()
    description = describe(figure, data)
    figure.savefig(buffer, format="png", bbox_inches="tight")
    if buffer.tell() > LARGE:  # photographs: 256 colours take a third of the bytes, spread so that rare
        picture = Pictures.open(buffer).convert("RGB")  # ones stay: brown spots, ends of a colour bar
        picture = picture.quantize(256, Pictures.Quantize.MAXCOVERAGE, dither=Pictures.Dither.NONE)
        picture.save(buffer := BytesIO(), format="png", optimize=True)
    encoded = b64encode(buffer.getvalue()).decode()
    picture = f'<img alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'
    display({"text/html": picture, "text/plain": alt, MIME: description}, raw=True)
    plt.close(figure)


HEX = PALETTE.as_hex()
ATOM_STYLE = {1: ("H", "#f4f4f4", 0.45), 6: ("C", "#b0b0b0", 0.62), 7: ("N", HEX[9], 0.62),
              8: ("O", HEX[3], 0.62), 16: ("S", HEX[8], 0.75)}  # letter, color, radius in bohr


def _facing(coordinates, tilt=(0.45, 0.35)):
    """Turn coordinates (a, 3) so that the molecule lies flat, then tilt it a little (radians)."""
    centered = coordinates - coordinates.mean(axis=0)
    axes = np.linalg.svd(centered)[2]
    axes *= np.where(axes[np.arange(3), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    (cx, cy), (sx, sy) = np.cos(tilt), np.sin(tilt)
    return centered @ axes.T @ [[1, 0, 0], [0, cx, sx], [0, -sx, cx]] @ [[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]


STRANDS = {1: (0,), 1.5: (-3.5, 3.5), 2: (-3.5, 3.5), 3: (-6, 0, 6)}  # points beside the axis of the bond


def _across(ends):
    """The unit vector (2,) at a right angle to the bond between two places (2, 2) on the page."""
    x, y = ends[1] - ends[0]
    return np.array([-y, x]) / max(np.hypot(x, y), 1e-9)


def _draw_bond(ax, ends, order, color, depth):
    """One line for each strand of a bond between two places (2, 2); of order 1.5 the second is dashed."""
    width = 5 if order == 1 else 3
    for strand, points in enumerate(STRANDS[float(order)]):
        moved = ScaledTranslation(*(points / 72 * _across(ends)), ax.figure.dpi_scale_trans)
        look = {"ls": (0, (2, 1.5)) if order == 1.5 and strand else "-", "transform": ax.transData + moved}
        ax.plot(*ends.T, color="0.2", lw=width + 1.6, zorder=depth - 0.01, solid_capstyle="round", **look)
        ax.plot(*ends.T, color=color, lw=width, zorder=depth, solid_capstyle="round", **look)


def _label_bond(ax, ends, others, text):
    """Write beside a bond, on the side where the other atoms (a, 2) are farther, so that its color shows."""
    middle = ends.mean(axis=0)
    sides = (_across(ends), -_across(ends))
    side = max(sides, key=lambda aside: np.linalg.norm(others - middle - 1.2 * aside, axis=1).min(initial=9))
    ax.annotate(text, middle, 17 * side, textcoords="offset points", zorder=50, fontsize=10, ha="center",
                va="center", path_effects=[Stroke(linewidth=3, foreground="white"), Normal()])


def molecule_figure(parts, titles, orders=None, values=None, written=None, label="", columns=4,
                    suptitle=None):
    """Draw molecules as balls and sticks, one panel each; the letters name the elements.

    parts: for each molecule coordinates (a, 3) bohr, charges (a,) and bonds (b, 2), without padding; orders:
    for each molecule the order of each bond (1, 1.5, 2, 3), by default 1; values: one number per bond, which
    sets its color, and written: (b,) True where it stands beside the bond too; label: its unit.
    """
    rows, size = -(-len(parts) // columns), np.array((2.5, 2.5) if values is None else (4.4, 3.2))
    figure, axes = plt.subplots(rows, columns, figsize=size * (columns, rows), squeeze=False)
    flat = np.concatenate(values) if values is not None else np.zeros(1)
    colors = plt.cm.ScalarMappable(plt.Normalize(flat.min(), flat.max()), "cividis")
    for ax in axes.flat:
        ax.set_axis_off()
    for m, (coordinates, charges, bonds) in enumerate(parts):
        ax, place = axes.flat[m], _facing(np.asarray(coordinates, dtype=float))
        for b, pair in enumerate(bonds):
            ends, order = place[list(pair)], 1 if orders is None else orders[m][b]
            color = "0.55" if values is None else colors.to_rgba(values[m][b])
            _draw_bond(ax, ends[:, :2], order, color, ends[:, 2].min() - 0.01)
            if values is not None and (written is None or written[m][b]):
                others = np.delete(place[:, :2], list(pair), axis=0)
                _label_bond(ax, ends[:, :2], others, f"{values[m][b]:.0f}")
        _draw_atoms(ax, place, charges)
        ax.set_title(titles[m], fontsize=10)
    if values is not None:
        figure.colorbar(colors, ax=axes, label=label, shrink=0.6, aspect=30)
    if suptitle:
        figure.suptitle(suptitle)
    return figure


def _draw_atoms(ax, place, charges):
    """Balls with letters at the turned places (a, 3), nearer ones in front; all of the molecule in view."""
    for (x, y, depth), charge in zip(place, charges, strict=True):
        letter, color, radius = ATOM_STYLE[int(charge)]
        ax.add_patch(plt.Circle((x, y), radius, facecolor=color, edgecolor="0.2", zorder=depth + 0.02))
        ax.text(x, y, letter, ha="center", va="center_baseline", fontsize=8, zorder=depth + 0.03)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.1)


TURNABLE = """<canvas width=WIDTH height=320 role=img aria-label="ALT" tabindex=0
 style="cursor:grab;touch-action:none"></canvas>
<script>
const atoms = ATOMS, bonds = BONDS, canvas = document.querySelector("canvas"), g = canvas.getContext("2d");
let a = 0.5, b = 0.4, held = null;
const scale = 130 / Math.max(...atoms.map(p => Math.hypot(p[0], p[1], p[2]) + 1));
function draw() {
  const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
  const at = atoms.map(([x, y, z]) => { const u = ca * x + sa * z, w = ca * z - sa * x;
    return [canvas.width / 2 + scale * u, 160 - scale * (cb * y - sb * w), cb * w + sb * y]; });
  const jobs = bonds.map(([i, j, color, , strands]) => [Math.min(at[i][2], at[j][2]) - 0.01, () => {
    const [x, y] = [at[j][0] - at[i][0], at[j][1] - at[i][1]], far = Math.hypot(x, y) || 1;
    for (const s of strands) for (const extra of [3, 0]) {
      const [u, v] = [-s * y / far, s * x / far];
      g.beginPath(); g.moveTo(at[i][0] + u, at[i][1] + v); g.lineTo(at[j][0] + u, at[j][1] + v);
      g.lineWidth = (strands.length > 1 ? 4 : 8) + extra;
      g.strokeStyle = extra ? "#333" : color; g.stroke(); } }]);
  atoms.forEach(([x, y, z, letter, color, radius], k) => jobs.push([at[k][2], () => {
    g.beginPath(); g.arc(at[k][0], at[k][1], scale * radius, 0, 7); g.fillStyle = color; g.fill();
    g.lineWidth = 1; g.strokeStyle = "#333"; g.stroke();
    g.fillStyle = "#000"; g.fillText(letter, at[k][0], at[k][1]); }]));
  g.fillStyle = "#fff"; g.fillRect(0, 0, canvas.width, 320); g.lineCap = "round";
  g.font = "13px sans-serif"; g.textAlign = "center"; g.textBaseline = "middle";
  jobs.sort((p, q) => p[0] - q[0]).forEach(job => job[1]());
  for (const [i, j, , text] of bonds) { if (!text) continue;
    const [x, y] = [(at[i][0] + at[j][0]) / 2, (at[i][1] + at[j][1]) / 2];
    g.fillStyle = "#ffffffcc"; g.fillRect(x - 15, y - 8, 30, 16);
    g.fillStyle = "#000"; g.fillText(text, x, y); }
}
canvas.onpointerdown = e => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); };
canvas.onpointerup = canvas.onpointercancel = () => { held = null; };
canvas.onkeydown = e => {
  const turn = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  if (turn) { a += turn[0] / 10; b += turn[1] / 10; e.preventDefault(); draw(); } };
canvas.onpointermove = e => { if (!held) return;
  a += (e.clientX - held[0]) / 80; b += (e.clientY - held[1]) / 80; held = [e.clientX, e.clientY]; draw(); };
draw();
</script>"""


def turnable_molecule(coordinates, charges, bonds, alt, orders=None, values=None, width=420):
    """Return a picture of one molecule that turns by mouse or arrow keys: plain HTML, no network, no widget.

    coordinates (a, 3) bohr, charges (a,), bonds (b, 2), without padding; orders (b,) 1, 1.5, 2 or 3, by
    default 1; values (b,) colors and labels bonds.
    """
    centered = np.asarray(coordinates, dtype=float) - np.mean(coordinates, axis=0)
    atoms = [[*np.round(place, 3).tolist(), *ATOM_STYLE[int(charge)]]
             for place, charge in zip(centered, charges, strict=True)]
    if values is None:
        colors, text = ["#8c8c8c"] * len(bonds), [""] * len(bonds)
    else:
        scale = plt.cm.ScalarMappable(plt.Normalize(min(values), max(values)), "cividis")
        colors = [to_hex(color) for color in scale.to_rgba(values)]
        text = [f"{value:.0f}" for value in values]
    strands = [STRANDS[float(order)] for order in (np.ones(len(bonds)) if orders is None else orders)]
    sticks = [[int(i), int(j), *look] for (i, j), *look in zip(bonds, colors, text, strands, strict=True)]
    page = TURNABLE.replace("WIDTH", str(width)).replace("ALT", escape(alt))
    page = page.replace("ATOMS", json.dumps(atoms)).replace("BONDS", json.dumps(sticks))
    return HTML(f'<div><iframe srcdoc="{escape(page)}" title="{escape(alt)}" width="{width + 20}" '
                'height="345" style="border:0"></iframe></div>')


def smoothed(heatmap):
    """A map (h, w) as it is drawn: smoothed by 1.5 pixels, or small panels show speckle that is not there."""
    return gaussian_filter(np.asarray(heatmap, float), 1.5)


def draw_heatmap(axis, heatmap, limit, title="", signed=True, outline=None):
    """Draw a map (h, w) between -limit (or 0, where unsigned) and limit; returns what a colour bar needs.

    outline: boolean (h, w), whose border is drawn over the map.
    """
    style = {"cmap": "RdBu_r", "vmin": -limit} if signed else {"cmap": "magma", "vmin": 0}
    drawn = axis.imshow(heatmap, vmax=limit, **style)
    if outline is not None:
        axis.contour(outline, levels=[0.5], colors="black" if signed else "white", linewidths=0.8)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
    return drawn
