"""What is known about the patients: values of the page in front, and tables that hold those of many pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from PySide6.QtCore import QObject, Signal

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.page import PageId
from ecgstudio.gui.bridge import Bridge
from ecgstudio.gui.findings import Findings
from ecgstudio.gui.jobs import Job, JobKey, JobRunner, Pool
from ecgstudio.gui.messages import Message, Severity
from ecgstudio.gui.project_files import Ask
from ecgstudio.gui.undo import EditPatients
from ecgstudio.io.clinical_table import TABLE_SUFFIXES, ClinicalTable, Matching, match_rows, read_clinical_table

TABLE: Final = JobKey("patient table")
TABLE_FILTER: Final = f"CSV, XLSX ({' '.join(f'*{suffix}' for suffix in TABLE_SUFFIXES)})"


class Questions(Protocol):
    """What only the user can say."""

    def patient(self, page: str, clinical: Clinical) -> Clinical | None:
        """Return the values of a page's patient; None if the user thought better of it."""
        ...

    def use_table(self, table: ClinicalTable, matching: Matching) -> bool:
        """Show what a table would change, and return whether it may."""
        ...


class Patients(QObject):
    """Takes patient values, by hand and from tables, as undoable edits."""

    messaged = Signal(object)  # Message

    def __init__(
        self, bridge: Bridge, *, findings: Findings, runner: JobRunner, ask: Ask, questions: Questions, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bridge, self._findings, self._runner, self._ask = bridge, findings, runner, ask
        self.questions = questions

    def edit(self) -> None:
        """Ask for the values of the patient of the page in front."""
        page = self._bridge.current
        if page is None:
            return
        clinical = self.questions.patient(self._bridge.session.entry(page).name, self._bridge.corrections.clinical)
        if clinical is not None and page == self._bridge.current:
            self._findings.set_clinical(clinical)

    def import_table(self) -> None:
        """Ask for a table, and show what it would change before anything is changed."""
        files = self._ask.open_files(self.tr("Import patient values"), TABLE_FILTER)
        if files:
            self.import_from(files[0])

    def import_from(self, path: Path) -> None:
        """Read a table behind the window."""
        self._runner.submit(
            Job(TABLE, lambda _: read_clinical_table(path), self._take_table, self._complain, pool=Pool.DISK)
        )

    def _take_table(self, table: ClinicalTable) -> None:
        session = self._bridge.session
        known = {entry.name: session.corrections(entry.id).clinical for entry in session.entries}
        files: dict[str, str] = {}
        for entry in session.entries:  # of a file with several pages only their own names can say which one is meant
            files[entry.source.name] = "" if entry.source.name in files else entry.name
        matching = match_rows(table, known, {file: page for file, page in files.items() if page})
        if not self.questions.use_table(table, matching):
            return
        pages = {entry.name: entry.id for entry in self._bridge.session.entries}
        before: dict[PageId, Clinical] = {}
        after: dict[PageId, Clinical] = {}
        for match in matching.matches:
            if match.page in pages and match.after != match.before:
                before[pages[match.page]], after[pages[match.page]] = match.before, match.after
        if not after:
            self._say(self.tr("%s holds nothing that is not known already.") % table.path.name)
            return
        text = self.tr("Patient values from %s") % table.path.name
        self._bridge.undo.push(None, EditPatients(self._bridge, before=before, after=after, text=text))
        self._say(self.tr("Patient values were taken from %s; pages changed: %d.") % (table.path.name, len(after)))

    def _complain(self, sentence: str) -> None:
        self.messaged.emit(Message(sentence, Severity.ERROR, None))

    def _say(self, text: str) -> None:
        self.messaged.emit(Message(text, Severity.INFO, self._bridge.current))
