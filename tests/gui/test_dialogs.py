"""Dialogs: the shortcut sheet is complete, preferences change nothing before OK, and an export says what it will do."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from ecgstudio.core.page import PageId
from ecgstudio.gui.actions import ACTIONS, GESTURES, keys_of
from ecgstudio.gui.dialogs import ExportDialog, ShortcutSheet
from ecgstudio.gui.exporting import ExportPlan
from ecgstudio.gui.icons import STROKES, icon
from ecgstudio.gui.preferences import Preferences, PreferencesDialog
from ecgstudio.session import os_user

PAGE = PageId("a", 0)


def test_the_shortcut_sheet_names_every_key(qtbot: QtBot) -> None:
    sheet = ShortcutSheet()
    qtbot.addWidget(sheet)
    shown = {label.text() for label in sheet.findChildren(QLabel)}
    assert {keys_of(row) for row in ACTIONS if row.keys} | {key for key, _ in GESTURES} <= shown


def test_preferences_change_nothing_before_ok(qtbot: QtBot) -> None:
    preferences = Preferences()
    dialog = PreferencesDialog(preferences)
    qtbot.addWidget(dialog)
    field = dialog.field("user/name")
    assert isinstance(field, QLineEdit)
    field.setText("Dr. Who")
    assert preferences.user == os_user()
    dialog.accept()
    assert preferences.user == "Dr. Who"
    preferences.deleteLater()


@pytest.mark.parametrize(("stored", "read"), [("7", 7), ("900", 60), ("rubbish", 5)])
def test_a_number_is_read_within_its_range_whatever_the_file_says(stored: str, read: int, qtbot: QtBot) -> None:
    preferences = Preferences()
    preferences.set("files/autosave_s", stored)
    assert preferences.number("files/autosave_s") == read
    preferences.deleteLater()


def test_recent_files_are_newest_first_and_each_once(qtbot: QtBot) -> None:
    preferences = Preferences()
    for name in ("a", "b", "a"):
        preferences.add_recent(Path(name))
    assert preferences.recent == (Path("a"), Path("b"))
    preferences.deleteLater()


def export_dialog(
    qtbot: QtBot, *, existing: tuple[Path, ...] = (), blocked: tuple[tuple[str, str], ...] = ()
) -> ExportDialog:
    def plan(pages: tuple[PageId, ...], folder: Path, formats: tuple[str, ...]) -> ExportPlan:
        return ExportPlan(tuple(folder / f"ecg.{name}" for name in formats), existing, blocked, (), pages)

    dialog = ExportDialog([("The page in front", (PAGE,))], plan=plan, folder=Path("out"))
    qtbot.addWidget(dialog)
    return dialog


def test_an_export_is_offered_when_nothing_stands_in_its_way(qtbot: QtBot) -> None:
    dialog = export_dialog(qtbot)
    assert dialog.can_export
    assert (dialog.pages, dialog.formats) == ((PAGE,), ("wfdb", "csv", "json"))


def test_an_unanswered_conflict_blocks_an_export_with_its_reason(qtbot: QtBot) -> None:
    dialog = export_dialog(qtbot, blocked=(("ecg", "the pulse is 20 mm high but 10 mm/mV is used"),))
    assert not dialog.can_export
    assert "pulse is 20 mm high" in dialog.reason


def test_existing_files_are_replaced_only_when_that_is_allowed(qtbot: QtBot) -> None:
    dialog = export_dialog(qtbot, existing=(Path("out/ecg.csv"),))
    assert not dialog.can_export
    dialog.allow_overwriting()
    assert dialog.can_export
    assert dialog.overwrite


def test_every_icon_can_be_drawn(qtbot: QtBot) -> None:
    for name in STROKES:
        image = icon(name, "#000000").pixmap(24, 24).toImage()
        assert any(image.pixelColor(x, y).alpha() for x in range(24) for y in range(24)), name
    assert {row.icon for row in ACTIONS if row.icon} <= STROKES.keys()
