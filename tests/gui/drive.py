"""Use the real application as a person would, then quit it: `python -m tests.gui.drive FILE [during]`.

With `during` it is quit in the middle of computing. What matters is the exit code, and that nothing is said.
"""

import sys
from pathlib import Path

from PySide6.QtCore import QTimer

from ecgstudio import cli
from ecgstudio.gui import app
from ecgstudio.gui.main_window import MainWindow
from ecgstudio.gui.states import Step
from tests.gui.workstation import Script

STEP_MS = 50
DURING = sys.argv[2:] == ["during"]


class DrivenWindow(MainWindow):
    """A window with a hand of its own."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more, ask=Script())  # type: ignore[arg-type]
        self._hand = QTimer(self)
        self._hand.timeout.connect(self._act)
        self._left = [
            *(lambda step=step: self._look_at(step) for step in Step),
            lambda: self.bridge.set_speed(50.0),
            self.actions_["undo"].trigger,
            self.actions_["redo"].trigger,
            self.actions_["undo"].trigger,
            self.actions_["worst-place"].trigger,
            self.actions_["compute"].trigger,
            self.actions_["accept"].trigger,
        ]

    def start(self, paths: tuple[Path, ...] = ()) -> None:
        """Begin to act."""
        super().start(paths)
        self._hand.start(STEP_MS)

    def _act(self) -> None:
        page = self.bridge.current
        if DURING and page is not None and self.bridge.session.analysis(page).keypoints is not None:
            self.close()
        elif page is not None and not self.runner.waiting:
            if self._left:
                self._left.pop(0)()
            else:
                self.close()

    def _look_at(self, step: Step) -> None:
        self.desk.set_step(step)
        self.page_view.zoom_by(1.4)
        self.page_view.grab()
        self.views.next_lead()


if __name__ == "__main__":
    app.MainWindow = DrivenWindow  # type: ignore[misc]
    sys.exit(cli.main(["open", sys.argv[1]]))
