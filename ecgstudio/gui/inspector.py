"""The inspector: the current step in numbers, how sure they are, what may be chosen, and the way back to automatic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.ecg import DigitizedEcg
from ecgstudio.core.leads import LAYOUTS
from ecgstudio.core.rebuilt import Reconstruction
from ecgstudio.gui.facts import Fact, facts, fine_angle_deg, is_corrected, reconstruction_of_lead, value_of
from ecgstudio.gui.icons import pixmap
from ecgstudio.gui.states import STEP_NAMES, WAITING, Step, colour_of, word_of
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, Analysis
from ecgstudio.stages.settings import AUTO_LAYOUT

SPEEDS_MM_PER_S: Final = (12.5, 25.0, 50.0, 100.0)
GAINS_MM_PER_MV: Final = (2.5, 5.0, 10.0, 20.0)
SURE: Final = ((0.9, "sure"), (0.6, "fairly sure"), (0.0, "unsure"))


def word_for(confidence: float) -> str:
    """Return the word that stands beside a confidence."""
    return next(word for least, word in SURE if confidence >= least)


class Inspector(QWidget):
    """Shows one step of the page in front; every choice is one signal."""

    revertWanted = Signal(object)  # Step
    speedChosen = Signal(object)  # mm/s, None: automatic
    gainChosen = Signal(object)  # mm/mV, None: automatic
    layoutChosen = Signal(str)  # for all pages
    pageLayoutChosen = Signal(object)  # name, "auto", None: as all pages
    templateChosen = Signal(object)  # Layout: place the lead names like this
    turned = Signal(float)  # degrees clockwise, beyond what there is
    leadChosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inspector")
        self.setAccessibleName(self.tr("Inspector"))
        self._theme = theme_for(False)
        self._step = Step.NORMALIZE
        self._analysis, self._corrections = EMPTY_ANALYSIS, Corrections()
        self._state = WAITING
        self._title = QLabel(self)
        self._title.setObjectName("inspector-title")
        self._badge, self._word = QLabel(self), QLabel(self)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setHorizontalSpacing(12)
        self._form.setVerticalSpacing(5)
        self._options = QStackedWidget(self)
        self._pages = {step: QWidget(self) for step in Step}
        self._fill_options()
        self._revert = QToolButton(self)
        self._revert.setText(self.tr("Revert to automatic"))
        self._revert.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._revert.setAccessibleName(self.tr("Revert this stage to the automatic answer"))
        self._revert.clicked.connect(self._ask_revert)
        self._arrange()
        self._show()

    def add_to(self, step: Step, widget: QWidget) -> None:
        """Put a panel of another module below the options of a step."""
        layout = self._pages[step].layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(layout.count() - 1, widget)

    def add_actions(self, step: Step, actions: Sequence[QAction]) -> None:
        """Put buttons for actions among the options of a step."""
        row = QWidget(self)
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        for action in actions:
            button = QToolButton(row)
            button.setDefaultAction(action)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            line.addWidget(button)
        line.addStretch(1)
        self.add_to(step, row)

    def add_switch(self, step: Step, action: QAction) -> None:
        """Put a box that is ticked while an action is on at the top of the options of a step."""
        box = QCheckBox(action.text(), self)
        box.setObjectName(action.objectName())

        def follow() -> None:
            box.setChecked(action.isChecked())
            box.setEnabled(action.isEnabled())
            box.setToolTip(action.toolTip())
            box.setAccessibleDescription(action.toolTip())

        action.changed.connect(follow)
        box.toggled.connect(action.setChecked)
        follow()
        layout = self._pages[step].layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, box)

    def show_step(self, step: Step) -> None:
        """Turn to a step."""
        self._step = step
        self._show()

    def show_page(self, analysis: Analysis, corrections: Corrections, *, state: str) -> None:
        """Show what is known about the page in front; `state` is that of the current step."""
        self._analysis, self._corrections, self._state = analysis, corrections, state
        self._show()

    def set_layout_choice(self, name: str) -> None:
        """Show which layout the user vouches for ("auto": none)."""
        with QSignalBlocker(self._layout_box):
            self._layout_box.setCurrentIndex(max(self._layout_box.findData(name), 0))
        self._fill_page_layouts()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._show()

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self._title)
        head.addStretch(1)
        head.addWidget(self._badge)
        head.addWidget(self._word)
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(10)
        column.addLayout(head)
        column.addLayout(self._form)
        rule = QFrame(inner)
        rule.setFrameShape(QFrame.Shape.HLine)
        rule.setObjectName("rule")
        column.addWidget(rule)
        column.addWidget(self._options, 1)
        column.addWidget(self._revert, 0, Qt.AlignmentFlag.AlignLeft)
        scroll = QScrollArea(self)
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)

    def _fill_options(self) -> None:
        for page in self._pages.values():
            column = QVBoxLayout(page)
            column.setContentsMargins(0, 0, 0, 0)
            column.addStretch(1)
            self._options.addWidget(page)
        self._angle = QDoubleSpinBox(self)
        self._angle.setRange(-45, 45)
        self._angle.setSingleStep(0.1)
        self._angle.setSuffix("°")
        self._angle.setKeyboardTracking(False)
        self._angle.setAccessibleName(self.tr("Fine rotation in degrees"))
        self._angle.valueChanged.connect(self._ask_turn)
        self._speed = self._choices(SPEEDS_MM_PER_S, "mm/s", self.tr("Paper speed"))
        self._speed.activated.connect(self._ask_speed)
        self._gain = self._choices(GAINS_MM_PER_MV, "mm/mV", self.tr("Gain"))
        self._gain.activated.connect(self._ask_gain)
        self._layout_box = QComboBox(self)
        self._layout_box.setAccessibleName(self.tr("Layout of all pages"))
        self._layout_box.addItem(self.tr("automatic"), AUTO_LAYOUT)
        for name in LAYOUTS:
            self._layout_box.addItem(name, name)
        self._layout_box.activated.connect(self._ask_layout)
        self._page_layout = QComboBox(self)
        self._page_layout.setAccessibleName(self.tr("Layout of this page"))
        self._page_layout.setToolTip(self.tr("Which leads are printed where; choose it if it was not recognised"))
        self._page_layout.activated.connect(self._ask_page_layout)
        self._fill_page_layouts()
        self._template = QComboBox(self)
        self._template.setAccessibleName(self.tr("Place lead names like"))
        self._template.addItem(self.tr("choose a template"))
        for layout in LAYOUTS.values():
            self._template.addItem(layout.name, layout.name)
        self._template.activated.connect(self._ask_template)
        self._leads = QTreeWidget(self)
        self._leads.setAccessibleName(self.tr("Leads"))
        self._leads.setHeaderLabels([self.tr("Lead"), self.tr("Starts"), self.tr("Read"), self.tr("Confidence")])
        self._leads.setRootIsDecorated(False)
        self._leads.setUniformRowHeights(True)
        self._leads.setMinimumHeight(200)
        self._leads.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._leads.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._leads.itemSelectionChanged.connect(self._ask_lead)
        self._add_form(
            Step.NORMALIZE,
            (self.tr("Set rotation"), self._angle),
            (self.tr("Layout"), self._page_layout),
            (self.tr("Names as in"), self._template),
        )
        self._add_form(Step.GRID, (self.tr("Paper speed"), self._speed), (self.tr("Gain"), self._gain))
        self._add_form(Step.DIGITIZE, (self.tr("Layout, all pages"), self._layout_box))
        self.add_to(Step.DIGITIZE, self._leads)

    def _fill_page_layouts(self) -> None:
        """Offer the templates; "automatic" twice only where something else is chosen for all pages."""
        everywhere = self._layout_box.currentData()
        self._page_layout.clear()
        if everywhere != AUTO_LAYOUT:
            self._page_layout.addItem(self.tr("as all pages (%s)") % everywhere, None)
        self._page_layout.addItem(self.tr("automatic"), AUTO_LAYOUT if everywhere != AUTO_LAYOUT else None)
        for name in LAYOUTS:
            self._page_layout.addItem(name, name)
        self._show_page_layout()

    def _show_page_layout(self) -> None:
        chosen = self._corrections.layout
        at = 0 if chosen is None else self._page_layout.findData(chosen)
        self._page_layout.setCurrentIndex(max(at, 0))

    def _choices(self, values: tuple[float, ...], unit: str, name: str) -> QComboBox:
        box = QComboBox(self)
        box.setAccessibleName(name)
        box.addItem(self.tr("automatic"), None)
        for value in values:
            box.addItem(f"{value:g} {unit}", value)
        return box

    def _add_form(self, step: Step, *rows: tuple[str, QWidget]) -> None:
        holder = QWidget(self)
        form = QFormLayout(holder)
        form.setContentsMargins(0, 0, 0, 0)
        for label, field in rows:
            form.addRow(label, field)
        self.add_to(step, holder)

    def _show(self) -> None:
        ratio = self.devicePixelRatioF()
        self._title.setText(self.tr(STEP_NAMES[self._step]))
        self._badge.setPixmap(pixmap(self._state, colour_of(self._state, self._theme), size_px=16, ratio=ratio))
        self._word.setText(word_of(self._state))
        while self._form.rowCount():
            self._form.removeRow(0)
        for fact in facts(self._step, self._analysis, self._corrections):
            self._form.addRow(self._label(fact), self._field(fact))
        for step, page in self._pages.items():  # only the page in front decides how tall the options are
            here = QSizePolicy.Policy.Preferred if step is self._step else QSizePolicy.Policy.Ignored
            page.setSizePolicy(QSizePolicy.Policy.Ignored, here)
        self._options.setCurrentWidget(self._pages[self._step])
        self._revert.setVisible(is_corrected(self._step, self._corrections))
        self._show_choices()
        if self._step is Step.DIGITIZE:
            self._show_leads(value_of(self._analysis.traces), value_of(self._analysis.reconstruct))

    def _label(self, fact: Fact) -> QLabel:
        label = QLabel(fact.label)
        label.setObjectName("fact-label")
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        return label

    def _field(self, fact: Fact) -> QWidget:
        text = QLabel(fact.value)
        text.setWordWrap(True)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if fact.confidence is None:
            return text
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        bar = QProgressBar(holder)
        bar.setRange(0, 100)
        bar.setValue(round(100 * fact.confidence))
        bar.setTextVisible(False)
        bar.setFixedHeight(5)
        bar.setAccessibleName(self.tr("Confidence: %s") % fact.label)
        words = QLabel(f"{100 * fact.confidence:.0f} %  {self.tr(word_for(fact.confidence))}", holder)
        words.setObjectName("fact-label")
        column.addWidget(text)
        column.addWidget(bar)
        column.addWidget(words)
        return holder

    def _show_choices(self) -> None:
        edit, keypoints = self._corrections.grid, value_of(self._analysis.keypoints)
        for box, chosen in (
            (self._speed, None if edit is None else edit.mm_per_s),
            (self._gain, None if edit is None else edit.mm_per_mV),
        ):
            box.setCurrentIndex(max(box.findData(chosen), 0) if chosen is not None else 0)
            box.setEnabled(value_of(self._analysis.grid) is not None)
        self._show_page_layout()
        self._page_layout.setEnabled(self._analysis.keypoints is not None)
        with QSignalBlocker(self._angle):
            self._angle.setValue(0.0 if keypoints is None else fine_angle_deg(keypoints))
        self._angle.setEnabled(keypoints is not None)

    def _show_leads(self, ecg: DigitizedEcg | None, rebuilt: Reconstruction | None) -> None:
        with QSignalBlocker(self._leads):
            self._leads.clear()
            for number, trace in enumerate(ecg.traces if ecg is not None else ()):
                read = np.isfinite(trace.mv)
                sure = float(trace.confidence[read].mean()) if read.any() else 0.0
                share = float(read.mean()) if len(read) else 0.0
                cells = [trace.lead, f"{trace.t0_s:.2f} s", f"{100 * share:.0f} %", f"{100 * sure:.0f} %"]
                item = QTreeWidgetItem(cells)
                if rebuilt is not None:
                    for column in range(len(cells)):
                        item.setToolTip(column, reconstruction_of_lead(rebuilt.traces[number]))
                self._leads.addTopLevelItem(item)

    def _ask_revert(self) -> None:
        self.revertWanted.emit(self._step)

    def _ask_turn(self, degrees: float) -> None:
        keypoints = value_of(self._analysis.keypoints)
        if keypoints is not None:
            self.turned.emit(degrees - fine_angle_deg(keypoints))

    def _ask_speed(self) -> None:
        self.speedChosen.emit(self._speed.currentData())

    def _ask_gain(self) -> None:
        self.gainChosen.emit(self._gain.currentData())

    def _ask_layout(self) -> None:
        self.layoutChosen.emit(self._layout_box.currentData())
        self._fill_page_layouts()

    def _ask_page_layout(self) -> None:
        self.pageLayoutChosen.emit(self._page_layout.currentData())

    def _ask_template(self) -> None:
        name = self._template.currentData()
        self._template.setCurrentIndex(0)
        if name is not None:
            self.templateChosen.emit(LAYOUTS[name])

    def _ask_lead(self) -> None:
        items = self._leads.selectedItems()
        if items:
            self.leadChosen.emit(items[0].text(0))
