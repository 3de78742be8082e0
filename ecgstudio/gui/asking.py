"""Ask the user for what a gesture cannot say: a length, a lead's name."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QInputDialog, QWidget

from ecgstudio.gui.keypoint_overlay import shown_name

LEAST_MM, MOST_MM = 0.1, 2000.0


class Questions:
    """Asks in small dialogs over a widget."""

    def __init__(self, over: QWidget) -> None:
        self._over = over

    def length_mm(self, question: str, suggestion: float) -> float | None:
        """Ask for a length in millimetres."""
        translated = QCoreApplication.translate("Gestures", question)
        title = QCoreApplication.translate("Gestures", "Length on paper")
        answer, given = QInputDialog.getDouble(
            self._over, title, f"{translated} [mm]", suggestion, LEAST_MM, MOST_MM, 1
        )
        return float(answer) if given else None

    def name(self, question: str, current: str, names: tuple[str, ...]) -> str | None:
        """Ask which of the names it is."""
        shown = [shown_name(name) for name in names]
        translated = QCoreApplication.translate("Gestures", question)
        title = QCoreApplication.translate("Gestures", "Lead name")
        at = names.index(current) if current in names else 0
        answer, given = QInputDialog.getItem(self._over, title, translated, shown, at, False)
        return names[shown.index(answer)] if given and answer in shown else None
