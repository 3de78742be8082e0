"""The true size of a screen: fitted by hand, kept for each screen, and used by the signal view."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from ecgstudio.gui import screen_size
from ecgstudio.gui.preferences import Preferences, PreferencesDialog
from ecgstudio.gui.screen_size import CARD_MM, ScreenSizeDialog, TrueSize, screen_key
from ecgstudio.gui.signal_view import SignalView

BY_ITSELF = 4.0


@pytest.fixture
def dialog(qtbot: QtBot) -> ScreenSizeDialog:
    widget = ScreenSizeDialog(None, by_itself=BY_ITSELF)
    qtbot.addWidget(widget)
    widget.show()
    return widget


def test_the_screens_own_word_stands_until_something_is_fitted(dialog: ScreenSizeDialog) -> None:
    assert dialog.px_per_mm is None
    assert dialog.shape_shown.px_per_mm == BY_ITSELF


def test_pulling_the_edge_of_the_card_tells_the_pixels_of_a_millimetre(dialog: ScreenSizeDialog) -> None:
    shape = dialog.shape_shown
    start = QPoint(round(shape.edge_px), 120)
    QTest.mousePress(shape, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(shape, start + QPoint(40, 0))
    QTest.mouseRelease(shape, Qt.MouseButton.LeftButton, pos=start + QPoint(40, 0))
    assert dialog.px_per_mm == pytest.approx(BY_ITSELF + 40 / CARD_MM[0], abs=0.01)


@pytest.mark.parametrize(
    ("key", "modifier", "by_px"),
    [
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, 0.5),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, -0.5),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier, 5.0),
    ],
)
def test_arrow_keys_fit_the_card_finely(
    dialog: ScreenSizeDialog, key: Qt.Key, modifier: Qt.KeyboardModifier, by_px: float
) -> None:
    QTest.keyClick(dialog.shape_shown, key, modifier)
    assert dialog.px_per_mm == pytest.approx(BY_ITSELF + by_px / CARD_MM[0], abs=1e-3)


def test_the_screens_word_can_be_taken_again(dialog: ScreenSizeDialog) -> None:
    QTest.keyClick(dialog.shape_shown, Qt.Key.Key_Right)
    box = dialog.findChild(QDialogButtonBox)
    assert box is not None
    reset = next(b for b in box.buttons() if box.buttonRole(b) is QDialogButtonBox.ButtonRole.ResetRole)
    reset.click()
    assert dialog.px_per_mm is None


def test_a_ruler_has_another_length_at_the_same_scale(dialog: ScreenSizeDialog) -> None:
    dialog.shape_shown.show_ruler(1)
    assert dialog.shape_shown.edge_px == pytest.approx(24 + 100 * BY_ITSELF)
    assert not dialog.shape_shown.grab().toImage().isNull()


class Says(ScreenSizeDialog):
    """Answers as a user would."""

    answer: float | None = 5.0

    def exec(self) -> int:
        if self.answer is None:
            self._reset()
        else:
            self._set(self.answer)
        return 1


@pytest.fixture
def made(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[TrueSize, SignalView]]:
    monkeypatch.setattr(screen_size, "ScreenSizeDialog", Says)

    def make() -> tuple[TrueSize, SignalView]:
        window = QWidget()
        qtbot.addWidget(window)
        view = SignalView(window)
        window.show()
        return TrueSize(window, preferences=Preferences(window), signal_view=view), view

    return make


def test_what_was_fitted_is_used_and_remembered_for_the_screen(
    made: Callable[[], tuple[TrueSize, SignalView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, view = made()
    before = view.frame.px_per_mm
    first.edit()
    assert view.frame.px_per_mm == pytest.approx(5.0)
    _, again = made()
    assert again.frame.px_per_mm == pytest.approx(5.0)
    monkeypatch.setattr(screen_size, "screen_key", lambda screen: "another")
    _, elsewhere = made()
    assert elsewhere.frame.px_per_mm == pytest.approx(before)


def test_taking_the_screens_word_again_forgets_what_was_fitted(
    made: Callable[[], tuple[TrueSize, SignalView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_size, view = made()
    before = view.frame.px_per_mm
    true_size.edit()
    monkeypatch.setattr(Says, "answer", None)
    true_size.edit()
    assert view.frame.px_per_mm == pytest.approx(before)


def test_rubbish_in_the_settings_counts_as_nothing(qtbot: QtBot) -> None:
    preferences = Preferences()
    for rubbish in (-1.0, float("nan"), 0.0):
        preferences.set_screen_px_per_mm("x", rubbish)
        assert preferences.screen_px_per_mm("x") is None
    preferences.deleteLater()


def test_a_screen_has_a_name_that_settings_can_hold(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    key = screen_key(window.screen())
    assert key
    assert "/" not in key


def test_the_preferences_lead_there(qtbot: QtBot) -> None:
    asked: list[bool] = []
    preferences = Preferences()
    dialog = PreferencesDialog(preferences, fit_screen=lambda: asked.append(True))
    qtbot.addWidget(dialog)
    button = next(b for b in dialog.findChildren(QPushButton) if "screen" in b.text())
    button.click()
    assert asked == [True]
    preferences.deleteLater()


def test_another_screen_has_its_own_millimetres(
    made: Callable[[], tuple[TrueSize, SignalView]], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_size, view = made()
    before = view.frame.px_per_mm
    true_size.edit()
    monkeypatch.setattr(screen_size, "screen_key", lambda screen: "another")
    QCoreApplication.sendEvent(view, QEvent(QEvent.Type.ScreenChangeInternal))
    assert view.frame.px_per_mm == pytest.approx(before)
