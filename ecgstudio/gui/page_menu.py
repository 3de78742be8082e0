"""The right-click menu of the page: only what applies to what is under the pointer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from ecgstudio.core.corrections import TraceRelabel, TraceSplit
from ecgstudio.core.leads import KEYPOINT_NAMES, LEADS
from ecgstudio.gui import caliper_gestures
from ecgstudio.gui.gestures import XY, Done, Scene, as_xy
from ecgstudio.gui.hand import delete_hit
from ecgstudio.gui.hit_test import Hit, Kind
from ecgstudio.gui.keypoint_gestures import add_keypoint, rename_keypoint
from ecgstudio.gui.keypoint_overlay import shown_name
from ecgstudio.gui.trace_corrections import with_change

Commit = Callable[[Done], None]

CONTEXT: Final = "PageMenu"


def page_menu(parent: QWidget, scene: Scene, hit: Hit | None, xy: XY, *, commit: Commit, stages: str) -> QMenu:
    """Return the menu for a place; every entry hands `commit` one finished correction.

    `stages` says what the tool at hand may touch: "keypoint", "trace" or both.
    """
    menu = QMenu(parent)
    menu.setAccessibleName(_tr("What can be done here"))
    if hit is not None and hit.kind is Kind.CALIPER:
        _caliper_entries(menu, scene, hit, commit)
        return menu
    if hit is not None and hit.kind is Kind.KEYPOINT and scene.keypoints is not None:
        _keypoint_entries(menu, scene, hit, commit)
    elif hit is not None and hit.kind is Kind.TRACE and scene.traces is not None:
        _trace_entries(menu, scene, hit, commit)
    if "keypoint" in stages and (hit is None or hit.kind is not Kind.KEYPOINT):
        adding = menu.addMenu(_tr("Add a lead name or marker here"))
        for name in KEYPOINT_NAMES:
            edit = add_keypoint(scene.keypoint_edit, name=name, xy=xy)
            _entry(adding, shown_name(name), Done(edit, "Add {0}", name), commit)
    return menu


def _keypoint_entries(menu: QMenu, scene: Scene, hit: Hit, commit: Commit) -> None:
    assert scene.keypoints is not None
    now = scene.keypoints.names[hit.index]
    naming = menu.addMenu(_tr("This is"))
    for name in KEYPOINT_NAMES:
        edit = rename_keypoint(scene.keypoints, scene.keypoint_edit, index=hit.index, name=name)
        _entry(naming, shown_name(name), Done(edit, "Name it {0}", name), commit, checked=name == now)
    gone = delete_hit(scene, hit)
    if gone is not None:
        _entry(menu, _tr("Delete {0}").format(shown_name(now)), gone, commit)


def _trace_entries(menu: QMenu, scene: Scene, hit: Hit, commit: Commit) -> None:
    assert scene.traces is not None
    trace = scene.traces.traces[hit.index]
    at = as_xy(trace.xy[hit.sample])
    naming = menu.addMenu(_tr("This trace is"))
    for lead in LEADS:
        edit = with_change(scene.trace_edit, TraceRelabel(at, lead))
        _entry(naming, lead, Done(edit, "Name a trace {0}", lead), commit, checked=lead == trace.lead)
    if 0 < hit.sample < len(trace.mv) - 1:
        split = with_change(scene.trace_edit, TraceSplit(at))
        _entry(menu, _tr("Split the trace here"), Done(split, "Split {0}", trace.lead), commit)
    gone = delete_hit(scene, hit)
    if gone is not None:
        _entry(menu, _tr("Delete this trace of {0}").format(trace.lead), gone, commit)


def _caliper_entries(menu: QMenu, scene: Scene, hit: Hit, commit: Commit) -> None:
    for text, by in ((_tr("March once more"), 1), (_tr("March once less"), -1)):
        done = caliper_gestures.marched(scene, hit, by)
        if done is not None:
            _entry(menu, text, done, commit)
    _entry(menu, _tr("Delete this caliper"), caliper_gestures.without(scene, hit), commit)


def _entry(menu: QMenu, text: str, done: Done, commit: Commit, *, checked: bool = False) -> None:
    action = QAction(text, menu)
    action.setCheckable(checked)
    action.setChecked(checked)
    action.setEnabled(not checked)
    action.triggered.connect(lambda _=False: commit(done))  # owned by the menu, which goes when it closes
    menu.addAction(action)


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)
