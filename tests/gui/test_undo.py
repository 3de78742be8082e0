"""Undoing: nudges of one thing are one step, other edits are steps of their own, every page has its own."""

from dataclasses import replace

from PySide6.QtCore import QObject

from ecgstudio.core.corrections import NO_CORRECTIONS, Corrections
from ecgstudio.core.page import PageId
from ecgstudio.gui.undo import ChangeSettings, EditCorrections, UndoStacks
from ecgstudio.stages.settings import PipelineSettings, TraceSettings

PAGE, OTHER = PageId("a", 0), PageId("b", 0)


class Model:
    """Holds corrections as the bridge does."""

    def __init__(self) -> None:
        self.now: dict[PageId, Corrections] = {}
        self.log: list[str] = []

    def set_corrections(self, page: PageId, corrections: Corrections, *, text: str) -> None:
        self.now[page] = corrections
        self.log.append(text)


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def said(words: str) -> Corrections:
    return replace(NO_CORRECTIONS, comment=words)


def test_nudges_that_follow_each_other_quickly_are_one_step(qapp: QObject) -> None:
    model, stacks, clock = Model(), UndoStacks(), Clock()
    before = NO_CORRECTIONS
    for step in range(5):
        after = said(str(step))
        command = EditCorrections(
            model, PAGE, before=before, after=after, text="Nudge V1", merge="Nudge V1", clock=clock
        )
        stacks.of(PAGE).push(command)
        before, clock.s = after, clock.s + 0.2
    assert stacks.of(PAGE).count() == 1
    stacks.of(PAGE).undo()
    assert model.now[PAGE] == NO_CORRECTIONS
    stacks.of(PAGE).redo()
    assert model.now[PAGE] == said("4")
    stacks.clear()


def test_a_nudge_after_a_pause_is_a_step_of_its_own(qapp: QObject) -> None:
    model, stacks, clock = Model(), UndoStacks(), Clock()
    for step in range(2):
        stacks.of(PAGE).push(
            EditCorrections(
                model, PAGE, before=said(str(step)), after=said(str(step + 1)), text="Nudge", merge="Nudge", clock=clock
            )
        )
        clock.s += 10
    assert stacks.of(PAGE).count() == 2
    stacks.clear()


def test_other_edits_never_merge(qapp: QObject) -> None:
    model, stacks = Model(), UndoStacks()
    for step in range(2):
        stacks.of(PAGE).push(EditCorrections(model, PAGE, before=said(""), after=said(str(step)), text="Draw"))
    assert stacks.of(PAGE).count() == 2
    stacks.clear()


def test_undo_acts_on_the_page_in_front(qapp: QObject) -> None:
    model, stacks = Model(), UndoStacks()
    for page in (PAGE, OTHER):
        stacks.push(page, EditCorrections(model, page, before=NO_CORRECTIONS, after=said("x"), text="Comment"))
    stacks.show(PAGE)
    stacks.undo()
    assert model.now == {PAGE: NO_CORRECTIONS, OTHER: said("x")}
    assert model.log == ["Comment", "Comment", "undo: Comment"]
    stacks.clear()


class Choices:
    """Holds the choices for all pages as the bridge does."""

    def __init__(self) -> None:
        self.layout = "auto"

    def set_settings(self, settings: PipelineSettings, *, text: str) -> None:
        self.layout = settings.traces.layout


def layout(choices: Choices, name: str) -> ChangeSettings:
    before, after = (PipelineSettings(traces=TraceSettings(layout=each)) for each in (choices.layout, name))
    return ChangeSettings(choices, before=before, after=after, text=f"Layout {name}")


def test_page_and_project_are_undone_in_the_order_in_which_they_were_changed(qapp: QObject) -> None:
    model, choices, stacks = Model(), Choices(), UndoStacks()
    stacks.show(PAGE)
    seen = []
    stacks.undoTextChanged.connect(lambda text: seen.append(text))
    stacks.push(PAGE, EditCorrections(model, PAGE, before=NO_CORRECTIONS, after=said("1"), text="First"))
    stacks.push(None, layout(choices, "3x4"))
    stacks.push(PAGE, EditCorrections(model, PAGE, before=said("1"), after=said("2"), text="Second"))
    states = [(model.now[PAGE].comment, choices.layout)]
    for step in (stacks.undo, stacks.undo, stacks.undo, stacks.undo, stacks.redo, stacks.redo, stacks.redo):
        step()
        states.append((model.now[PAGE].comment, choices.layout))
    assert states == [
        ("2", "3x4"), ("1", "3x4"), ("1", "auto"), ("", "auto"),
        ("", "auto"), ("1", "auto"), ("1", "3x4"), ("2", "3x4"),
    ]  # fmt: skip
    assert seen == ["First", "Layout 3x4", "Second", "Layout 3x4", "First", "", "First", "Layout 3x4", "Second"]
    stacks.clear()


def test_what_was_undone_before_something_new_was_done_is_not_done_again(qapp: QObject) -> None:
    model, choices, stacks = Model(), Choices(), UndoStacks()
    stacks.show(PAGE)
    stacks.push(None, layout(choices, "3x4"))
    stacks.undo()
    stacks.push(PAGE, EditCorrections(model, PAGE, before=NO_CORRECTIONS, after=said("1"), text="First"))
    stacks.redo()
    assert choices.layout == "auto"
    stacks.show(OTHER)
    stacks.redo()
    assert choices.layout == "3x4"
    stacks.clear()
