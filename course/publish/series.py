"""README's picture, a stored figure of each series side by side: python -m course.publish.series."""

import io

from PIL import Image

from course.notebooks import ROOT, find
from course.publish.pages import Hosting, notebook_page

TARGET = ROOT / "docs" / "images" / "series.png"
FIGURES = {"12": "code-12-11", "24": "code-24-08", "36": "code-36-permuted-figure"}  # notebook: its cell
HEIGHT, GAP = 400, 16  # pixels


def figure(number, cell):
    """A notebook's stored figure as an image; ValueError where the cell shows none."""
    images = {}
    notebook_page(find(number), Hosting(), images)
    for name, (picture, _) in images.items():
        if f"-{cell}-" in name:
            return Image.open(io.BytesIO(picture)).convert("RGB")
    raise ValueError(f"FIGURES: cell {cell} of notebook {number} shows no picture; choose another one")


def picture():
    """The figures side by side, each as high as the others."""
    scaled = []
    for number, cell in FIGURES.items():
        one = figure(number, cell)
        scaled.append(one.resize((round(one.width * HEIGHT / one.height), HEIGHT), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (sum(one.width + GAP for one in scaled) - GAP, HEIGHT), "white")
    place = 0
    for one in scaled:
        whole.paste(one, (place, 0))
        place += one.width + GAP
    return whole


if __name__ == "__main__":
    few = picture().quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare colours stay
    few.save(TARGET, optimize=True)
