"""ECG Studio turns paper ECGs into digital 12-lead records; here are its version and public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgstudio.api import PageResult, classify, digitize, load_runtime, render_overlay

__version__ = "0.1.0"

__all__ = ["PageResult", "__version__", "classify", "digitize", "load_runtime", "render_overlay"]


def __getattr__(name: str) -> object:
    """Import the public names on first use, so that `import ecgstudio` stays free of numpy and torch."""
    if name in __all__:
        from ecgstudio import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
