"""How the frame of the window looks: palette and style sheet, both made from a theme."""

from __future__ import annotations

from typing import Final

from PySide6.QtGui import QColor, QPalette

from ecgstudio.gui.theme import Theme

_ROLES: Final = {
    QPalette.ColorRole.Window: "window",
    QPalette.ColorRole.WindowText: "text",
    QPalette.ColorRole.Base: "panel",
    QPalette.ColorRole.AlternateBase: "window",
    QPalette.ColorRole.Text: "text",
    QPalette.ColorRole.Button: "panel",
    QPalette.ColorRole.ButtonText: "text",
    QPalette.ColorRole.BrightText: "bad",
    QPalette.ColorRole.ToolTipBase: "panel",
    QPalette.ColorRole.ToolTipText: "text",
    QPalette.ColorRole.PlaceholderText: "muted",
    QPalette.ColorRole.Highlight: "accent",
    QPalette.ColorRole.HighlightedText: "on_accent",
    QPalette.ColorRole.Link: "accent",
    QPalette.ColorRole.Mid: "border",
    QPalette.ColorRole.Midlight: "border",
    QPalette.ColorRole.Dark: "border",
    QPalette.ColorRole.Light: "panel",
    QPalette.ColorRole.Accent: "accent",
}

_SHEET: Final = """
QMainWindow::separator {{ background: {border}; width: 1px; height: 1px; }}
QMainWindow::separator:hover {{ background: {accent}; }}
QMenuBar {{ background: {window}; }}
QMenuBar::item {{ padding: 4px 10px; border-radius: 4px; }}
QMenuBar::item:selected {{ background: {accent}; color: {on_accent}; }}
QMenu {{ background: {panel}; border: 1px solid {border}; padding: 4px; }}
QMenu::item {{ padding: 5px 26px 5px 26px; border-radius: 4px; }}
QMenu::item:selected {{ background: {accent}; color: {on_accent}; }}
QMenu::item:disabled {{ color: {muted}; background: transparent; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 4px 8px; }}
QToolBar {{ background: {window}; border: 0; border-bottom: 1px solid {border}; spacing: 2px; padding: 3px 6px; }}
QToolBar::separator {{ background: {border}; width: 1px; margin: 4px 6px; }}
QToolButton {{ border: 1px solid transparent; border-radius: 5px; padding: 4px; }}
QToolButton:hover {{ background: {hover}; }}
QToolButton:pressed, QToolButton:checked {{ background: {pressed}; border-color: {accent}; }}
QToolButton:focus, QPushButton:focus {{ border-color: {accent}; }}
QToolButton:disabled {{ color: {muted}; }}
#paper-choice {{ padding: 4px 18px 4px 6px; border-color: {border}; background: {panel}; }}
#paper-choice::menu-indicator {{ subcontrol-position: right center; right: 5px; }}
#inspector QToolButton {{ border-color: {border}; padding: 4px 8px; background: {panel}; }}
#inspector QToolButton:hover {{ background: {hover}; }}
#inspector QToolButton:checked {{ background: {pressed}; border-color: {accent}; }}
#inspector QToolButton:focus {{ border-color: {accent}; }}
QPushButton {{ background: {panel}; border: 1px solid {border}; border-radius: 5px; padding: 5px 14px; }}
QPushButton:hover {{ background: {hover}; }}
QPushButton:disabled {{ color: {muted}; }}
QPushButton:default {{ border-color: {accent}; }}
QDockWidget {{ titlebar-close-icon: none; font-weight: 600; }}
QDockWidget::title {{ background: {window}; padding: 6px 10px; text-align: left; border-bottom: 1px solid {border}; }}
QStatusBar {{ background: {window}; border-top: 1px solid {border}; }}
QStatusBar::item {{ border: 0; }}
QListView, QTreeView, QListWidget, QPlainTextEdit, QLineEdit {{
    background: {panel}; border: 1px solid {border}; border-radius: 4px; }}
#page-list, #messages QListView {{ border: 0; border-radius: 0; }}
QHeaderView::section {{ background: {window}; border: 0; border-bottom: 1px solid {border}; padding: 3px 6px; }}
QProgressBar {{ background: {border}; border: 0; border-radius: 2px; text-align: center; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 2px; }}
QToolTip {{ background: {panel}; color: {text}; border: 1px solid {border}; padding: 4px; }}
#stage-bar, #workspace {{ background: {window}; }}
#stage-bar QToolButton {{
    background: {panel}; border: 1px solid {border}; border-radius: 7px; padding: 5px 8px; text-align: left; }}
#stage-bar QToolButton:hover {{ background: {hover}; }}
#stage-bar QToolButton:checked {{ border: 2px solid {accent}; padding: 4px 7px; font-weight: 600; }}
#verdicts QToolButton {{ border: 1px solid {border}; border-radius: 7px; padding: 5px 12px; background: {panel}; }}
#verdicts QToolButton:hover {{ background: {hover}; }}
#verdicts #accept {{ background: {accent}; color: {on_accent}; border-color: {accent}; font-weight: 600; }}
#verdicts #accept:disabled {{ background: {panel}; color: {muted}; border-color: {border}; }}
#banner {{ background: {panel}; border: 1px solid {border}; border-left: 4px solid {warning}; border-radius: 5px; }}
#banner[state="failed"] {{ border-left-color: {bad}; }}
#inspector-title {{ font-size: {large}pt; font-weight: 600; }}
#fact-label {{ color: {muted}; }}
#rule {{ color: {border}; }}
#welcome {{ background: {window}; }}
#welcome-title {{ font-size: {huge}pt; font-weight: 600; }}
#welcome-words {{ color: {muted}; font-size: {medium}pt; }}
#welcome-button {{
    background: {panel}; border: 1px solid {border}; border-radius: 8px; padding: 10px 14px; font-size: {medium}pt; }}
#welcome-button:hover {{ border-color: {accent}; background: {hover}; }}
#sheet-heading {{ font-weight: 600; font-size: {medium}pt; }}
#key {{ background: {panel}; border: 1px solid {border}; border-radius: 4px; padding: 1px 6px; }}
#blocked {{ color: {warning}; }}
QScrollArea {{ border: 0; }}
QScrollBar:vertical {{ background: transparent; width: 11px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 11px; margin: 0; }}
QScrollBar::handle {{ background: {border}; border-radius: 4px; min-height: 28px; min-width: 28px; margin: 2px; }}
QScrollBar::handle:hover {{ background: {muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
"""


def palette_of(theme: Theme) -> QPalette:
    """Return a palette in the theme's colours."""
    palette = QPalette()
    for role, name in _ROLES.items():
        palette.setColor(role, QColor(getattr(theme, name)))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    return palette


def sheet_of(theme: Theme, *, point_size: float) -> str:
    """Return the style sheet in the theme's colours, for a font of this size."""
    return _SHEET.format(
        window=theme.window, panel=theme.panel, border=theme.border, text=theme.text, muted=theme.muted,
        accent=theme.accent, on_accent=theme.on_accent, warning=theme.warning, bad=theme.bad,
        hover=_mixed(theme.panel, theme.accent, 0.12), pressed=_mixed(theme.panel, theme.accent, 0.22),
        medium=round(point_size * 1.15, 1), large=round(point_size * 1.35, 1), huge=round(point_size * 2.6, 1),
    )  # fmt: skip


def _mixed(under: str, over: str, share: float) -> str:
    a, b = QColor(under), QColor(over)
    parts = ((1 - share) * x + share * y for x, y in zip(a.getRgb()[:3], b.getRgb()[:3], strict=True))  # type: ignore[index]
    return QColor(*(round(part) for part in parts)).name()
