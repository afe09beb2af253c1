"""The figures used more than once, one palette for the whole course, and alt text for every picture."""

from io import BytesIO

import matplotlib.pyplot as plt
import seaborn as sns
from IPython.display import Image, display
from PIL import Image as Pictures

PALETTE = sns.color_palette("colorblind")
LARGE = 120_000  # bytes of a PNG


def use_course_style():
    """Set the palette, grid and font sizes that every notebook of the course shares."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 80, "savefig.dpi": 80, "figure.constrained_layout.use": True})


def show(figure, alt):
    """Display a figure as PNG with alt text that says what one should see, and close it."""
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"alt: {alt!r} is too short; say in at least five words what one should see")
    metadata = {"image/png": {"alt": " ".join(alt.split())}}
    buffer = BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    if buffer.tell() > LARGE:  # photographs: a palette of 256 colours takes a third of the bytes
        picture = Pictures.open(buffer).convert("RGB").quantize(256, dither=Pictures.Dither.NONE)
        picture.save(buffer := BytesIO(), format="png", optimize=True)
        display(Image(buffer.getvalue(), format="png"), metadata=metadata)
    else:
        display(figure, metadata=metadata)
    plt.close(figure)
