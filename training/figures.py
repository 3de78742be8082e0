"""Pictures of results: an empty figure that becomes a PNG whole or not at all, and what all axes wear."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgstudio.io.atomic import write_bytes

DPI = 110


@contextmanager
def new_figure(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """Hand out an empty figure, in inches, and write it as PNG; drawn without a screen."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    yield drawn
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=DPI)
    write_bytes(path, stream.getvalue())


def dress(ax: Axes, *, title: str, x: str, y: str) -> None:
    """Give axes a title, names, a grid, and a legend if something in them has a label."""
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=7)
