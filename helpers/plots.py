"""The figures used more than once, one palette for the whole course, and alt text for every picture."""

import matplotlib.pyplot as plt
import seaborn as sns
from IPython.display import display

PALETTE = sns.color_palette("colorblind")


def use_course_style():
    """Set the palette, grid and font sizes that every notebook of the course shares."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 80, "savefig.dpi": 80, "figure.constrained_layout.use": True})


def show(figure, alt):
    """Display a figure as PNG with alt text that says what one should see, and close it."""
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"alt: {alt!r} is too short; say in at least five words what one should see")
    display(figure, metadata={"image/png": {"alt": " ".join(alt.split())}})
    plt.close(figure)
