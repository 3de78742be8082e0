"""A session: what every change reports, what it leaves behind, and what a saved project brings back."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgstudio import api
from ecgstudio.core.corrections import (
    NO_CORRECTIONS,
    Corrections,
    FiducialEdit,
    FiducialPlace,
    GridEdit,
    KeypointEdit,
    Review,
    TraceEdit,
    TraceErase,
    TraceShift,
)
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import OutputError
from ecgstudio.io.audit import applied
from ecgstudio.io.autosave import newer_autosave, unsaved_projects
from ecgstudio.io.codec import decode, encode
from ecgstudio.io.project import ProjectChangedError, ProjectError
from ecgstudio.session import Change, ChangeKind, PageEntry, Session
from ecgstudio.stages import stage1_grid
from ecgstudio.stages.contract import State, content_digest
from ecgstudio.stages.pipeline import EMPTY_ANALYSIS, ORDER, Analysis, Stage
from ecgstudio.stages.settings import GridSettings, PipelineSettings, TraceSettings
from tests import fake_stages
from tests.corrections_strategy import corrections

A, B, C = (PageId(letter * 64, 0) for letter in "abc")
MOVE_A_NODE = GridEdit(np.array([[[10.0, 10.0], [11.0, 10.0]]]))
ERASE = TraceErase((20.0, 50.0), (40.0, 50.0))
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    """A second passes at every look."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return START + timedelta(seconds=self.seconds)


@pytest.fixture
def session() -> Session:
    made = Session.new(user="Ada", clock=Clock())
    made.add_pages([PageEntry(page, Path(f"/scans/{name}.png"), name) for page, name in ((A, "a"), (B, "b"), (C, "c"))])
    return made


@pytest.fixture
def picture() -> Page:
    pixels = np.full((200, 560, 3), 255, np.uint8)
    pixels[100:103] = 0
    return Page(A, pixels, None, "a.png")


Analyse = Callable[..., Analysis]


@pytest.fixture
def analyse(monkeypatch: pytest.MonkeyPatch, picture: Page) -> Analyse:
    """Compute a page of the session on fake stages and hand the session what came of it."""
    fake_stages.install(monkeypatch)

    def run(session: Session, page: PageId = A, *, blank: bool = False) -> Analysis:
        pixels = np.zeros_like(picture.pixels) if blank else picture.pixels
        result = api.digitize_page(
            Page(page, pixels, None, "a.png"),
            stem="a",
            runtime=fake_stages.NoNetworks(),
            settings=session.settings,
            corrections=session.corrections(page),
            analysis=session.analysis(page),
        )
        session.set_analysis(page, result.analysis)
        return session.analysis(page)

    return run


# --- pages ---------------------------------------------------------------------------------------------------


def test_pages_keep_their_order_and_get_names_of_their_own(session: Session) -> None:
    entries = [PageEntry(PageId("d" * 64, 0), Path("/other/A.png"), "A"), PageEntry(A, Path("/again/a.png"), "a")]
    change = session.add_pages(entries)
    assert change.kind is ChangeKind.PAGES
    assert [entry.name for entry in session.entries] == ["a", "b", "c", "A-2"]
    assert session.entry(A).source == Path("/scans/a.png")


def test_a_removed_page_is_gone_and_late_answers_for_it_are_dropped(session: Session, analyse: Analyse) -> None:
    analysis = analyse(session)
    session.remove_page(A)
    assert session.set_analysis(A, analysis) == Change(ChangeKind.ANALYSIS, A)
    assert A not in session
    with pytest.raises(KeyError):
        session.analysis(A)
    assert session.worst_first() == (B, C)


def test_a_page_that_was_found_elsewhere_is_read_from_there(session: Session) -> None:
    session.relink(A, Path("/new/a.png"))
    assert session.entry(A).source == Path("/new/a.png")
    assert session.audit[-1].page == A


# --- corrections and their log -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "stages"),
    [
        (Corrections(keypoints=KeypointEdit(orientation=1)), ORDER),
        (Corrections(grid=MOVE_A_NODE), ORDER[1:]),
        (Corrections(traces=TraceEdit((ERASE,))), ORDER[2:]),
        (Corrections(layout="6x2"), ORDER[2:]),
        (Corrections(layout="6x2", grid=MOVE_A_NODE), ORDER[1:]),
        (Corrections(fiducials=FiducialEdit((FiducialPlace("T end", 0.4),))), ()),
        (Corrections(review=Review("accepted", "Ada", "now")), ()),
        (NO_CORRECTIONS, ()),
    ],
)
def test_a_correction_touches_its_stage_and_the_later_ones(
    session: Session, value: Corrections, stages: tuple[Stage, ...]
) -> None:
    change = session.set_corrections(A, value, text="changed")
    assert change == Change(ChangeKind.CORRECTIONS, A, frozenset(stages))
    assert session.corrections(A) is value or value is NO_CORRECTIONS


def test_the_log_says_who_when_where_what_and_with_which_networks(session: Session, analyse: Analyse) -> None:
    analyse(session)
    session.set_corrections(A, Corrections(comment="faint"), text="comment")
    record = session.audit[-1]
    assert (record.by, record.page, record.text, record.weights) == ("Ada", A, "comment", "no weights")
    assert record.at.startswith("2026-01-02T03:04:")
    assert (record.before, record.after) == ({"comment": ""}, {"comment": "faint"})


def test_setting_the_same_corrections_again_is_no_change(session: Session) -> None:
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE), text="move")
    revision, log = session.revision, session.audit
    session.set_corrections(A, Corrections(grid=GridEdit(np.array(MOVE_A_NODE.moves))), text="move")
    assert (session.revision, session.audit) == (revision, log)


@settings(max_examples=30)
@given(st.lists(corrections, max_size=4))
def test_the_log_alone_rebuilds_every_state_of_a_page(values: list[Corrections]) -> None:
    session = Session.new(user="Ada")
    session.add_pages([PageEntry(A, Path("a.png"), "a")])
    for value in values:
        session.set_corrections(A, value, text="any")
    document: object = encode(NO_CORRECTIONS)
    for record in session.audit[1:]:
        document = applied(document, record.after)
    assert content_digest(decode(document)) == content_digest(session.corrections(A))
    for record in reversed(session.audit[1:]):
        document = applied(document, record.before)
    assert document == encode(NO_CORRECTIONS)


def test_a_review_is_signed(session: Session) -> None:
    session.set_corrections(A, session.review(A, "accepted", comment="fine"), text="accepted")
    review = session.corrections(A).review
    assert review is not None
    assert (review.verdict, review.by, review.comment) == ("accepted", "Ada", "fine")
    assert review.at.startswith("2026-01-02T03:04:")


# --- states and urgency --------------------------------------------------------------------------------------


def test_a_stage_is_computing_until_its_answer_fits_corrections_and_settings(
    session: Session, analyse: Analyse
) -> None:
    assert set(session.stage_states(A).values()) == {State.COMPUTING}
    analyse(session)
    assert set(session.stage_states(A).values()) == {State.AUTOMATIC}
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE), text="move")
    assert list(session.stage_states(A).values()) == [State.AUTOMATIC, *[State.COMPUTING] * 4]
    analyse(session)
    assert list(session.stage_states(A).values())[:3] == [State.AUTOMATIC, State.CORRECTED, State.AUTOMATIC]
    session.set_settings(PipelineSettings(traces=TraceSettings(flip=True)))
    assert list(session.stage_states(A).values())[2:] == [State.COMPUTING] * 3


def test_traces_are_computing_until_they_are_read_in_the_layout_of_the_page(session: Session, analyse: Analyse) -> None:
    analyse(session)
    session.set_corrections(A, Corrections(layout="6x2"), text="layout")
    assert list(session.stage_states(A).values()) == [*[State.AUTOMATIC] * 2, *[State.COMPUTING] * 3]
    analyse(session)
    assert set(session.stage_states(A).values()) == {State.AUTOMATIC}


def test_settings_say_which_stages_they_touch(session: Session) -> None:
    change = session.set_settings(PipelineSettings(grid=GridSettings(mm_per_s=50.0)))
    assert change == Change(ChangeKind.SETTINGS, None, frozenset(ORDER[1:]))
    assert session.set_settings(session.settings).stages == frozenset()


def test_the_worst_page_comes_first(session: Session, analyse: Analyse) -> None:
    fourth, fifth, sixth = (PageId(letter * 64, 0) for letter in "def")
    session.add_pages([PageEntry(page, Path("x.png"), "x") for page in (fourth, fifth, sixth)])
    analyse(session, A)  # ok
    session.set_corrections(B, Corrections(review=Review("accepted", "Ada", "now")), text="accepted")
    analyse(session, B)
    session.set_corrections(C, Corrections(traces=TraceEdit((ERASE,))), text="erase")
    analyse(session, C)  # parts not readable: review
    analyse(session, fourth, blank=True)  # failed
    session.set_corrections(fifth, Corrections(grid=MOVE_A_NODE), text="move")
    analysis = analyse(session, fifth)
    assert analysis.grid is not None
    session.set_analysis(fifth, replace(analysis, grid=replace(analysis.grid, needs_review=True)))
    assert session.worst_first() == (fourth, fifth, C, sixth, A, B)


def test_a_rejected_page_is_done_with_even_if_it_failed(session: Session, analyse: Analyse) -> None:
    analyse(session, A, blank=True)
    analyse(session, B)
    session.set_corrections(A, session.review(A, "rejected"), text="rejected")
    assert session.worst_first()[-1] == A


def test_an_accepted_page_that_fails_now_is_not_done_with(session: Session, analyse: Analyse) -> None:
    session.set_corrections(A, session.review(A, "accepted"), text="accepted")
    analyse(session, A, blank=True)
    assert session.worst_first()[0] == A


# --- the scale -----------------------------------------------------------------------------------------------


@pytest.fixture
def conflict(monkeypatch: pytest.MonkeyPatch, analyse: Analyse) -> None:
    """Let the pulse be twice as high as the gain in use makes it."""
    scale = PaperScale(25.0, 10.0, "speed printed, gain printed", pulse_height_mm=20.0)

    def fit_grid(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), scale=scale)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", fit_grid)


@pytest.mark.usefixtures("conflict")
@pytest.mark.parametrize(
    ("answer", "open_conflicts"),
    [
        (NO_CORRECTIONS, 1),
        (Corrections(scale_answer=True), 0),
        (Corrections(grid=replace(MOVE_A_NODE, mm_per_mV=20.0)), 0),
        (Corrections(grid=replace(MOVE_A_NODE, mm_per_mV=10.0)), 0),
        (Corrections(grid=replace(MOVE_A_NODE, mm_per_s=50.0)), 1),  # says nothing about the gain
    ],
)
def test_a_scale_that_contradicts_the_pulse_is_open_until_a_human_answers(
    session: Session, analyse: Analyse, answer: Corrections, open_conflicts: int
) -> None:
    assert session.open_conflicts(A) == ()
    session.set_corrections(A, answer, text="answer")
    analyse(session)
    assert len(session.open_conflicts(A)) == open_conflicts
    assert all("the pulse is 20.0 mm high" in words for words in session.open_conflicts(A))


# --- saving and opening --------------------------------------------------------------------------------------


def test_a_saved_project_comes_back(session: Session, tmp_path: Path) -> None:
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE, comment="ä"), text="move")
    session.set_settings(PipelineSettings(grid=GridSettings(mm_per_s=50.0)))
    assert session.dirty
    session.save(tmp_path / "p.ecgproj")
    assert not session.dirty
    back = Session.load(tmp_path / "p.ecgproj", user="Bob")
    assert back.entries == session.entries
    assert content_digest(back.corrections(A)) == content_digest(session.corrections(A))
    assert (back.settings, back.audit, back.path, back.dirty) == (
        session.settings, session.audit, tmp_path / "p.ecgproj", False,
    )  # fmt: skip
    assert back.analysis(A) is EMPTY_ANALYSIS


def test_the_log_of_a_project_only_grows(session: Session, tmp_path: Path) -> None:
    session.save(tmp_path / "p.ecgproj")
    back = Session.load(tmp_path / "p.ecgproj", user="Bob")
    back.set_corrections(A, Corrections(comment="seen"), text="comment")
    back.save()
    log = Session.load(tmp_path / "p.ecgproj").audit
    assert log[:-1] == session.audit
    assert (log[-1].by, log[-1].text) == ("Bob", "comment")


def test_a_correction_over_another_answer_needs_review_after_reopening_too(
    session: Session, analyse: Analyse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE), text="move")
    analyse(session)
    session.save(tmp_path / "p.ecgproj")
    back = Session.load(tmp_path / "p.ecgproj")
    analyse(back)
    assert back.stage_states(A)[Stage.GRID] is State.CORRECTED

    def better(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), confidence=0.99)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", better)
    again = Session.load(tmp_path / "p.ecgproj")
    analyse(again)
    assert again.stage_states(A)[Stage.GRID] is State.NEEDS_REVIEW
    again.confirm(A, Stage.GRID, text="still right")
    assert again.stage_states(A)[Stage.GRID] is State.CORRECTED
    again.save()
    last = Session.load(tmp_path / "p.ecgproj")
    analyse(last)
    assert last.stage_states(A)[Stage.GRID] is State.CORRECTED


def test_which_answer_was_corrected_is_saved_at_once(
    session: Session, analyse: Analyse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse(session)
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE), text="move")
    session.save(tmp_path / "p.ecgproj")  # before the later stages have been computed again

    def better(*arguments: object, **others: object) -> GridFit:
        return replace(fake_stages.fit_grid(*arguments, **others), confidence=0.99)  # type: ignore[arg-type]

    monkeypatch.setattr(stage1_grid, "fit_grid", better)
    back = Session.load(tmp_path / "p.ecgproj")
    analyse(back)
    assert back.stage_states(A)[Stage.GRID] is State.NEEDS_REVIEW


def test_a_new_correction_over_the_new_answer_needs_no_review(
    session: Session, analyse: Analyse, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.set_corrections(A, Corrections(traces=TraceEdit((TraceShift((20.0, 50.0), 0.0, 0.1),))), text="shift")
    analyse(session)
    session.set_corrections(A, replace(session.corrections(A), grid=MOVE_A_NODE), text="move")
    monkeypatch.setattr(fake_stages, "SECONDS", 2.0)
    analyse(session)
    assert session.stage_states(A)[Stage.TRACES] is State.NEEDS_REVIEW
    session.set_corrections(A, Corrections(traces=TraceEdit((ERASE,)), grid=MOVE_A_NODE), text="erase")
    analyse(session)
    assert session.stage_states(A)[Stage.TRACES] is State.CORRECTED


def test_an_analysis_for_other_corrections_is_not_remembered(session: Session, analyse: Analyse) -> None:
    session.set_corrections(A, Corrections(grid=MOVE_A_NODE), text="move")
    late = analyse(session)
    session.set_corrections(A, NO_CORRECTIONS, text="undo: move")
    session.set_analysis(A, late)
    assert session.stage_states(A)[Stage.GRID] is State.COMPUTING
    analyse(session)
    assert session.stage_states(A)[Stage.GRID] is State.AUTOMATIC


def test_a_failed_save_loses_nothing(session: Session, tmp_path: Path) -> None:
    session.save(tmp_path / "p.ecgproj")
    session.set_corrections(A, Corrections(comment="new"), text="comment")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        session.save(tmp_path / "file" / "p.ecgproj")
    assert (session.dirty, session.path) == (True, tmp_path / "p.ecgproj")
    session.save()
    assert Session.load(tmp_path / "p.ecgproj").corrections(A).comment == "new"


def test_what_another_program_saved_meanwhile_is_not_overwritten(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "p.ecgproj"
    session.save(path)
    other = Session.load(path, user="Bob")
    other.set_corrections(A, Corrections(comment="Bob's"), text="comment")
    other.save()
    session.set_corrections(A, Corrections(comment="Ada's"), text="comment")
    session.set_corrections(B, Corrections(comment="Ada's"), text="comment")
    with pytest.raises(ProjectChangedError, match="saved by another program"):
        session.save()
    assert Session.load(path).corrections(A).comment == "Bob's"
    session.save(tmp_path / "q.ecgproj")
    session.save()
    assert Session.load(tmp_path / "q.ecgproj").corrections(A).comment == "Ada's"


def test_of_programs_that_save_at_the_same_moment_none_overwrites_another(session: Session, tmp_path: Path) -> None:
    path, done = tmp_path / "p.ecgproj", []
    session.save(path)

    def work(name: str) -> None:
        for number in range(12):
            mine = Session.load(path, user=name)
            mine.set_corrections(A, Corrections(comment=f"{name} {number}"), text=f"{name} {number}")
            with contextlib.suppress(ProjectChangedError):
                mine.save()
                done.append(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("Bob", "Cyd", "Dan")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) >= 12
    assert sorted(record.text for record in Session.load(path).audit if record.by != session.user) == sorted(done)
    assert not list(tmp_path.glob("*.lock"))


def test_a_damaged_project_names_its_last_good_copy_which_can_be_opened(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "p.ecgproj"
    session.save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ProjectError, match=r"is damaged .* The last good copy .*p\.ecgproj\.autosave") as refused:
        Session.load(path)
    assert refused.value.copy is not None
    back = Session.recover(refused.value.copy, user="Ada")
    assert (back.entries, back.path, back.dirty) == (session.entries, path, True)
    back.save()
    assert Session.load(path).entries == session.entries


def test_what_another_program_saved_after_a_recovery_is_not_overwritten(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "p.ecgproj"
    session.save(path)
    session.set_corrections(A, Corrections(comment="kept"), text="comment")
    copy = session.autosave()
    assert copy is not None
    back = Session.recover(copy, user="Ada")
    other = Session.load(path, user="Bob")
    other.set_corrections(A, Corrections(comment="Bob's"), text="comment")
    other.save()
    with pytest.raises(ProjectChangedError, match="saved by another program"):
        back.save()
    assert Session.load(path).corrections(A).comment == "Bob's"


def test_a_damaged_project_without_a_copy_says_so_plainly(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "p.ecgproj"
    path.write_text('{"format": "ecgstudio-project"')
    with pytest.raises(ProjectError, match=r"^p\.ecgproj is damaged and cannot be opened as it is\.$"):
        Session.load(path)


def test_unsaved_work_survives_and_is_forgotten_when_discarded_or_saved(session: Session, tmp_path: Path) -> None:
    copy = session.autosave()
    assert copy is not None
    assert session.autosave() is None
    assert unsaved_projects() == (copy,)
    back = Session.recover(copy)
    assert (back.entries, back.path) == (session.entries, None)
    session.save(tmp_path / "p.ecgproj")
    assert unsaved_projects() == ()
    session.set_corrections(A, Corrections(comment="new"), text="comment")
    assert session.autosave() == newer_autosave(tmp_path / "p.ecgproj")
    session.discard_autosave()
    assert newer_autosave(tmp_path / "p.ecgproj") is None


def test_a_project_that_was_never_saved_needs_a_path(session: Session) -> None:
    with pytest.raises(ValueError, match="needs a path"):
        session.save()


def test_a_large_project_opens_quickly(tmp_path: Path) -> None:
    session = Session.new(user="Ada")
    session.add_pages(PageEntry(PageId(f"{n:064x}", 0), tmp_path / f"{n}.png", f"p{n}") for n in range(500))
    for entry in session.entries:
        session.set_corrections(entry.id, Corrections(grid=MOVE_A_NODE), text="move")
    session.save(tmp_path / "p.ecgproj")
    start = datetime.now(UTC)
    assert len(Session.load(tmp_path / "p.ecgproj").worst_first()) == 500
    assert (datetime.now(UTC) - start).total_seconds() < 2
