"""The window: makes the parts and connects them; it decides nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QMessageBox

from ecgstudio import __version__
from ecgstudio.core.page import PageId
from ecgstudio.gui.bridge import Bridge
from ecgstudio.gui.computing import Computer
from ecgstudio.gui.desk import ChooseExport, Desk, ExportChoice, PlanMaker, Scopes
from ecgstudio.gui.dialogs import CommentDialog, ExportDialog, LegendDialog, QtAsk, ShortcutSheet
from ecgstudio.gui.finding_lines import name_of
from ecgstudio.gui.findings import Findings
from ecgstudio.gui.frame import LAYERS, Frame
from ecgstudio.gui.front import Front
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, Pool
from ecgstudio.gui.messages import Message, Severity, WarningEcho
from ecgstudio.gui.overlays import Layer, Tool
from ecgstudio.gui.page_list import PageListModel
from ecgstudio.gui.patient_dialogs import PatientQuestions
from ecgstudio.gui.patients import Patients
from ecgstudio.gui.preferences import Preferences, PreferencesDialog
from ecgstudio.gui.project_files import Ask, ProjectFiles
from ecgstudio.gui.screen_size import TrueSize
from ecgstudio.gui.states import WAITING, Step, page_state
from ecgstudio.gui.theme import theme_for
from ecgstudio.gui.views import Views
from ecgstudio.io.cache import OutcomeCache
from ecgstudio.paths import sample_folder
from ecgstudio.session import Session
from ecgstudio.stages.contract import Runtime

HOLD_ORIGINAL: Final = Qt.Key.Key_O


class MainWindow(Frame):
    """The workstation."""

    warned = Signal(str)  # by the networks, from any thread

    def __init__(
        self,
        *,
        load_runtime: Callable[[str], Runtime],
        cache: OutcomeCache | None = None,
        ask: Ask | None = None,
        choose_export: ChooseExport | None = None,
    ) -> None:
        super().__init__(PageListModel(name_of=self._name_of, state_of=self._state_of))
        self.preferences = Preferences(self)
        self.ask: Ask = ask or QtAsk(self)
        self.choose_export = choose_export or self._ask_export
        self._load_runtime, self._cache = load_runtime, cache
        self.runner = JobRunner(self)
        self.computer = Computer(self.runner, self._runtime_loader(), cache=cache, parent=self)
        session = Session.new(user=self.preferences.user)
        self.bridge = Bridge(session, runner=self.runner, computer=self.computer, parent=self)
        self.findings = Findings(
            self.bridge, runner=self.runner, computer=self.computer, at_once=self._wants_findings, parent=self
        )
        self.desk = Desk(
            self.bridge, runner=self.runner, computer=self.computer, findings=self.findings, cache=cache, ask=self.ask,
            parent=self,
        )  # fmt: skip
        self.patients = Patients(
            self.bridge, findings=self.findings, runner=self.runner, ask=self.ask, questions=PatientQuestions(self),
            parent=self,
        )  # fmt: skip
        self.files = ProjectFiles(
            self.bridge, runner=self.runner, preferences=self.preferences, ask=self.ask, parent=self
        )
        self.views = Views(
            self.bridge, runner=self.runner, page_view=self.page_view, signal_view=self.signal_view, parent=self
        )
        self.front = Front(
            self, bridge=self.bridge, desk=self.desk, views=self.views, findings=self.findings, runner=self.runner
        )
        self.true_size = TrueSize(self, preferences=self.preferences, signal_view=self.signal_view)
        self._echoes = WarningEcho(self.warned.emit)
        logging.getLogger("ecgstudio.nets").addHandler(self._echoes)
        self._connect()
        self.restore(self.preferences)
        self._follow_preference("view/theme")
        self._follow_preference("files/recent")
        self._show_step(self.desk.step)
        self._show_layers(self.views.layers)
        self.refresh()

    def start(self, paths: tuple[Path, ...] = ()) -> None:
        """Load the networks behind the shown window, and open what was named; or offer what a crash left behind."""
        self.computer.start()
        if self._cache is not None:
            prune = self._cache.prune
            self.runner.submit(Job(JobKey("prune"), lambda _: prune(), _ignore, _ignore, pool=Pool.DISK, urgent=False))
        if paths:
            self.files.open_paths(paths)
        else:
            self.files.offer_recovery()

    # --- wires -----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.actions_.connect_all(self._handlers())
        undo = self.bridge.undo
        undo.canUndoChanged.connect(self.actions_["undo"].setEnabled)
        undo.canRedoChanged.connect(self.actions_["redo"].setEnabled)
        undo.undoTextChanged.connect(self._name_undo)
        undo.redoTextChanged.connect(self._name_redo)
        for source in (self.bridge, self.desk, self.files, self.patients):
            source.messaged.connect(self.tell)
        self.warned.connect(self._echo)
        self.bridge.pages.thumbnailLoaded.connect(self.page_model.set_thumbnail)
        self.computer.ready.connect(self._show_device)
        self.computer.unavailable.connect(self._lose_networks)
        self.computer.busyChanged.connect(self.front.refresh_soon)
        self.runner.started.connect(self.front.refresh_soon)
        self.runner.ended.connect(self.front.refresh_soon)
        self.page_list.pageChosen.connect(self.bridge.show)
        self.page_list.thumbnailsWanted.connect(self.bridge.want_thumbnails)
        self.stage_bar.stepChosen.connect(self._choose_step)
        self.desk.stepChanged.connect(self._show_step)
        self.views.layersChanged.connect(self._show_layers)
        self.views.cursorSaid.connect(self.status_line.show_cursor)
        self.checks_view.scaleConfirmed.connect(self.bridge.answer_scale)
        self.intervals_panel.revertAsked.connect(self.views.measure_again)
        self.views.said.connect(self.status_line.say)
        self.findings.said.connect(self.status_line.say)
        self.findings.attributed.connect(self.views.set_attribution)
        self.diagnosis_panel.findingChosen.connect(self.findings.choose)
        self.diagnosis_panel.answered.connect(self.findings.answer)
        self.files.saved.connect(self.front.refresh_soon)
        self.banner.actionWanted.connect(self._do)
        self.message_list.actionWanted.connect(self._do_on)
        self.message_list.pageWanted.connect(self.bridge.show)
        self.messages.rowsInserted.connect(self._count_messages)
        self.messages.rowsRemoved.connect(self._count_messages)
        self.messages.modelReset.connect(self._count_messages)
        self.status_line.messagesWanted.connect(self._toggle_messages)
        self.inspector.revertWanted.connect(self.bridge.revert)
        self.inspector.speedChosen.connect(self.bridge.set_speed)
        self.inspector.gainChosen.connect(self.bridge.set_gain)
        self.inspector.layoutChosen.connect(self.bridge.set_layout)
        self.inspector.pageLayoutChosen.connect(self.bridge.set_page_layout)
        self.inspector.turned.connect(self.page_view.turn_by)
        self.inspector.templateChosen.connect(self.page_view.place_template)
        self.inspector.leadChosen.connect(self.views.select_lead)
        self.preferences.changed.connect(self._follow_preference)
        self.welcome.recentChosen.connect(self._open_path)
        for view in (self.page_view, self.signal_view):
            tab = QShortcut(QKeySequence("Tab"), view, self.views.next_lead)
            tab.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.page_view.installEventFilter(self)
        QShortcut(QKeySequence("F6"), self, self._next_pane)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    def _handlers(self) -> dict[str, Callable[..., object]]:
        handlers: dict[str, Callable[..., object]] = {
            "open-pages": self.files.choose_pages,
            "open-folder": self.files.choose_folder,
            "open-sample": self._open_sample,
            "open-project": self.files.choose_project,
            "new-project": self.files.new_project,
            "save": self.files.save,
            "save-as": self.files.save_as,
            "export": self._export,
            "preferences": self._edit_preferences,
            "quit": self.close,
            "undo": self.bridge.undo.undo,
            "redo": self.bridge.undo.redo,
            "revert": self.desk.revert,
            "confirm-scale": self.bridge.confirm_scale,
            "confirm-corrections": self.bridge.confirm_corrections,
            "cancel": self.desk.stop,
            "compute": self.bridge.compute_again,
            "compute-all": self.bridge.compute_all,
            "fit": self.page_view.fit,
            "next-lead": self.views.next_lead,
            "worst-place": self.views.go_to_worst,
            "legend": self._show_legend,
            "screen-size": self.true_size.edit,
            "full-screen": self._show_full_screen,
            "reset-layout": self.reset_arrangement,
            "reconstruct": self.bridge.set_reconstruction,
            "accept": self._enter,
            "reject": self.desk.reject,
            "comment": self._comment,
            "withdraw": self.bridge.withdraw_review,
            "patient": self.patients.edit,
            "import-patients": self.patients.import_table,
            "next-finding": _Call(self._next_finding, 1),
            "previous-finding": _Call(self._next_finding, -1),
            "accept-finding": _Call(self._answer_finding, "accept"),
            "reject-finding": _Call(self._answer_finding, "reject"),
            "comment-finding": self._comment_finding,
            "classify": self.findings.ask,
            "previous-page": self._previous_page,
            "next-page": self._next_page,
            "rotate-left": self._turn_left,
            "rotate-right": self._turn_right,
            "mirror": self.page_view.mirror,
            "divide": self.desk.divide,
            "relink": self.desk.relink,
            "remove-page": self.desk.remove,
            "shortcuts": self._show_shortcuts,
            "about": self._about,
        }
        handlers |= {f"stage-{step.value}": _Call(self.desk.set_step, step) for step in Step}
        handlers |= {f"tool-{tool.value}": _Call(self.views.set_tool, tool) for tool in Tool}
        handlers |= {name: _Layer(self.views, layer) for name, layer in LAYERS.items()}
        return handlers

    # --- following the bridge --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the state of the page in front everywhere, now."""
        self.front.refresh()

    def _show_step(self, step: Step) -> None:
        self.stage_bar.set_step(step)
        self.actions_[f"stage-{step.value}"].setChecked(True)
        self.fill_toolbar(step)
        self.actions_["tool-pan"].trigger()
        self.views.show_step(step)
        self.inspector.show_step(step)
        self.front.refresh_soon()

    def _choose_step(self, number: int) -> None:
        self.desk.set_step(Step(number))

    def _show_layers(self, layers: frozenset[Layer]) -> None:
        for name, layer in LAYERS.items():
            self.actions_[name].setChecked(layer in layers)

    def _show_device(self, device: str) -> None:
        self.status_line.show_device({"cpu": self.tr("Processor")}.get(device, self.tr("GPU (%s)") % device))

    def _echo(self, text: str) -> None:
        self.tell(Message(f"{text[:1].upper()}{text[1:]}.", Severity.WARNING))

    def _lose_networks(self, sentence: str) -> None:
        self.status_line.show_device(self.tr("No automatic reading"))
        text = self.tr("%s Pages can be opened and looked at, but not read automatically.") % sentence
        self.tell(Message(text, Severity.ERROR))

    def _name_of(self, page: PageId) -> str:
        return self.bridge.session.entry(page).name if page in self.bridge.session else ""

    def _state_of(self, page: PageId) -> str:
        if page not in self.bridge.session:
            return WAITING
        if self.bridge.is_unreadable(page):
            return "failed"
        return page_state(self.bridge.session, page, computing=self.bridge.is_computing(page))

    # --- messages --------------------------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Show a message in the status bar and keep it in the list; what went wrong opens the list."""
        self.messages.add(message)
        self.status_line.say(message.text)
        if message.severity is Severity.ERROR:
            self.docks["messages"].show()

    def _count_messages(self) -> None:
        self.status_line.show_unread(self.messages.rowCount())

    def _toggle_messages(self) -> None:
        self.docks["messages"].setVisible(self.docks["messages"].isHidden())

    def _do(self, action: str) -> None:
        self.actions_[action].trigger()

    def _do_on(self, action: str, page: PageId | None) -> None:
        if page is not None and page in self.bridge.session and page != self.bridge.current:
            self.bridge.show(page)
        self.refresh()
        self._do(action)

    # --- actions ---------------------------------------------------------------------------------------------

    def _open_sample(self) -> None:
        self.files.open_paths([sample_folder() / "page.png"])

    def _open_path(self, path: Path) -> None:
        self.files.open_paths([path])

    def _previous_page(self) -> None:
        self.desk.go(self.page_model.pages, -1)

    def _next_page(self) -> None:
        self.desk.go(self.page_model.pages, 1)

    def _enter(self) -> None:
        """Accept; where Enter means something of its own, it means that."""
        match QApplication.focusWidget():
            case QAbstractSpinBox() as box:
                box.interpretText()
            case QComboBox() as box:
                box.showPopup()
            case _:
                self.desk.accept()

    def _turn_left(self) -> None:
        self.page_view.turn_quarter(clockwise=False)

    def _turn_right(self) -> None:
        self.page_view.turn_quarter(clockwise=True)

    def _name_undo(self, text: str) -> None:
        self.actions_["undo"].setText(self.tr("Undo %s") % text if text else self.tr("Undo"))

    def _name_redo(self, text: str) -> None:
        self.actions_["redo"].setText(self.tr("Redo %s") % text if text else self.tr("Redo"))

    def _comment(self) -> None:
        dialog = CommentDialog(self.bridge.corrections.comment, self)
        if dialog.exec():
            self.bridge.comment(dialog.text)
        dialog.deleteLater()

    def _next_finding(self, by: int) -> None:
        self.desk.set_step(Step.REVIEW)
        self.findings.choose_next(by)

    def _answer_finding(self, verdict: str) -> None:
        if self.findings.chosen:
            self.findings.answer(self.findings.chosen, verdict)

    def _comment_finding(self) -> None:
        code = self.findings.chosen
        said = self.findings.answer_of(code)
        dialog = CommentDialog("" if said is None else said.comment, self, about=name_of(code))
        if dialog.exec():
            self.findings.comment(code, dialog.text)
        dialog.deleteLater()

    def _wants_findings(self) -> bool:
        return self.preferences.text("compute/findings") == "read"

    def _export(self) -> None:
        self.desk.export(self.choose_export)

    def _ask_export(self, scopes: Scopes, plan: PlanMaker, folder: Path) -> ExportChoice | None:
        dialog = ExportDialog(scopes, plan=plan, folder=folder, parent=self)
        chosen = dialog.exec()
        dialog.deleteLater()
        return dialog if chosen else None

    def _edit_preferences(self) -> None:
        dialog = PreferencesDialog(self.preferences, self, fit_screen=self.true_size.edit)
        dialog.exec()
        dialog.deleteLater()

    def _show_legend(self) -> None:
        dialog = LegendDialog(self)
        dialog.exec()
        dialog.deleteLater()

    def _show_shortcuts(self) -> None:
        dialog = ShortcutSheet(self)
        dialog.exec()
        dialog.deleteLater()

    def _about(self) -> None:
        text = self.tr("ECG Studio %s turns paper ECGs into digital 12-lead records.") % __version__
        QMessageBox.about(self, self.tr("About ECG Studio"), text)

    def _show_full_screen(self, full: bool) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen if full != self.isFullScreen() else
                            self.windowState())  # fmt: skip

    def _next_pane(self) -> None:
        panes = [w for w in (self.page_list, self.page_view, self.signal_view, self.inspector) if w.isVisible()]
        focus = QApplication.focusWidget()
        at = next(
            (i for i, pane in enumerate(panes) if focus is not None and (pane is focus or pane.isAncestorOf(focus))), -1
        )
        if panes:
            pane = panes[(at + 1) % len(panes)]
            pane.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # --- preferences -----------------------------------------------------------------------------------------

    def _runtime_loader(self) -> Callable[[], Runtime]:
        device, load = self.preferences.text("compute/device"), self._load_runtime
        return lambda: load(device)

    def _follow_preference(self, key: str) -> None:
        if key == "view/theme":
            self._follow_system()
        elif key == "user/name":
            self.bridge.session.user = self.preferences.user
        elif key == "compute/device":
            self.computer.restart(self._runtime_loader())
        elif key == "compute/findings":
            self.findings.follow()
        elif key == "files/recent":
            self.fill_recent([path for path in self.preferences.recent if os.path.exists(path)], self._open_path)

    def _follow_system(self) -> None:
        chosen = self.preferences.text("view/theme")
        system = QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark
        self.set_theme(theme_for(chosen == "dark" or (chosen == "system" and system)))

    # --- events ----------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Show the original while its key is held over the page; nothing is kept from the views."""
        if event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease) and isinstance(event, QKeyEvent):
            if event.key() == HOLD_ORIGINAL and not event.isAutoRepeat() and not event.modifiers():
                self.views.show_original(original=event.type() == QEvent.Type.KeyPress)
        elif event.type() == QEvent.Type.FocusOut:
            self.views.show_original(original=False)
        return super().eventFilter(watched, event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.files.open_paths(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about unsaved changes, hide at once, and let the threads stop."""
        words = self.tr("An export is being written. Pages that are finished are kept.")
        stay = self.desk.is_exporting and not self.ask.yes(self.tr("Quit"), words, button=self.tr("Quit all the same"))
        if stay or not self.files.may_leave():
            event.ignore()
            return
        self.remember(self.preferences)
        logging.getLogger("ecgstudio.nets").removeHandler(self._echoes)
        self.hide()
        self.runner.close()
        event.accept()


def _ignore(_: object) -> None:
    """Do nothing with what a job says."""


class _Call:
    """Calls a function with one value, whatever the action says."""

    def __init__(self, function: Callable[..., object], value: object) -> None:
        self._function, self._value = function, value

    def __call__(self, _checked: bool = False) -> None:
        self._function(self._value)


class _Layer:
    """Draws a layer or leaves it out, as the action says."""

    def __init__(self, views: Views, layer: Layer) -> None:
        self._views, self._layer = views, layer

    def __call__(self, visible: bool) -> None:
        self._views.set_layer(self._layer, visible=visible)
