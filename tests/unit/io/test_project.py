"""The project file: what comes back, what is refused in which words, and what is kept when something goes wrong."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgstudio.core.corrections import Corrections, TraceEdit, TraceRedraw
from ecgstudio.core.page import PageId
from ecgstudio.errors import OutputError
from ecgstudio.io import project
from ecgstudio.io.autosave import (
    discard_autosaves,
    is_open_elsewhere,
    last_good_copy,
    newer_autosave,
    unsaved_projects,
    write_autosave,
)
from ecgstudio.io.project import (
    AuditRecord,
    EditedOver,
    NewerProjectError,
    PageEntry,
    PageState,
    ProjectError,
    ProjectState,
    read_autosave,
    read_project,
    write_project,
)
from ecgstudio.stages.contract import content_digest
from ecgstudio.stages.settings import GridSettings, PipelineSettings, TraceSettings
from tests.corrections_strategy import corrections, texts

ROOT = Path(__file__).parents[3]


def page(number: int, source: Path, value: Corrections = Corrections()) -> PageState:  # noqa: B008 - frozen
    entry = PageEntry(PageId(f"{number:064x}", 0), source, f"page-{number}", (560, 200), 1234)
    return PageState(entry, value, {"grid": EditedOver("e", "a")})


def state(*pages: PageState, revision: int = 3, text: str = "moved a node") -> ProjectState:
    record = AuditRecord("2026-01-02T03:04:05.678+00:00", "Ada", text, pages[0].entry.id if pages else None)
    choices = PipelineSettings(grid=GridSettings(mm_per_s=50.0), traces=TraceSettings(layout="6x2", flip=True))
    return ProjectState("id", revision, pages, choices, (record,), "weights")


def same(one: ProjectState, other: ProjectState) -> bool:
    plain = [(s.id, s.revision, s.settings, s.audit, s.weights, [p.entry for p in s.pages]) for s in (one, other)]
    said = [[content_digest((p.corrections, dict(p.edited_over))) for p in s.pages] for s in (one, other)]
    return plain[0] == plain[1] and said[0] == said[1]


# --- what comes back -----------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(corrections, max_size=3), texts)
def test_a_project_comes_back_from_its_file_as_it_was(tmp_path: Path, values: list[Corrections], text: str) -> None:
    pages = [page(number, tmp_path / f"{number}.png", value) for number, value in enumerate(values)]
    before = state(*pages, text=text)
    write_project(tmp_path / "a.ecgproj", before)
    assert same(read_project(tmp_path / "a.ecgproj"), before)


def test_the_file_is_json_with_a_line_per_page_and_per_change(tmp_path: Path) -> None:
    write_project(tmp_path / "a.ecgproj", state(page(1, tmp_path / "ä.png"), page(2, tmp_path / "b.png")))
    text = (tmp_path / "a.ecgproj").read_text("utf-8")
    document = json.loads(text)
    assert (document["format"], document["version"]) == (project.FORMAT, project.VERSION)
    assert len([line for line in text.splitlines() if "page-" in line]) == 2
    assert "ä.png" in text


def test_pages_are_found_again_when_they_move_together_with_the_project(tmp_path: Path) -> None:
    (tmp_path / "old" / "scans").mkdir(parents=True)
    scan = tmp_path / "old" / "scans" / "a.png"
    scan.write_bytes(b"x")
    write_project(tmp_path / "old" / "a.ecgproj", state(page(1, scan)))
    (tmp_path / "old").rename(tmp_path / "new")
    [moved] = read_project(tmp_path / "new" / "a.ecgproj").pages
    assert moved.entry.source == tmp_path / "new" / "scans" / "a.png"


def test_a_project_that_moves_alone_still_knows_where_its_pages_were(tmp_path: Path) -> None:
    scan = tmp_path / "a.png"
    scan.write_bytes(b"x")
    write_project(tmp_path / "a.ecgproj", state(page(1, scan), page(2, tmp_path / "gone.png")))
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.ecgproj").rename(tmp_path / "deep" / "a.ecgproj")
    sources = [page.entry.source for page in read_project(tmp_path / "deep" / "a.ecgproj").pages]
    assert sources == [scan, tmp_path / "gone.png"]


def test_another_scan_of_the_same_name_beside_a_copied_project_is_not_taken_for_its_own(tmp_path: Path) -> None:
    for year, content in (("2023", b"x" * 1234), ("2024", b"another")):
        (tmp_path / year).mkdir()
        (tmp_path / year / "1.png").write_bytes(content)
    write_project(tmp_path / "2023" / "a.ecgproj", state(page(1, tmp_path / "2023" / "1.png")))
    shutil.copy(tmp_path / "2023" / "a.ecgproj", tmp_path / "2024" / "a.ecgproj")
    [copied] = read_project(tmp_path / "2024" / "a.ecgproj").pages
    assert copied.entry.source == tmp_path / "2023" / "1.png"


def test_an_older_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "a.ecgproj", state(page(1, tmp_path / "a.png")))
    text = (tmp_path / "a.ecgproj").read_text("utf-8")

    def from_one(document: project.Document) -> project.Document:
        assert document["version"] == 1
        return {**document, "id": document["id"] + "!"}

    monkeypatch.setattr(project, "VERSION", 3)
    monkeypatch.setitem(project.MIGRATIONS, 1, from_one)
    monkeypatch.setitem(project.MIGRATIONS, 2, lambda document: {**document, "id": document["id"] + "?"})
    assert read_project(tmp_path / "a.ecgproj").id == "id!?"
    assert (tmp_path / "a.ecgproj").read_text("utf-8") == text


# --- what is refused -----------------------------------------------------------------------------------------


def damage(path: Path, **changes: object) -> Path:
    write_project(path, state(page(1, path.with_name("a.png"))))
    document = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\0" * 4096, "is empty"),
        (b"hello", "is not an ECG Studio project"),
        (b"\x89PNG\r\n\x1a\n", "is not an ECG Studio project"),
        (b'{"format": "another"}', "is not an ECG Studio project"),
        (b"[1, 2]", "is not an ECG Studio project"),
        (b'{"format": "ecgstudio-project", "version": 1', "is damaged"),
        (b'{"format": "ecgstudio-project", "version": 1}', "is damaged"),
        (b'{"format": "ecgstudio-project", "version": "one"}', "is damaged"),
        (b'{"format": "ecgstudio-project", "version": true}', "is damaged"),
        (b"[" * 100_000, "is not an ECG Studio project"),
    ],
)
def test_a_file_that_is_no_project_is_refused_in_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.ecgproj").write_bytes(content)
    with pytest.raises(ProjectError, match=words) as refused:
        read_project(tmp_path / "a.ecgproj")
    assert "a.ecgproj" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"pages": 5},
        {"pages": [5]},
        {"pages": [{}]},
        {"audit": None},
        {"revision": "many"},
        {"revision": 1e999},
        {"settings": {"type": "Corrections"}},
        {"settings": {"type": "GridSettings"}},
        {"id": 5},
    ],
)
def test_a_project_with_nonsense_in_it_is_damaged(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ProjectError, match="is damaged"):
        read_project(damage(tmp_path / "a.ecgproj", **changes))


def test_a_newer_version_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    path = damage(tmp_path / "a.ecgproj", version=project.VERSION + 1, pages="something new")
    with pytest.raises(NewerProjectError, match="newer version of ECG Studio; install"):
        read_project(path)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is a folder"):
        read_project(tmp_path)
    with pytest.raises(ProjectError, match=r"There is no file .*b\.ecgproj"):
        read_project(tmp_path / "b.ecgproj")
    with pytest.raises(ProjectError, match="not valid"):
        read_project(Path("a\0b"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_file_cut_off_or_changed_anywhere_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state(page(1, tmp_path / "a.png"), page(2, tmp_path / "b.png")))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(ProjectError):
        read_project(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_one_sentence_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state())
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_project(path, state(revision=9))
        assert read_project(path).revision == 3
    finally:
        tmp_path.chmod(0o700)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_project(path, state(revision=9))
    assert read_project(path).revision == 3
    assert [file.name for file in tmp_path.iterdir()] == ["a.ecgproj"]


# --- copies that survive -------------------------------------------------------------------------------------


def test_an_autosave_lies_beside_its_project_and_is_offered_while_it_holds_more(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state(page(1, tmp_path / "a.png")))
    copy = write_autosave(state(page(1, tmp_path / "a.png"), revision=4), path)
    assert copy.parent == tmp_path
    assert newer_autosave(path) == copy
    assert read_autosave(copy).project == path
    write_project(path, state(revision=4))
    assert newer_autosave(path) is None
    assert last_good_copy(path) == copy


def test_an_autosave_of_another_project_of_that_name_is_not_offered(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_autosave(ProjectState("another", 99, (), PipelineSettings(), ()), path)
    write_project(path, state())
    assert newer_autosave(path) is None


def test_where_the_folder_cannot_be_written_to_the_copy_goes_to_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state())
    write = project.write_bytes

    def refuse(target: Path, content: bytes, **how: object) -> None:
        if Path(target).parent == tmp_path:
            raise OutputError("the disk is read-only")
        write(target, content, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(project, "write_bytes", refuse)
    copy = write_autosave(state(revision=7), path)
    assert copy.parent != tmp_path
    assert newer_autosave(path) == copy
    assert unsaved_projects() == ()


def test_a_project_never_saved_is_kept_in_the_users_own_folder_until_discarded(tmp_path: Path) -> None:
    copy = write_autosave(state(page(1, tmp_path / "a.png")), None)
    assert unsaved_projects() == (copy,)
    [kept] = read_autosave(copy).state.pages
    assert kept.entry.source == tmp_path / "a.png"
    discard_autosaves(None, project_id="id")
    assert unsaved_projects() == ()


def test_a_damaged_copy_is_not_offered(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state())
    write_autosave(state(revision=9), path).write_bytes(b"{")
    assert newer_autosave(path) is None
    assert last_good_copy(path) is None


EDITING = """
import sys
from pathlib import Path
from ecgstudio.core.corrections import Corrections, TraceEdit, TraceRedraw
from ecgstudio.session import Session
session = Session.load(Path(sys.argv[1]))
session.set_corrections(session.entries[0].id, Corrections(comment="the other's"), text="comment")
print(session.autosave(), flush=True)
input()
"""


@contextlib.contextmanager
def edited_by_another(path: Path) -> Iterator[Path]:
    """Let another program open the project and change it; give the place of its safety copy."""
    command = [sys.executable, "-c", EDITING, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip())
        process.kill()


def test_a_project_that_is_open_twice_has_a_safety_copy_of_each(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state(page(1, tmp_path / "a.png")))
    with edited_by_another(path) as others:
        assert is_open_elsewhere(path)
        assert newer_autosave(path) is None  # nobody crashed
        mine = write_autosave(state(page(1, tmp_path / "a.png"), revision=7), path)
        assert mine != others
        discard_autosaves(path, project_id="id")
        assert not mine.exists()
        assert read_autosave(others).state.pages[0].corrections.comment == "the other's"
    assert not is_open_elsewhere(path)
    assert newer_autosave(path) == others


def test_a_project_never_saved_that_another_program_works_on_is_not_offered(tmp_path: Path) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, state(page(1, tmp_path / "a.png")))
    with edited_by_another(path) as others:
        content = json.loads(others.read_text())
        del content["autosave_of"]
        lines = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in content.items())
        write_autosave(state(), None).write_text("{\n" + lines + "\n}\n")
        assert unsaved_projects() == ()
    assert len(unsaved_projects()) == 1


KILLED = """
import sys, time
from pathlib import Path
from ecgstudio.core.corrections import Corrections, TraceEdit, TraceRedraw
from ecgstudio.core.page import PageId
from ecgstudio.session import PageEntry, Session
session = Session.load(Path(sys.argv[1])) if len(sys.argv) > 1 else Session.new()
page = PageId("a" * 64, 0)
session.add_pages([PageEntry(page, Path("a.png"), "a")])
for number in range(1_000_000):
    session.set_corrections(page, Corrections(comment=str(number)), text="comment")
    session.autosave()
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("saved", [True, False])
def test_killed_in_the_middle_of_an_edit_nothing_that_was_autosaved_is_lost(tmp_path: Path, *, saved: bool) -> None:
    path = tmp_path / "a.ecgproj"
    write_project(path, ProjectState("id", 0, (), PipelineSettings(), ()))
    command = [sys.executable, "-c", KILLED, *([str(path)] if saved else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "30\n":
                process.send_signal(signal.SIGKILL)
                break
    copy = newer_autosave(path) if saved else unsaved_projects()[0]
    assert copy is not None
    kept = read_autosave(copy).state
    assert int(kept.pages[0].corrections.comment) >= 30
    assert len(kept.audit) == int(kept.pages[0].corrections.comment) + 2


def test_a_project_from_before_a_choice_was_there_says_nothing_about_it(tmp_path: Path) -> None:
    said = Corrections(comment="faint", traces=TraceEdit((TraceRedraw(np.array([[1.0, 2.0], [3.0, 4.0]])),)))
    write_project(tmp_path / "a.ecgproj", state(page(1, tmp_path / "a.png", said)))
    text = (tmp_path / "a.ecgproj").read_text("utf-8")
    older = text.replace(', "layout": null, "fiducials": null', "").replace(', "lead": null', "")
    assert '"fiducials"' in text
    assert not any(f'"{name}"' in older for name in ("fiducials", "lead"))
    (tmp_path / "a.ecgproj").write_text(older, "utf-8")
    [back] = read_project(tmp_path / "a.ecgproj").pages
    assert content_digest(back.corrections) == content_digest(said)
