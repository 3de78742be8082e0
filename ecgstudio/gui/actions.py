"""Everything that the user can do, as one table: menus, toolbar and the sheet of shortcuts are built from it.

What an action does is said where the window is wired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence

from ecgstudio.gui.icons import icon

CONTEXT: Final = "actions"


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is at the moment; an action is enabled when the field that it names is true."""

    always: bool = True
    pages: bool = False
    page: bool = False
    keypoints: bool = False
    grid: bool = False
    traces: bool = False
    corrected: bool = False  # the stage in front carries a correction
    computing: bool = False
    dirty: bool = False
    conflict: bool = False
    several: bool = False  # the page is a picture of several ECGs
    overtaken: bool = False  # an automatic answer beneath a correction has changed
    record: bool = False
    reconstruction: bool = False  # it can be switched on, or off again
    reviewed: bool = False
    findings: bool = False  # there are findings of the page in front
    finding: bool = False  # one of them is looked at


@dataclass(frozen=True, slots=True)
class Row:
    """One action. `keys` are separated by spaces; `hold` keys act while they are pressed and are no shortcut of Qt.

    `group`: of the actions of a group one is on. `stages`: on the toolbar of these stages (of all, if "*").
    `scope` "views": the key acts only while page or signals have the focus, because it means something elsewhere.
    """

    id: str
    menu: str
    text: str
    keys: str = ""
    when: str = "always"
    icon: str = ""
    checkable: bool = False
    group: str = ""
    stages: str = ""
    hold: bool = False
    scope: str = "window"
    separator: bool = False


MENUS: Final = ("File", "Edit", "View", "Stage", "Tool", "Page", "Finding", "Help")

ACTIONS: Final = (
    Row("open-pages", "File", "Open pages…", "Ctrl+O", icon="open"),
    Row("open-folder", "File", "Open a folder of pages…"),
    Row("open-sample", "File", "Open the sample page", icon="sample"),
    Row("open-project", "File", "Open project…", "Ctrl+Shift+O", icon="project", separator=True),
    Row("new-project", "File", "New project", "Ctrl+N"),
    Row("save", "File", "Save project", "Ctrl+S", "pages", icon="save"),
    Row("save-as", "File", "Save project as…", "Ctrl+Shift+S", "pages"),
    Row("import-patients", "File", "Import patient values…", "", "pages", separator=True),
    Row("export", "File", "Export…", "Ctrl+E", "pages", icon="export"),
    Row("preferences", "File", "Preferences…", "Ctrl+,", separator=True),
    Row("quit", "File", "Quit", "Ctrl+Q"),
    Row("undo", "Edit", "Undo", "Ctrl+Z", icon="undo"),
    Row("redo", "Edit", "Redo", "Ctrl+Shift+Z", icon="redo"),
    Row("revert", "Edit", "Revert stage to automatic", "Ctrl+Backspace", "corrected", icon="revert", separator=True),
    Row("confirm-scale", "Edit", "Confirm the scale", "", "conflict"),
    Row("confirm-corrections", "Edit", "My corrections still hold", "", "overtaken"),
    Row("cancel", "Edit", "Stop", "Ctrl+.", "computing", icon="cancel", separator=True),
    Row("compute", "Edit", "Read the page again", "F5", "page"),
    Row("compute-all", "Edit", "Read all pages", "Shift+F5", "pages"),
    Row("fit", "View", "Show the whole page", "F", "page", icon="fit"),
    Row("show-grid", "View", "Grid", "G", "page", icon="grid", checkable=True, separator=True),
    Row("show-traces", "View", "Traces", "T", "page", icon="traces", checkable=True),
    Row("show-keypoints", "View", "Lead names and markers", "K", "page", icon="keypoint", checkable=True),
    Row("show-uncertain", "View", "Uncertain samples", "I", "page", icon="uncertain", checkable=True),
    Row("show-residual", "View", "Ink that no trace explains", "U", "page", icon="residual", checkable=True),
    Row("show-driving", "View", "What drove the finding", "W", "page", icon="driving", checkable=True),
    Row("original", "View", "Original only (hold)", "O", "page", hold=True),
    Row("next-lead", "View", "Next lead", "Tab", "traces", scope="views", separator=True),
    Row("worst-place", "View", "Go to the worst place", "N", "traces", icon="worst"),
    Row("legend", "View", "What the drawing means", icon="help", separator=True),
    Row("screen-size", "View", "Size of this screen…"),
    Row("full-screen", "View", "Full screen", "F11", checkable=True, separator=True),
    Row("reset-layout", "View", "Reset the arrangement"),
    Row("stage-0", "Stage", "Normalize", "1", "page", checkable=True, group="stage"),
    Row("stage-1", "Stage", "Grid", "2", "page", checkable=True, group="stage"),
    Row("stage-2", "Stage", "Digitize", "3", "page", checkable=True, group="stage"),
    Row("stage-3", "Stage", "Review", "4", "page", checkable=True, group="stage"),
    Row("stage-4", "Stage", "Export", "5", "page", checkable=True, group="stage"),
    Row("reconstruct", "Stage", "Reconstruct traces (all pages)", "Ctrl+Shift+T", "reconstruction", "reconstruct",
        checkable=True, separator=True),
    Row("tool-pan", "Tool", "Pan and select", "V", "page", "pan", checkable=True, group="tool", stages="*"),
    Row("pan", "Tool", "Pan (hold)", "Space", "page", hold=True),
    Row("tool-keypoint", "Tool", "Lead names", "M", "page", "keypoint", checkable=True, group="tool", stages="0",
        separator=True),
    Row("tool-rotate", "Tool", "Turn by hand", "Shift+R", "page", "rotate", checkable=True, group="tool", stages="0"),
    Row("tool-corners", "Tool", "Page corners", "Shift+C", "page", "corners", checkable=True, group="tool", stages="0"),
    Row("tool-node", "Tool", "Grid nodes", "A", "grid", "node", checkable=True, group="tool", stages="1",
        separator=True),
    Row("tool-line", "Tool", "Grid lines", "L", "grid", "line", checkable=True, group="tool", stages="1"),
    Row("tool-scale", "Tool", "Scale by two clicks", "S", "page", "scale", checkable=True, group="tool", stages="1"),
    Row("tool-lattice", "Tool", "Lay a grid by hand", "Shift+G", "page", "layers", checkable=True, group="tool",
        stages="1"),
    Row("tool-erase", "Tool", "Erase to “not readable”", "E", "traces", "erase", checkable=True, group="tool",
        stages="23", separator=True),
    Row("tool-draw", "Tool", "Redraw freehand", "D", "traces", "draw", checkable=True, group="tool", stages="23"),
    Row("tool-spline", "Tool", "Redraw by points", "P", "traces", "spline", checkable=True, group="tool", stages="2"),
    Row("tool-shift", "Tool", "Shift a trace", "H", "traces", "shift", checkable=True, group="tool", stages="2"),
    Row("tool-relabel", "Tool", "Rename a trace", "B", "traces", "relabel", checkable=True, group="tool", stages="2"),
    Row("tool-split", "Tool", "Split a trace", "X", "traces", "split", checkable=True, group="tool", stages="2"),
    Row("tool-merge", "Tool", "Merge two traces", "J", "traces", "merge", checkable=True, group="tool", stages="2"),
    Row("tool-caliper", "Tool", "Caliper", "C", "traces", "caliper", checkable=True, group="tool", stages="3",
        separator=True),
    Row("accept", "Page", "Accept and sign off", "Return Enter", "record", icon="accept"),
    Row("reject", "Page", "Reject", "R", "page", icon="reject"),
    Row("comment", "Page", "Comment…", "Ctrl+M", "page", icon="comment"),
    Row("withdraw", "Page", "Take the sign-off back", "", "reviewed"),
    Row("patient", "Page", "Patient values…", "Alt+P", "page"),
    Row("previous-page", "Page", "Previous page", "PgUp", "pages", icon="previous", separator=True),
    Row("next-page", "Page", "Next page", "PgDown", "pages", icon="next"),
    Row("rotate-left", "Page", "Turn left", "Ctrl+L", "page", "rotate-left", stages="0", separator=True),
    Row("rotate-right", "Page", "Turn right", "Ctrl+R", "page", "rotate-right", stages="0"),
    Row("mirror", "Page", "Mirror", "", "page", "mirror", stages="0"),
    Row("divide", "Page", "Make each ECG a page of its own…", "", "several", separator=True),
    Row("relink", "Page", "Find the scan…", "", "page"),
    Row("remove-page", "Page", "Remove the page from the project", "", "page"),
    Row("next-finding", "Finding", "Next finding", "Alt+Down", "findings"),
    Row("previous-finding", "Finding", "Previous finding", "Alt+Up", "findings"),
    Row("accept-finding", "Finding", "Accept the finding", "Alt+Return Alt+Enter", "finding", icon="accept",
        separator=True),
    Row("reject-finding", "Finding", "Reject the finding", "Alt+R", "finding", icon="reject"),
    Row("comment-finding", "Finding", "Comment on the finding…", "Alt+M", "finding", icon="comment"),
    Row("classify", "Finding", "Work out the findings again", "Alt+F5", "record", separator=True),
    Row("shortcuts", "Help", "Keyboard shortcuts", "? F1", icon="help"),
    Row("about", "Help", "About ECG Studio"),
)  # fmt: skip

GESTURES: Final = (
    ("Wheel", "Zoom at the cursor"),
    ("Arrows", "Nudge what is taken by one screen pixel (Shift: ten)"),
    ("+ / −", "March the caliper that is taken"),
    ("Esc", "Let go"),
    ("Del", "Delete what is selected"),
    ("F6", "Go to the next pane"),
)
"""Keys that are no actions: they act inside the page and signal views. The shortcut sheet names them too."""


def text_of(row: Row) -> str:
    """Return the row's text in the user's language."""
    return QCoreApplication.translate(CONTEXT, row.text)


def keys_of(row: Row) -> str:
    """Return the row's keys as the user's system writes them, as in "PgUp" or "Ctrl+Z"."""
    native = QKeySequence.SequenceFormat.NativeText
    return " / ".join(QKeySequence(key).toString(native) for key in row.keys.split())


def _tip_of(row: Row) -> str:
    return f"{text_of(row).removesuffix('…')} ({keys_of(row)})" if row.keys else text_of(row)


class Actions(QObject):
    """The actions of one window, made from the table."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._groups: dict[str, QActionGroup] = {}
        self._actions = {row.id: self._make(row) for row in ACTIONS}

    def __getitem__(self, action: str) -> QAction:
        return self._actions[action]

    def connect_all(self, handlers: Mapping[str, Callable[..., object]]) -> None:
        """Connect every action that is no hold key; KeyError for one without a handler."""
        for row in ACTIONS:
            if row.hold:
                continue
            action, handler = self._actions[row.id], handlers[row.id]
            if row.checkable and not row.group:
                action.toggled.connect(handler)
            else:
                action.triggered.connect(handler)

    def enable(self, situation: Situation) -> None:
        """Enable exactly what makes sense now; undo and redo follow their stack."""
        for row in ACTIONS:
            if row.id not in ("undo", "redo"):
                self._actions[row.id].setEnabled(bool(getattr(situation, row.when)))

    def explain(self, action: str, why: str) -> None:
        """Say in an action's tip why it cannot be done, or what is special about it now; empty: only what it does."""
        tip = _tip_of(next(row for row in ACTIONS if row.id == action))
        tip = f"{tip}\n{why}" if why else tip
        self._actions[action].setToolTip(tip)
        self._actions[action].setStatusTip(tip.replace("\n", ": "))

    def of_stage(self, stage: int) -> list[QAction]:
        """Return what belongs on the toolbar of a stage, in the order of the table."""
        return [self._actions[row.id] for row in ACTIONS if row.stages == "*" or str(stage) in row.stages]

    def of_menu(self, menu: str) -> list[tuple[Row, QAction]]:
        """Return what belongs in a menu, in the order of the table."""
        return [(row, self._actions[row.id]) for row in ACTIONS if row.menu == menu]

    def paint(self, colour: str) -> None:
        """Give all icons a colour."""
        for row in ACTIONS:
            if row.icon:
                self._actions[row.id].setIcon(icon(row.icon, colour))

    def _make(self, row: Row) -> QAction:
        action = QAction(text_of(row), self)
        action.setObjectName(row.id)
        action.setCheckable(row.checkable)
        if not row.hold and row.scope != "views":
            action.setShortcuts([QKeySequence(key) for key in row.keys.split()])
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        tip = _tip_of(row)
        action.setToolTip(tip)
        action.setStatusTip(tip)
        if row.group:
            if row.group not in self._groups:
                self._groups[row.group] = QActionGroup(self)
            self._groups[row.group].addAction(action)
        return action
