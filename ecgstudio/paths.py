"""Where our own resources lie: in a checkout, inside an installed wheel, or inside a frozen application."""

import sys
from pathlib import Path

from ecgstudio.errors import EcgStudioError


def resources_folder() -> Path:
    """Return the folder `resources` (icons, sample, weights).

    Raises EcgStudioError if the installation is incomplete.
    """
    for folder in _candidates():
        if (folder / "weights").is_dir() or (folder / "sample").is_dir():
            return folder
    raise EcgStudioError(
        "ECG Studio is not installed completely: its resources are missing; install it again."
    )


def weights_folder() -> Path:
    """Return the folder of the bundled weights and their manifest."""
    return resources_folder() / "weights"


def sample_folder() -> Path:
    """Return the folder of the bundled sample page and its truth."""
    return resources_folder() / "sample"


def _candidates() -> list[Path]:
    package = Path(__file__).resolve().parent
    frozen = getattr(sys, "_MEIPASS", None)
    folders = [Path(frozen) / "resources"] if isinstance(frozen, str) else []
    return [*folders, package / "_resources", package.parent / "resources"]
