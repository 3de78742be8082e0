"""Where our files lie: resources (in a checkout, a wheel, a frozen application), the user's caches and autosaves."""

import os
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
    raise EcgStudioError("ECG Studio is not installed completely: its resources are missing; install it again.")


def weights_folder() -> Path:
    """Return the folder of the bundled weights and their manifest."""
    return resources_folder() / "weights"


def sample_folder() -> Path:
    """Return the folder of the bundled sample page and its truth."""
    return resources_folder() / "sample"


def state_folder() -> Path:
    """Return the user's folder for what must survive a crash, such as autosaves; it need not exist yet."""
    return _user_folder("XDG_DATA_HOME", mac="Application Support", other=".local/share")


def cache_folder() -> Path:
    """Return the user's folder for what can be computed again; it may be deleted at any time."""
    folder = _user_folder("XDG_CACHE_HOME", mac="Caches", other=".cache")
    return folder / "cache" if sys.platform == "win32" else folder


def _user_folder(variable: str, *, mac: str, other: str) -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ECG Studio"
    if sys.platform == "darwin":
        return Path.home() / "Library" / mac / "ECG Studio"
    return Path(os.environ.get(variable) or Path.home() / other) / "ecgstudio"


def _candidates() -> list[Path]:
    package = Path(__file__).resolve().parent
    frozen = getattr(sys, "_MEIPASS", None)
    folders = [Path(frozen) / "resources"] if isinstance(frozen, str) else []
    return [*folders, package / "_resources", package.parent / "resources"]
