"""The furniture of the window: its widgets, docks, menus and toolbar, and how they are remembered; nothing is wired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.gui.actions import MENUS, Actions
from ecgstudio.gui.banner import Banner
from ecgstudio.gui.checks_view import ChecksView
from ecgstudio.gui.diagnosis_panel import DiagnosisPanel
from ecgstudio.gui.icons import icon
from ecgstudio.gui.inspector import Inspector
from ecgstudio.gui.intervals_panel import IntervalsPanel
from ecgstudio.gui.messages import MessageList, MessageModel, Severity
from ecgstudio.gui.overlays import Layer
from ecgstudio.gui.page_list import PageList, PageListModel
from ecgstudio.gui.page_view import PageView
from ecgstudio.gui.preferences import Preferences
from ecgstudio.gui.signal_view import SignalView
from ecgstudio.gui.stage_bar import StageBar
from ecgstudio.gui.states import Step
from ecgstudio.gui.status_line import StatusLine
from ecgstudio.gui.style import palette_of, sheet_of
from ecgstudio.gui.theme import Theme
from ecgstudio.gui.welcome import Welcome

LAYOUT_VERSION: Final = 1
"""Grows when the docks change, so that an arrangement from before is not restored."""
FIRST_SIZE: Final = (1440, 900)
LAYERS: Final = {
    "show-grid": Layer.GRID,
    "show-traces": Layer.TRACES,
    "show-keypoints": Layer.KEYPOINTS,
    "show-uncertain": Layer.UNCERTAIN,
    "show-residual": Layer.RESIDUAL,
    "show-driving": Layer.DRIVING,
}
TOOLBAR: Final = ("open-pages", "save", "export", "", "undo", "redo", "", "fit", "worst-place", "")
"""What stands on the toolbar before the tools of the stage; empty: a gap."""


class Frame(QMainWindow):
    """A window with all its parts in place."""

    def __init__(self, page_model: PageListModel) -> None:
        super().__init__()
        self.setObjectName("main-window")
        self.setAcceptDrops(True)
        page_model.setParent(self)
        self.page_model = page_model
        self.actions_ = Actions(self)
        self.messages = MessageModel(self)
        self._welcoming: bool | None = None
        self._arrangement: QByteArray | None = None
        self._verdicts: dict[str, QToolButton] = {}
        self._make_widgets()
        self._arrange()
        self._make_menus()

    def remember(self, preferences: Preferences) -> None:
        """Keep size and arrangement for the next time."""
        preferences.remember("geometry", self.saveGeometry())
        if not self._welcoming:
            self._arrangement = self.saveState(LAYOUT_VERSION)
        if self._arrangement is not None:
            preferences.remember("state", self._arrangement)

    def restore(self, preferences: Preferences) -> None:
        """Take size and arrangement of the last time, if there was one."""
        geometry, state = preferences.remembered("geometry"), preferences.remembered("state")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        if isinstance(state, QByteArray):
            self._arrangement = state

    def reset_arrangement(self) -> None:
        """Put every dock back to where it was at first."""
        self._arrangement = None
        self.restoreState(self._first_state, LAYOUT_VERSION)
        self._place_docks()

    def show_welcome(self, *, welcome: bool) -> None:
        """Show the welcome page alone, or page, stage bar and docks."""
        if welcome == self._welcoming:
            return
        if welcome and self._welcoming is not None:
            self._arrangement = self.saveState(LAYOUT_VERSION)
        self._welcoming = welcome
        self._middle.setCurrentIndex(0 if welcome else 1)
        self.toolbar.setVisible(not welcome)
        if welcome:
            for dock in self.docks.values():
                dock.hide()
        elif self._arrangement is None or not self.restoreState(self._arrangement, LAYOUT_VERSION):
            for name in ("pages", "inspector", "signals"):
                self.docks[name].show()
            self._place_docks()

    def set_theme(self, theme: Theme) -> None:
        """Draw every part in these colours."""
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setPalette(palette_of(theme))
        self.setStyleSheet(sheet_of(theme, point_size=self.font().pointSizeF()))
        self.actions_.paint(theme.text)
        accept = QIcon(icon("accept", theme.on_accent))
        accept.addPixmap(icon("accept", theme.muted).pixmap(20, 20), QIcon.Mode.Disabled)
        self._verdicts["accept"].setIcon(accept)
        self._verdicts["reject"].setIcon(icon("reject", theme.text))
        self.messages.paint({Severity.INFO: theme.info, Severity.WARNING: theme.warning, Severity.ERROR: theme.bad})
        for part in (
            self.page_list, self.stage_bar, self.banner, self.inspector, self.page_view, self.signal_view,
            self.checks_view, self.intervals_panel, self.diagnosis_panel,
        ):  # fmt: skip
            part.set_theme(theme)

    # --- parts -----------------------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.page_list = PageList(self.page_model, self)
        self.stage_bar = StageBar(self)
        self.banner = Banner(self)
        self.page_view = PageView(self)
        self.signal_view = SignalView(self)
        self.signal_view.fit()
        self.inspector = Inspector(self)
        self.checks_view = ChecksView(self)
        self.intervals_panel = IntervalsPanel(self)
        self.diagnosis_panel = DiagnosisPanel(
            accept=self.actions_["accept-finding"], reject=self.actions_["reject-finding"],
            comment=self.actions_["comment-finding"], classify=self.actions_["classify"],
            patient=self.actions_["patient"], parent=self,
        )  # fmt: skip
        self.message_list = MessageList(self.messages, self)
        self.message_list.setObjectName("messages")
        self.welcome = Welcome([self.actions_[a] for a in ("open-pages", "open-project", "open-sample")], self)
        self.status_line = StatusLine(self.actions_["cancel"], self)
        self.inspector.add_actions(
            Step.NORMALIZE, [self.actions_[action] for action in ("rotate-left", "rotate-right", "mirror")]
        )
        self.inspector.add_actions(Step.GRID, [self.actions_["confirm-scale"]])
        self.inspector.add_switch(Step.DIGITIZE, self.actions_["reconstruct"])
        self.inspector.add_actions(Step.REVIEW, [self.actions_["comment"], self.actions_["withdraw"]])
        self.inspector.add_to(Step.REVIEW, self.diagnosis_panel)
        self.inspector.add_to(Step.REVIEW, self.intervals_panel)
        self.inspector.add_to(Step.REVIEW, self.checks_view)
        self.inspector.add_actions(Step.EXPORT, [self.actions_["export"]])

    def _arrange(self) -> None:
        verdicts = QWidget(self)
        verdicts.setObjectName("verdicts")
        line = QHBoxLayout(verdicts)
        line.setContentsMargins(0, 0, 8, 0)
        for action in ("reject", "accept"):
            button = QToolButton(verdicts)
            button.setObjectName(action)
            button.setText({"accept": self.tr("Accept"), "reject": self.tr("Reject")}[action])
            button.setToolTip(self.actions_[action].toolTip())
            button.setAccessibleName(self.actions_[action].text())
            button.clicked.connect(self.actions_[action].trigger)
            self.actions_[action].enabledChanged.connect(button.setEnabled)
            self._verdicts[action] = button
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setMinimumHeight(42)
            line.addWidget(button)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.stage_bar, 1)
        top.addWidget(verdicts)
        workspace = QWidget(self)
        workspace.setObjectName("workspace")
        column = QVBoxLayout(workspace)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        holder = QHBoxLayout()
        holder.setContentsMargins(8, 0, 8, 6)
        holder.addWidget(self.banner)
        column.addLayout(holder)
        column.addWidget(self.page_view, 1)
        self._middle = QStackedWidget(self)
        self._middle.addWidget(self.welcome)
        self._middle.addWidget(workspace)
        self.setCentralWidget(self._middle)
        self.setStatusBar(self.status_line)
        area = Qt.DockWidgetArea
        self.docks = {
            "pages": self._dock("pages", self.tr("Pages"), self.page_list, area.LeftDockWidgetArea),
            "inspector": self._dock("inspector", self.tr("Inspector"), self.inspector, area.RightDockWidgetArea),
            "messages": self._dock("messages", self.tr("Messages"), self.message_list, area.RightDockWidgetArea),
            "signals": self._dock("signals", self.tr("Signals"), self.signal_view, area.BottomDockWidgetArea),
        }
        self.page_list.setMinimumWidth(170)
        self.inspector.setMinimumWidth(270)
        self.signal_view.setMinimumWidth(320)  # its row of choices alone would ask for more than a laptop has
        self.setCorner(Qt.Corner.BottomLeftCorner, area.LeftDockWidgetArea)
        self.setCorner(Qt.Corner.BottomRightCorner, area.RightDockWidgetArea)
        self.resize(*FIRST_SIZE)
        self._place_docks()
        self._first_state = self.saveState(LAYOUT_VERSION)

    def _dock(self, name: str, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(f"dock-{name}")
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        return dock

    def _place_docks(self) -> None:
        horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        self.resizeDocks([self.docks["pages"], self.docks["inspector"]], [210, 330], horizontal)
        self.resizeDocks([self.docks["signals"]], [round(0.42 * self.height())], vertical)
        self.resizeDocks([self.docks["inspector"], self.docks["messages"]], [560, 140], vertical)
        self.docks["messages"].hide()

    def _make_menus(self) -> None:
        for name in MENUS:
            menu = self.menuBar().addMenu(self.tr(name))
            for row, action in self.actions_.of_menu(name):
                if row.separator:
                    menu.addSeparator()
                menu.addAction(action)
                if row.id == "open-folder":
                    self._recent_menu = menu.addMenu(self.tr("Recent"))
            if name == "View":
                menu.addSeparator()
                for dock in self.docks.values():
                    menu.addAction(dock.toggleViewAction())
        self.toolbar = QToolBar(self.tr("Tools"), self)
        self.toolbar.setObjectName("toolbar")
        self.toolbar.setIconSize(QSize(20, 20))
        self.addToolBar(self.toolbar)

    def fill_toolbar(self, step: Step) -> None:
        """Put the tools of a step on the toolbar."""
        self.toolbar.clear()
        for name in TOOLBAR:
            if name:
                self.toolbar.addAction(self.actions_[name])
            else:
                self.toolbar.addSeparator()
        self.toolbar.addActions(self.actions_.of_stage(step.value))
        self.toolbar.addSeparator()
        self.toolbar.addActions([self.actions_[name] for name in LAYERS])

    def fill_recent(self, recent: Sequence[Path], open_path: Callable[[Path], None]) -> None:
        """Show these files in the menu and on the welcome page."""
        self._recent_menu.clear()
        for path in recent:
            action = QAction(path.name, self._recent_menu)
            action.setToolTip(str(path))
            action.triggered.connect(partial(_open, open_path, path))
            self._recent_menu.addAction(action)
        self._recent_menu.setEnabled(bool(recent))
        self.welcome.set_recent(recent)


def _open(open_path: Callable[[Path], None], path: Path, _checked: bool = False) -> None:
    open_path(path)
