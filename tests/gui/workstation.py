"""The whole window for tests: it works on fake stages or perfect networks, and asks a script instead of a person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.gui.desk import ExportChoice, PlanMaker, Scopes
from ecgstudio.gui.exporting import ExportPlan
from ecgstudio.gui.jobs import JobStatus
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.io.scans import page_entries
from ecgstudio.session import PageEntry, Session
from ecgstudio.stages.contract import Runtime
from tests.fake_stages import NoNetworks

PATIENCE_MS = 60_000


@dataclass
class Script:
    """Answers what the window asks, and remembers the questions."""

    files: list[Path] = field(default_factory=list)
    folder: Path | None = None
    save_to: Path | None = None
    keep: str = "discard"
    kept_work: list[str] = field(default_factory=lambda: ["recover"])
    says_yes: bool = True
    asked: list[str] = field(default_factory=list)
    started_at: Path | None = None

    def open_files(self, title: str, kinds: str) -> Sequence[Path]:
        self.asked.append(title)
        return self.files

    def open_folder(self, title: str, start: Path | None = None) -> Path | None:
        self.asked.append(title)
        self.started_at = start
        return self.folder

    def save_file(self, title: str, kinds: str, suggestion: str) -> Path | None:
        self.asked.append(title)
        return self.save_to

    def keep_changes(self, name: str) -> str:
        self.asked.append(name)
        return self.keep

    def keep_work(self, text: str) -> str:
        self.asked.append(text)
        return self.kept_work.pop(0)

    def yes(self, title: str, text: str, *, button: str) -> bool:
        self.asked.append(text)
        return self.says_yes


@dataclass(frozen=True)
class Choice:
    """What is chosen in the export dialog."""

    pages: tuple[PageId, ...]
    folder: Path
    formats: tuple[str, ...] = ("wfdb", "csv", "json")
    overwrite: bool = False


@dataclass
class ExportScript:
    """Exports the first scope into a folder, unless the plan is blocked."""

    folder: Path
    overwrite: bool = False
    plans: list[ExportPlan] = field(default_factory=list)

    def __call__(self, scopes: Scopes, plan: PlanMaker, folder: Path) -> ExportChoice | None:
        choice = Choice(scopes[0][1], self.folder, overwrite=self.overwrite)
        self.plans.append(plan(choice.pages, choice.folder, choice.formats))
        return None if self.plans[-1].blocked else choice


def write_page(path: Path, *, seed: int = 0, blank: bool = False) -> Path:
    """Write a page of 300 x 220 pixels, for fake stages."""
    pixels = np.full((220, 300, 3), 255, np.uint8)
    if not blank:
        pixels[20:200:10, :, :] = 120
        pixels[0, 0] = (seed // 256, seed % 256, 7)
    assert cv2.imwrite(str(path), pixels)
    return path


def save_project(path: Path, *scans: Path, comment: str = "") -> Path:
    """Save a project of these scans, each with this comment."""
    session = Session.new(user="Ada")
    for file in scans:
        [entry] = page_entries(file)
        session.add_pages([entry])
        session.set_corrections(entry.id, Corrections(comment=comment), text="comment")
    session.save(path)
    return path


def pages_given_to(patch: pytest.MonkeyPatch, module: ModuleType, function: str) -> list[PageId]:
    """Make a list that grows by each page which a module hands to a function of (entry, status)."""
    pages: list[PageId] = []
    original = getattr(module, function)

    def counted(entry: PageEntry, status: JobStatus) -> object:
        pages.append(entry.id)
        return original(entry, status)

    patch.setattr(module, function, counted)
    return pages


class Bench:
    """A shown window with the hands that tests need."""

    def __init__(
        self,
        qtbot: QtBot,
        folder: Path,
        *,
        load_runtime: Callable[[str], Runtime] = lambda device: NoNetworks(),  # type: ignore[arg-type,return-value]
    ) -> None:
        self.qtbot, self.folder = qtbot, folder
        self.script, self.exports = Script(), ExportScript(folder / "out")
        self.window = MainWindow(
            load_runtime=load_runtime,
            cache=OutcomeCache(folder / "cache"),
            ask=self.script,
            choose_export=self.exports,
        )
        qtbot.addWidget(self.window)
        with qtbot.waitExposed(self.window):
            self.window.show()
        self.window.activateWindow()

    def open(self, *paths: Path) -> None:
        """Start with these files, and wait until all that can be computed is."""
        self.window.start(paths)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is under way."""
        self.qtbot.waitUntil(lambda: not self.window.runner.waiting, timeout=PATIENCE_MS)
        self.window.refresh()

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key while the page has the focus."""
        self.window.page_view.setFocus()
        self.qtbot.keyClick(self.window.page_view, key, modifier)

    @property
    def page(self) -> PageId:
        """The page in front."""
        assert self.window.bridge.current is not None
        return self.window.bridge.current

    @property
    def names(self) -> list[str]:
        """The names of all pages, as listed."""
        return [entry.name for entry in self.window.bridge.session.entries]

    @property
    def said(self) -> list[str]:
        """All messages, the newest first."""
        model = self.window.messages
        return [str(model.data(model.index(row), Qt.ItemDataRole.ToolTipRole)) for row in range(model.rowCount())]
