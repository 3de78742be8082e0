"""Draws strips on ECG paper: traces with their gaps and doubts, names, and the lines that should be zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from pyqtgraph.functions import arrayToQPath
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QPainterPath, QPainterPathStroker, QPen, QPolygonF

from ecgstudio.core.arrays import F64, Floats
from ecgstudio.core.ecg import LeadTrace
from ecgstudio.core.geometry import DASH_POINTS, dashes
from ecgstudio.core.rebuilt import Mark, RebuiltTrace, spans
from ecgstudio.gui.attribution import WIDTHS_MM, Attribution, driving_runs
from ecgstudio.gui.doubt import LEVELS, alpha_of, doubtful_runs
from ecgstudio.gui.ecg_paper import PaperFrame, paint_paper, paint_pulse
from ecgstudio.gui.strip_layout import CheckLine, Strip, StripLayout
from ecgstudio.gui.theme import Theme

TRACE_PX, SELECTED_PX = 1.5, 0.7
DARK_SHADE: Final = 0.6  # yellow shines on dark paper
UNSURE_MM: Final = 2.6
DRIVING_STEP_PX: Final = 1.5
DRIVING_OPACITY: Final = 0.4
HAIRLINE_STEP_PX: Final = 0.7  # closer than a pixel, so that no gap is seen between two
LEAST_GAP_S: Final = 0.01
HATCH_MM, HATCH_TEXT_MM = 2.0, 14.0
PULSE_LEFT_MM: Final = 3.0
DASH_PX: Final = {Mark.CHANGED: 4.0, Mark.FILLED: 6.0}
REBUILT_PX: Final = {Mark.CHANGED: 1.0, Mark.FILLED: 2.4}
POINTS_PER_PX: Final = 2.0  # the lowest and the highest sample of a pixel column


@dataclass(frozen=True, slots=True, eq=False)
class StripPicture:
    """A strip ready to be drawn, in pixels of the view that is not scrolled."""

    strip: Strip
    line: QPainterPath
    doubt: tuple[tuple[float, QPainterPath], ...]
    driving: QPainterPath | None
    gaps_px: tuple[tuple[float, float], ...]
    rebuilt: tuple[tuple[Mark, QPainterPath], ...]


def tr(text: str) -> str:
    """Translate a text of the signal view."""
    return QCoreApplication.translate("SignalView", text)


class PaperPicture:
    """All that a layout shows at one scale; made once, painted often."""

    def __init__(self, layout: StripLayout, frame: PaperFrame, attribution: Attribution | None = None) -> None:
        self.layout, self.frame = layout, frame
        self.strips = tuple(_picture(strip, layout, frame, attribution) for strip in layout.strips)
        self.checks = tuple((line, _check_path(line, layout, frame)) for line in layout.checks)

    def paint(
        self, painter: QPainter, visible: QRectF, *, theme: Theme, selected: str | None, shade: bool = True
    ) -> None:
        """Paint the part of the paper that is visible; `shade` what was read with doubt."""
        paint_paper(painter, visible, px_per_mm=self.frame.px_per_mm, colours=theme.paper)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, row in enumerate(self.layout.rows):
            top, bottom = self.frame.y_px(row.top_mm), self.frame.y_px(row.bottom_mm)
            if bottom < visible.top() or top > visible.bottom():
                continue
            if number < len(self.layout.rows) - len({line.row for line in self.layout.checks}):
                self._paint_row_start(painter, number, theme)
            for picture in self.strips:
                if picture.strip.row == number:
                    self._paint_strip(painter, picture, theme, bottom_px=bottom, selected=selected, shade=shade)
            for line, path in self.checks:
                if line.row == number:
                    self._paint_check(painter, line, path, theme)

    def _paint_row_start(self, painter: QPainter, number: int, theme: Theme) -> None:
        row = self.layout.rows[number]
        zero = self.frame.y_px(row.zero_mm)
        if row.label:
            painter.setFont(_name_font(painter, self.frame, bold=True))
            painter.setPen(QColor(theme.paper.text))
            at = QPointF(self.frame.x_px(0) + 4, zero - 2 * self.frame.px_per_mm)
            painter.drawText(at, row.label)
            painter.setFont(_name_font(painter, self.frame, bold=False))
            wide = painter.fontMetrics().horizontalAdvance(row.label) + 3 * self.frame.px_per_mm
            painter.drawText(at + QPointF(wide, 0), tr("not printed or not found"))
            return
        left = PULSE_LEFT_MM * self.frame.px_per_mm
        paint_pulse(painter, self.frame, left_px=left, zero_px=zero, ink=QColor(theme.paper.text))

    def _paint_strip(
        self,
        painter: QPainter,
        picture: StripPicture,
        theme: Theme,
        *,
        bottom_px: float,
        selected: str | None,
        shade: bool,
    ) -> None:
        frame, strip = self.frame, picture.strip
        lead = strip.trace.lead
        row = self.layout.rows[strip.row]
        if picture.driving is not None:
            _paint_driving(painter, picture.driving, theme)
        for level, band in picture.doubt if shade else ():
            pale = QColor(theme.uncertain)
            pale.setAlphaF(alpha_of(level) * (DARK_SHADE if theme.dark else 1.0))
            painter.fillPath(band, pale)
        for start, end in picture.gaps_px:
            _paint_gap(painter, start, end, frame=frame, bottom_px=bottom_px, theme=theme)
        hue = QColor(theme.signal_lead(lead))
        start = frame.x_px(strip.at_s)
        if strip.at_s > 0.05:  # the paper's own mark between two leads of a row
            painter.setPen(QPen(QColor(theme.paper.text), 1.0))
            zero, half = frame.y_px(row.zero_mm), 3 * frame.px_per_mm
            painter.drawLine(QPointF(start, zero - half), QPointF(start, zero - half / 3))
            painter.drawLine(QPointF(start, zero + half / 3), QPointF(start, zero + half))
        stroke(painter, picture.line, hue, width_px=TRACE_PX + (SELECTED_PX if lead == selected else 0.0))
        for mark, path in picture.rebuilt:
            stroke(painter, path, QColor(theme.signal_reconstructed), width_px=REBUILT_PX[mark])
        painter.setFont(_name_font(painter, frame, bold=True))
        name = QRectF(painter.fontMetrics().boundingRect(lead))
        name.moveBottomLeft(QPointF(start + 1.2 * frame.px_per_mm, frame.y_px(row.top_mm) + 5.2 * frame.px_per_mm))
        ground = QColor(theme.paper.background)
        ground.setAlpha(190)
        painter.fillRect(name.adjusted(-3, -1, 3, 1), ground)
        painter.setPen(hue)
        painter.drawText(name, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextDontClip, lead)
        if lead == selected:
            painter.fillRect(QRectF(name.left() - 3, name.bottom() + 1, name.width() + 6, 2), hue)

    def _paint_check(self, painter: QPainter, line: CheckLine, path: QPainterPath, theme: Theme) -> None:
        zero = self.frame.y_px(self.layout.rows[line.row].zero_mm)
        start, end = self.frame.x_px(line.at_s), self.frame.x_px(line.at_s + len(line.mv) / line.fs)
        red = QColor(theme.bad)
        painter.setPen(QPen(QColor(theme.paper.text), 0.8, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(start, zero), QPointF(end, zero))
        stroke(painter, path, red, width_px=1.3)
        painter.setFont(_name_font(painter, self.frame, bold=False))
        painter.setPen(red)
        text = tr("{sum} (should be zero)").format(sum=line.name)
        if painter.fontMetrics().horizontalAdvance(text) > end - start - 8:
            text = line.name
        painter.drawText(QPointF(start + 4, zero - 2.6 * self.frame.px_per_mm), text)


def _picture(
    strip: Strip, layout: StripLayout, frame: PaperFrame, attribution: Attribution | None = None
) -> StripPicture:
    trace = strip.trace
    zero_px = frame.y_px(layout.rows[strip.row].zero_mm)
    known = np.isfinite(trace.mv)
    x_px = frame.x_px(strip.at_s) + np.arange(len(trace.mv)) * frame.px_per_s / trace.fs
    y_px = zero_px - trace.mv.astype(np.float64) * frame.px_per_mv
    doubtful = doubtful_runs(trace.confidence, known, fs=trace.fs)
    gaps = [(start, end) for start, end in _runs(~known) if (end - start) / trace.fs >= LEAST_GAP_S]
    step, half_px = frame.px_per_s / trace.fs, UNSURE_MM / 2 * frame.px_per_mm
    by_level = {level: [(start, end) for of, start, end in doubtful if of == level] for level in LEVELS}
    by_level = {level: runs for level, runs in by_level.items() if runs}
    return StripPicture(
        strip,
        line_path(x_px, y_px),
        tuple((level, _band(x_px, y_px, runs, half_px=half_px)) for level, runs in by_level.items()),
        None if attribution is None else _driving_path(trace, attribution, x_px, y_px, px_per_mm=frame.px_per_mm),
        tuple((float(x_px[start] - step), float(x_px[end - 1] + step)) for start, end in gaps),
        () if strip.rebuilt is None else _rebuilt_paths(strip.rebuilt, x_px, zero_px=zero_px, frame=frame),
    )


def _rebuilt_paths(
    trace: RebuiltTrace, x_px: Floats, *, zero_px: float, frame: PaperFrame
) -> tuple[tuple[Mark, QPainterPath], ...]:
    """Return what was changed and what was filled, each as dashes, from the sample before to the one after."""
    xy = np.column_stack([x_px, zero_px - trace.mv.astype(np.float64) * frame.px_per_mv])
    paths = []
    for mark in (Mark.CHANGED, Mark.FILLED):
        found = [
            dashes(xy[max(first - 1, 0) : end + 1], length=DASH_PX[mark]) for first, end in spans(trace.mark == mark)
        ]
        points = np.concatenate([np.empty((0, DASH_POINTS, 2)), *found]).reshape(-1, 2)
        if len(points):
            joined = np.resize(np.arange(DASH_POINTS) < DASH_POINTS - 1, len(points)).astype(np.int32)
            paths.append((mark, arrayToQPath(points[:, 0].copy(), points[:, 1].copy(), connect=joined)))
    return tuple(paths)


def _driving_path(
    trace: LeadTrace, attribution: Attribution, x_px: Floats, y_px: Floats, *, px_per_mm: float
) -> QPainterPath:
    """Return the outline of the band of what drove a finding: along the trace, as wide as its level says."""
    whole = QPainterPath()
    whole.setFillRule(Qt.FillRule.WindingFill)
    pen = QPainterPathStroker()
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    apart = max(1, int(DRIVING_STEP_PX / max(float(x_px[1] - x_px[0]), 1e-9))) if len(x_px) > 1 else 1
    for level, start, end in driving_runs(trace, attribution):
        at = np.unique(np.append(np.arange(start, end, apart), end - 1))
        line = QPainterPath(QPointF(float(x_px[at[0]]), float(y_px[at[0]])))
        for x, y in zip(x_px[at].tolist(), y_px[at].tolist(), strict=True):
            line.lineTo(x, y)
        pen.setWidth(WIDTHS_MM[level - 1] * px_per_mm)
        whole.addPath(pen.createStroke(line))
    return whole.simplified()


def _paint_driving(painter: QPainter, band: QPainterPath, theme: Theme) -> None:
    """Fill the band palely and rim it, so that it shows without its colour."""
    hue = QColor(theme.driving)
    painter.setPen(QPen(hue, 1.0))
    fill = QColor(hue)
    fill.setAlphaF(DRIVING_OPACITY)
    painter.setBrush(fill)
    painter.drawPath(band)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _band(x_px: Floats, y_px: Floats, runs: list[tuple[int, int]], *, half_px: float) -> QPainterPath:
    """Return the band around stretches of a line."""
    band = QPainterPath()
    band.setFillRule(Qt.FillRule.WindingFill)
    step = max(1, int(half_px / 4 / max(float(x_px[1] - x_px[0]), 1e-9))) if len(x_px) > 1 else 1
    for start, end in runs:
        parts = [slice(at, min(at + step, end)) for at in range(start, end, step)]
        x = [float(x_px[part].mean()) for part in parts]
        above = [QPointF(at, float(y_px[part].min()) - half_px) for at, part in zip(x, parts, strict=True)]
        below = [QPointF(at, float(y_px[part].max()) + half_px) for at, part in zip(x, parts, strict=True)]
        band.addPolygon(QPolygonF([*above, *reversed(below)]))
    return band


def stroke(painter: QPainter, path: QPainterPath, hue: QColor, *, width_px: float) -> None:
    """Draw a long line as hairlines side by side: Qt's raster engine draws these 50 times as fast as a thick one."""
    ratio = painter.device().devicePixelRatio()
    hairlines = max(1, math.ceil((width_px * ratio - 1) / HAIRLINE_STEP_PX) + 1)
    spread = max(0.0, width_px - 1 / ratio)
    pen = QPen(hue, 0)
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen)
    painter.translate(-spread / 2, -spread / 2)
    for _ in range(hairlines):
        painter.drawPath(path)
        painter.translate(spread / max(1, hairlines - 1), spread / max(1, hairlines - 1))
    painter.restore()


def _check_path(line: CheckLine, layout: StripLayout, frame: PaperFrame) -> QPainterPath:
    row = layout.rows[line.row]
    reach = (row.bottom_mm - row.top_mm) / 2 * frame.px_per_mm
    x_px = frame.x_px(line.at_s) + np.arange(len(line.mv)) * frame.px_per_s / line.fs
    return line_path(x_px, frame.y_px(row.zero_mm) + np.clip(-line.mv * frame.px_per_mv, -reach, reach))


def line_path(x_px: Floats, y_px: Floats) -> QPainterPath:
    """Join the known samples; where several share a pixel column, its lowest and highest stand for all."""
    x_px, y_px = _thinned(np.asarray(x_px, np.float64), np.asarray(y_px, np.float64))
    return arrayToQPath(x_px, y_px, connect="finite")


def _thinned(x_px: F64, y_px: F64) -> tuple[F64, F64]:
    per_px = (len(x_px) - 1) / max(float(x_px[-1] - x_px[0]), 1e-9) if len(x_px) > 1 else 0.0
    size = int(per_px)
    if size < 2 * POINTS_PER_PX:
        return x_px, y_px
    count = len(x_px) // size * size
    x, y = x_px[:count].reshape(-1, size), y_px[:count].reshape(-1, size)
    known = np.isfinite(y)
    low = np.where(known, y, np.inf).argmin(axis=1)
    high = np.where(known, y, -np.inf).argmax(axis=1)
    order = np.sort(np.stack([low, high], axis=1), axis=1)
    rows = np.arange(len(x))[:, None]
    x_thin, y_thin = x[rows, order].ravel(), y[rows, order].ravel()
    hole = ~known.all(axis=1)  # a column with a hole keeps all its samples, so that the hole stays open
    if hole.any():
        keep = np.repeat(~hole, 2)
        x_all = np.concatenate([x_thin[keep], x[hole].ravel(), x_px[count:]])
        y_all = np.concatenate([y_thin[keep], y[hole].ravel(), y_px[count:]])
        along = np.argsort(x_all, kind="stable")
        return x_all[along], y_all[along]
    return np.concatenate([x_thin, x_px[count:]]), np.concatenate([y_thin, y_px[count:]])


def _runs(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _paint_gap(
    painter: QPainter, start_px: float, end_px: float, *, frame: PaperFrame, bottom_px: float, theme: Theme
) -> None:
    """Hatch the floor beneath samples that could not be read: no line stands for them."""
    high = HATCH_MM * frame.px_per_mm
    floor = QRectF(start_px, bottom_px - high - 1, end_px - start_px, high)
    grey = QColor(theme.missing)
    painter.setPen(QPen(grey, 1.0))
    painter.setBrush(QBrush(grey, Qt.BrushStyle.BDiagPattern))
    painter.drawRect(floor)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if floor.width() > HATCH_TEXT_MM * frame.px_per_mm:
        painter.setFont(_name_font(painter, frame, bold=False))
        painter.setPen(QColor(theme.paper.text))
        above = floor.translated(0, -painter.fontMetrics().height())
        painter.drawText(above, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextDontClip, tr("not readable"))


def _name_font(painter: QPainter, frame: PaperFrame, *, bold: bool) -> QFont:
    font = QFont(painter.font())
    font.setPixelSize(int(min(18, max(10, 3.2 * frame.px_per_mm))))
    font.setBold(bold)
    return font
