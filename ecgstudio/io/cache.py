"""Outcomes of stages on disk, by key: what was computed once need not be computed again. It may be deleted at any time.

An outcome is one file, named by its key: arrays as numpy writes them, all else as JSON; nothing is unpickled. A page
has a small file that names the outcomes of its last analysis. Whatever is damaged counts as not there.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecgstudio import __version__
from ecgstudio.core.page import PageId
from ecgstudio.errors import OutputError
from ecgstudio.io.atomic import write_bytes
from ecgstudio.io.codec import Array, decode, encode
from ecgstudio.paths import cache_folder
from ecgstudio.stages.contract import Key, Outcome, content_digest
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, ORDER, Analysis, Stage

logger = logging.getLogger(__name__)

VERSION: Final = f"1 of {__version__}"  # a key does not name the program, which may answer otherwise tomorrow
DEFAULT_MAX_BYTES: Final = 4 << 30

_DAMAGED: Final = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class OutcomeCache:
    """A folder of outcomes; None: the user's own cache folder. Errors of the disk never reach the caller."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "outcomes"

    def store(self, outcome: Outcome[object]) -> bool:
        """Keep an outcome; return whether that worked (a full disk is no reason to stop)."""
        arrays: list[Array] = []
        stored = replace(outcome, value=None) if outcome.value is outcome.auto else outcome
        text = json.dumps({"version": VERSION, "outcome": encode(stored, arrays=arrays)}, allow_nan=False)
        stream = io.BytesIO()
        named = {f"a{number}": array for number, array in enumerate(arrays)}
        np.savez_compressed(stream, allow_pickle=False, json=np.frombuffer(text.encode(), np.uint8), **named)
        return self._write(self._outcome_path(outcome.key.digest), stream.getvalue())

    def load(self, key: Key | str) -> Outcome[Any] | None:
        """Return the outcome that was kept for a key (or its digest); None if there is none that is whole."""
        digest = key if isinstance(key, str) else key.digest
        path = self._outcome_path(digest)
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
                document = json.loads(content["json"].tobytes())
                count = len(content.files) - 1
                arrays = [_read_only(content[f"a{number}"]) for number in range(count)]
            if document["version"] != VERSION:
                return None
            outcome = decode(document["outcome"], arrays=arrays)
            if not isinstance(outcome, Outcome):
                raise TypeError("no outcome")
            if outcome.value is None:
                outcome = replace(outcome, value=outcome.auto)
            if outcome.key.digest != digest or content_digest(outcome.value) != outcome.digest:
                raise ValueError("another outcome, or a changed one")
        except FileNotFoundError:
            return None
        except _DAMAGED as error:
            logger.info("a damaged outcome is left out: %s", error)
            _remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: prune takes the others first
        return outcome

    def store_analysis(self, page: PageId, analysis: Analysis, *, known: Analysis = EMPTY_ANALYSIS) -> bool:
        """Keep all outcomes of a page but those of `known`, which are kept already."""
        before = dict(known.outcomes())
        whole = all([self.store(o) for stage, o in analysis.outcomes() if o is not before.get(stage)])
        digests = {stage.value: outcome.key.digest for stage, outcome in analysis.outcomes()}
        index = json.dumps({"version": VERSION, "outcomes": digests}).encode()
        return self._write(self._page_path(page), index) and whole

    def load_analysis(self, page: PageId) -> Analysis:
        """Return what was kept of a page's last analysis; `advance` finds out what of it still holds."""
        try:
            document = json.loads(self._page_path(page).read_bytes())
            digests = dict(document["outcomes"]) if document["version"] == VERSION else {}
        except FileNotFoundError:
            return EMPTY_ANALYSIS
        except _DAMAGED as error:
            logger.info("a damaged list of outcomes is left out: %s", error)
            _remove(self._page_path(page))
            return EMPTY_ANALYSIS
        found: dict[str, Outcome[Any]] = {}
        for stage in ORDER:
            digest = digests.get(stage.value)
            if digest is None and stage is Stage.RECONSTRUCT:
                continue  # it was switched off
            outcome = self.load(digest) if isinstance(digest, str) and digest.isalnum() else None
            if outcome is None or outcome.key.page != str(page) or outcome.key.stage != stage.value:
                break  # the later ones rest on it
            found[stage.value] = outcome
        return replace(EMPTY_ANALYSIS, **found) if found else EMPTY_ANALYSIS

    def prune(self, max_bytes: int = DEFAULT_MAX_BYTES) -> int:
        """Delete what was not used for longest until the rest fits; return the bytes that are left."""
        files = sorted(self._files(), key=lambda file: file[1], reverse=True)
        total = kept = 0
        for path, _, size in files:
            total += size
            if total > max_bytes:
                _remove(path)
            else:
                kept = total
        return kept

    def clear(self) -> None:
        """Delete all."""
        self.prune(max_bytes=-1)

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """Walk over what lies in the folder: path, time of last use, size."""
        for pattern in ("*/*.npz", "pages/*.json", "*/.ecgstudio-*.tmp"):
            for path in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    about = path.stat()
                    yield path, about.st_mtime, about.st_size

    def _outcome_path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.npz"

    def _page_path(self, page: PageId) -> Path:
        return self.folder / "pages" / f"{content_digest(page)}.json"

    def _write(self, path: Path, content: bytes) -> bool:
        try:
            write_bytes(path, content)
        except OutputError as error:
            logger.info("an outcome is not kept: %s", error)
            return False
        return True


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
