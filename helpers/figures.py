"""What a figure draws, in words and rounded numbers, so that a comparison of outputs holds figures too.

Titles, labels, scales, legends, named ticks, written texts and their places, line styles and markers, and for
each line, bar, point cloud, area, image or contour its count and a few statistics of its data. Fonts, sizes,
back ends and versions of matplotlib do not matter.
"""

import numpy as np
from matplotlib.category import StrCategoryFormatter
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

MIME = "application/vnd.course.figure"


def describe(figure, data=True):
    """The description as text, one line per thing drawn. data: False leaves the numbers of the data out.

    Leave them out where an embedding or a training run places points elsewhere on every processor.
    """
    labels = "".join(f", {name} {text!r}" for name, text in
                     (("x", figure.get_supxlabel()), ("y", figure.get_supylabel())) if text)  # fmt: skip
    lines = [f"figure {figure.get_suptitle()!r}{labels}: {len(figure.axes)} axes"]
    for number, ax in enumerate(figure.axes):
        lines += [f"axes {number} {part}" for part in _axes(ax, data)]
    return "\n".join(lines + [f"figure {part}" for legend in figure.legends for part in _legend(legend)])


def _axes(ax, data):
    """The lines of one pair of axes."""
    title = "".join(ax.get_title(loc) for loc in ("left", "center", "right"))
    x, y = f"{ax.get_xlabel()!r} {ax.get_xscale()}", f"{ax.get_ylabel()!r} {ax.get_yscale()}"
    yield f"title {title!r}, x {x}, y {y}"
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        yield from _ticks(name, axis, data)
    if ax.get_legend():
        yield from _legend(ax.get_legend())
    for line in ax.lines:
        x, y = line.get_data(orig=False)  # floats; what is masked is NaN
        yield f"line {_name(line)}{_color(line.get_color())}{_style(line)} {_numbers(data, x=x, y=y)}"
    yield from _grouped("patch", ax.patches, _corners, data)
    for collection in ax.collections:
        table = np.ma.asarray(collection.get_array()) if data else np.zeros(0)  # a heatmap by pcolormesh
        turned = _turned(np.ma.filled(table.astype(float), np.nan)) if table.ndim == 2 else ""
        said = f"{_numbers(data, **_parts(collection))}{turned}"
        yield f"{type(collection).__name__} {_name(collection)}{said}"
    for image in ax.images:
        pixels = np.asarray(image.get_array(), dtype=float)
        limits = dict(limits=image.get_clim()) if pixels.ndim == 2 else {}
        said = f"{_numbers(data, value=pixels, **limits)}{_turned(pixels) if data else ''}"
        yield f"image {'x'.join(map(str, pixels.shape))} {said}"
    texts = [text for text in ax.texts if text.get_text()]
    if texts:
        yield f"texts {[text.get_text() for text in texts] if data else len(texts)}"
    if texts and data:
        yield f"texts at {' '.join(_place(ax, text) for text in texts)}"


def _ticks(name, axis, data):
    """Names that were given to ticks, in their order, and where they stand."""
    form = axis.get_major_formatter()
    fixed = isinstance(form, FuncFormatter) and isinstance(axis.get_major_locator(), FixedLocator)
    if fixed or isinstance(form, (FixedFormatter, StrCategoryFormatter)):
        names, places = [label.get_text() for label in axis.get_ticklabels()], axis.get_majorticklocs()
        yield f"{name} ticks {names}"
        if data and len(places):
            yield f"{name} ticks at {' '.join(f'{place:.2e}' for place in places)}"


def _place(ax, text):
    """Where a text stands, or what it points at, as shares of the axes: few digits, whatever the units."""
    place, system = text.get_unitless_position(), text.get_transform()
    if isinstance(text, Annotation):
        place = ax.convert_xunits(text.xy[0]), ax.convert_yunits(text.xy[1])
        system = {"data": ax.transData, "axes fraction": ax.transAxes}.get(text.xycoords, text.xycoords)
        if isinstance(system, str):  # points, pixels ...: as they are written
            return f"({place[0]:.2f}, {place[1]:.2f})"
    ax.get_xlim(), ax.get_ylim()  # until somebody asks, the limits do not know the last data
    x, y = (system - ax.transAxes).transform(place)
    return f"({x:z.2f}, {y:z.2f})"


def _style(line):
    """Line style and marker where they are not the usual solid line without markers."""
    style, marker = line.get_linestyle(), line.get_marker()
    marker = marker if isinstance(marker, (str, int)) else type(marker).__name__
    return f" {style}" * (style != "-") + f" marker {marker}" * (marker not in ("None", "none", "", " "))


def _turned(pixels):
    """What sees an image (h, w) or (h, w, colours) that is mirrored or turned, or whose colours are swapped.

    The correlation of its values with their row and column, free of units; mean and spread of each colour.
    """
    values = pixels.reshape(*pixels.shape[:2], -1)
    said = [f"{name} {_correlation(values, np.indices(values.shape)[axis]):z.3f}"
            for axis, name in enumerate(("rows", "columns"))]  # fmt: skip
    colours = [f"{found:.2e}" for one in np.moveaxis(values, 2, 0) for found in (one.mean(), one.std())]
    return "; ".join(["", *said, *([f"colours {' '.join(colours)}"] if len(colours) > 2 else [])])


def _correlation(values, places):
    """The correlation of the finite values with their places, 0 where either does not vary."""
    there = np.isfinite(values)
    if not there.any():
        return 0.0
    values = values / max(np.abs(values[there]).max(), 1e-300)
    x, y = (part[there] - part[there].mean() for part in (places, values))
    size = np.sqrt((x @ x) * (y @ y))
    return x @ y / size if size > 1e-6 * len(x) else 0.0


def _legend(legend):
    """Names of a legend with the colour of each, which belong together."""
    handles = legend.legend_handles
    colors = [_color(getattr(h, "get_color", getattr(h, "get_facecolor", lambda: "none"))())
              + (_style(h) if isinstance(h, Line2D) else "") for h in handles]  # fmt: skip
    names = [text.get_text() for text in legend.get_texts()]
    yield f"legend {legend.get_title().get_text()!r}: {[*zip(names, colors, strict=False)]}"


def _grouped(kind, artists, values, data):
    """One line for all artists of a kind that share a label and a colour: the bars of one series."""
    groups = {}
    for artist in artists:
        groups.setdefault((_name(artist), _color(artist.get_facecolor())), []).append(values(artist))
    for (name, color), found in groups.items():
        x, y = np.concatenate(found).T
        yield f"{len(found)} {kind} {name}{color} {_numbers(data, x=x, y=y)}"


def _corners(patch):
    """The corners (k, 2) of a patch in data coordinates."""
    return patch.get_patch_transform().transform(patch.get_path().vertices)


def _parts(collection):
    """{name: values} of a collection: its points, or the corners of its areas, and its colour values."""
    if hasattr(collection, "levels"):  # where a contour runs depends on last digits
        return {"levels": collection.levels, "range": (collection.zmin, collection.zmax)}
    parts, offsets = {}, np.ma.filled(np.ma.asarray(collection.get_offsets(), dtype=float), np.nan)
    if offsets.size and np.any(offsets):
        parts |= {"x": offsets[:, 0], "y": offsets[:, 1]}
    else:
        corners = [path.vertices for path in collection.get_paths() if len(path.vertices)]
        if corners:
            parts |= dict(zip("xy", np.concatenate(corners).T, strict=True))
    if collection.get_array() is not None:
        parts |= {"value": np.ma.filled(np.ma.asarray(collection.get_array(), dtype=float), np.nan).ravel()}
        parts |= {"limits": collection.get_clim()}
    return parts


def _numbers(data, **named):
    """Count, extremes, mean, spread and a mean weighted by place of each array; the last sees an order."""
    count = len(np.ravel(next(iter(named.values())))) if named else 0
    if not data:
        return f"{count} points"
    said = [f"{name} {_statistics(values)}" for name, values in named.items()]
    return "; ".join([f"{count} points", *said])


def _statistics(values):
    values = np.ravel(np.asarray(values, dtype=float))
    values = values[np.isfinite(values)]
    if not len(values):
        return "none"
    ordered = np.average(values, weights=np.arange(1, len(values) + 1))
    found = np.array([values.min(), values.max(), values.mean(), values.std(), ordered])
    found[np.abs(found) < max(1e-6 * np.abs(values).max(), 1e-12)] = 0  # what rounding leaves of a zero
    return " ".join(f"{value:.2e}" for value in found)


def _name(artist):
    """The label of an artist, or nothing where matplotlib made it up."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else f"{label!r} "


def _color(color):
    """A colour as hex; the first one where there are several, nothing where there is none."""
    try:
        colors = np.atleast_2d(np.asarray(color)) if not isinstance(color, str) else [color]
        return to_hex(colors[0], keep_alpha=False) if len(colors) else "none"
    except (ValueError, TypeError):
        return "none"
