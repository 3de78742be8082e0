"""The self-checks of a page in words and one picture: does it agree with itself, and is its scale beyond doubt."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import PaperScale
from ecgstudio.gui.ecg_paper import PaperFrame, paint_paper
from ecgstudio.gui.strip_painter import line_path, stroke
from ecgstudio.gui.theme import Theme, theme_for
from ecgstudio.stages.quality import MIN_EINTHOVEN_DB, MIN_TWIN_DB, QualityReport

EINTHOVEN, GOLDBERGER, TWIN, SCALE = "Einthoven", "Goldberger", "twin", "scale"
GOOD, BAD, UNKNOWN = "✓", "!", "–"
TWIN_MARGIN_PX, TWIN_TOP_PX = 8.0, 26.0
TWIN_LEAST_S: Final = 0.5


class ChecksView(QWidget):
    """Show each check with a sign, a word and its number; a scale conflict is answered here."""

    scaleConfirmed = Signal(bool)  # True: the scale in use is right in spite of the conflict; False: taken back

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Self-checks"))
        self._theme = theme_for(False)
        self._state: dict[str, str] = {}
        self._signs: dict[str, QLabel] = {}
        self._texts: dict[str, QLabel] = {}
        names = {
            EINTHOVEN: self.tr("II = I + III"), GOLDBERGER: self.tr("aVR + aVL + aVF = 0"),
            TWIN: self.tr("Two prints of one lead"), SCALE: self.tr("Pulse, printed scale and scale in use"),
        }  # fmt: skip
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setHorizontalSpacing(10)
        for number, (key, name) in enumerate(names.items()):
            sign, text = QLabel(UNKNOWN), QLabel()
            sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
            text.setWordWrap(True)
            text.setAccessibleName(name)
            title = QLabel(name)
            title.setWordWrap(True)
            grid.addWidget(sign, 2 * number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(title, 2 * number, 1)
            grid.addWidget(text, 2 * number + 1, 1)  # below its name: the dock is narrow
            self._signs[key], self._texts[key] = sign, text
        self._answer = QPushButton(self.tr("The scale in use is right"))
        self._answer.setAccessibleDescription(self.tr("Answers the conflict, so that the page can be exported"))
        self._answer.setCheckable(True)
        self._answer.clicked.connect(self.scaleConfirmed)
        self._twin = TwinPlot(self)
        box = QVBoxLayout(self)
        box.addLayout(grid)
        box.addWidget(self._answer, 0, Qt.AlignmentFlag.AlignLeft)
        box.addWidget(self._twin)
        box.addStretch(1)
        self.set_checks(None, None, None)

    def set_checks(
        self,
        report: QualityReport | None,
        scale: PaperScale | None,
        ecg: DigitizedEcg | None,
        *,
        answered: bool = False,
    ) -> None:
        """Show the checks of a page; `answered` says that a human has confirmed the scale."""
        conflict = report is not None and report.scale_agrees is False
        self._answer.setVisible(conflict)
        self._answer.setChecked(answered)
        self._twin.set_prints(_prints(ecg, report.twin_lead) if report is not None else None)
        if report is None:
            for key in self._signs:
                self._say(key, UNKNOWN, self.tr("not computed yet"))
            return
        self._say_db(EINTHOVEN, report.einthoven_db, MIN_EINTHOVEN_DB, self.tr("I, II and III are not shown together"))
        together = self.tr("aVR, aVL and aVF are not shown together")
        self._say_db(GOLDBERGER, report.goldberger_db, MIN_EINTHOVEN_DB, together)
        if report.twin_db is None or report.twin_uv is None:
            self._say(TWIN, UNKNOWN, self.tr("cannot be checked: no lead is printed twice"))
        else:
            good = report.twin_db >= MIN_TWIN_DB
            text = self.tr("lead {lead}: {word}, {uv:.0f} µV apart ({db:.1f} dB)") + (
                "" if good else self.tr("; compare them below")
            )
            word = self.tr("agree") if good else self.tr("differ")
            text = text.format(lead=report.twin_lead, word=word, uv=report.twin_uv, db=report.twin_db)
            self._say(TWIN, GOOD if good else BAD, text)
        self._say_scale(report, scale, answered=answered)

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self._twin.set_theme(theme)
        for key, sign in self._state.items():
            self._paint_sign(key, sign)

    def text(self, check: str) -> str:
        """Return sign and words of a check: "Einthoven", "Goldberger", "twin" or "scale"."""
        return f"{self._signs[check].text()} {self._texts[check].text()}"

    def _say(self, key: str, sign: str, text: str) -> None:
        self._state[key] = sign
        self._signs[key].setText(sign)
        self._texts[key].setText(text)
        self._paint_sign(key, sign)

    def _say_db(self, key: str, value_db: float | None, least_db: float, why_not: str) -> None:
        if value_db is None:
            self._say(key, UNKNOWN, self.tr("cannot be checked: {why}").format(why=why_not))
        elif value_db >= least_db:
            self._say(
                key, GOOD, self.tr("holds, {off:.1f} % off ({db:.1f} dB)").format(off=_percent(value_db), db=value_db)
            )
        else:
            text = self.tr("does not hold, {off:.0f} % off ({db:.1f} dB): check the names of these leads")
            self._say(key, BAD, text.format(off=_percent(value_db), db=value_db))

    def _say_scale(self, report: QualityReport, scale: PaperScale | None, *, answered: bool) -> None:
        if scale is None:
            self._say(SCALE, UNKNOWN, self.tr("not known"))
            return
        seen = [self.tr("used {v:g} mm/s, {g:g} mm/mV").format(v=scale.mm_per_s, g=scale.mm_per_mV)]
        if scale.pulse_height_mm is not None:
            seen.append(self.tr("pulse {h:.1f} mm").format(h=scale.pulse_height_mm))
        if scale.printed_mm_per_s is not None:
            seen.append(self.tr("printed {v:g} mm/s").format(v=scale.printed_mm_per_s))
        if scale.printed_mm_per_mV is not None:
            seen.append(self.tr("printed {g:g} mm/mV").format(g=scale.printed_mm_per_mV))
        words = {
            True: self.tr("agree"),
            False: self.tr("disagree, confirmed by hand")
            if answered
            else self.tr("disagree (set the scale in step 1, or confirm it here)"),
            None: self.tr("cannot be checked: neither pulse nor text was found"),
        }[report.scale_agrees]
        sign = {True: GOOD, False: GOOD if answered else BAD, None: UNKNOWN}[report.scale_agrees]
        self._say(SCALE, sign, f"{words}: {', '.join(seen)}")

    def _paint_sign(self, key: str, sign: str) -> None:
        colour = {GOOD: self._theme.good, BAD: self._theme.bad, UNKNOWN: self._theme.muted}[sign]
        self._signs[key].setStyleSheet(f"color: {colour}; font-size: 15px; font-weight: 700; min-width: 18px;")
        self._signs[key].setAccessibleName(
            {GOOD: self.tr("good"), BAD: self.tr("wrong"), UNKNOWN: self.tr("unknown")}[sign]
        )


class TwinPlot(QWidget):
    """The short print of a lead over its long one, at the times at which they were printed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Both prints of a lead over each other"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme = theme_for(False)
        self._prints: tuple[LeadTrace, LeadTrace] | None = None
        self.setVisible(False)

    def sizeHint(self) -> QSize:
        """Ask for a strip of paper."""
        return QSize(240, 130)

    def set_prints(self, prints: tuple[LeadTrace, LeadTrace] | None) -> None:
        """Show a short and a long print."""
        self._prints = prints
        self.setVisible(prints is not None)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw both, each about its own median: where zero lies is not what is compared."""
        if self._prints is None:
            return
        short, long = self._prints
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        px_per_mm = (self.width() - 2 * TWIN_MARGIN_PX) / (25.0 * short.duration_s)
        frame = PaperFrame(px_per_mm, left_mm=TWIN_MARGIN_PX / px_per_mm, top_mm=0.0)
        paint_paper(painter, QRectF(self.rect()), px_per_mm=px_per_mm, colours=self._theme.paper)
        known = short.mv[np.isfinite(short.mv)]
        above_mv = float(known.max() - np.median(known)) if len(known) else 0.0
        zero_px = min(self.height() - 12.0, TWIN_TOP_PX + above_mv * frame.px_per_mv)
        ink, other = QColor(self._theme.signal_lead(short.lead)), QColor(self._theme.bad)
        for trace, hue, width_px in ((long, other, 1.2), (short, ink, 1.5)):
            here = (trace.t_s >= short.t0_s) & (trace.t_s <= short.t0_s + short.duration_s)
            mv = trace.mv[here].astype(np.float64)
            if not np.isfinite(mv).any():
                continue
            x_px = frame.x_px(0.0) + (trace.t_s[here] - short.t0_s) * frame.px_per_s
            y_px = np.clip(zero_px - (mv - np.nanmedian(mv)) * frame.px_per_mv, 2, self.height() - 2)
            stroke(painter, line_path(x_px, y_px), hue, width_px=width_px)
        painter.setPen(QPen(ink))
        text = self.tr("{lead}: short print").format(lead=short.lead)
        painter.drawText(QRectF(8, 2, self.width(), 16), Qt.AlignmentFlag.AlignLeft, text)
        painter.setPen(QPen(other))
        left = 22 + painter.fontMetrics().horizontalAdvance(text)
        painter.drawText(QRectF(left, 2, self.width(), 16), Qt.AlignmentFlag.AlignLeft, self.tr("long print"))
        painter.end()


def _percent(value_db: float) -> float:
    """Return the size of what is left over in percent of that of the signal."""
    return float(100 * 10 ** (-value_db / 20))


def _prints(ecg: DigitizedEcg | None, lead: str | None) -> tuple[LeadTrace, LeadTrace] | None:
    """Return the shortest and the longest print of a lead."""
    if ecg is None or lead is None:
        return None
    prints = sorted(ecg.of(lead), key=lambda trace: trace.duration_s)
    return (prints[0], prints[-1]) if len(prints) > 1 and prints[0].duration_s >= TWIN_LEAST_S else None
