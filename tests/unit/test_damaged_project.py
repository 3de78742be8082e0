"""Projects that someone else has written into: they open and can be saved, or one sentence says why not."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgstudio.core.corrections import Corrections
from ecgstudio.core.page import PageId
from ecgstudio.errors import UserError
from ecgstudio.io.project import PageEntry, ProjectError
from ecgstudio.io.scans import find_scans, read_scan
from ecgstudio.session import Session
from ecgstudio.stages.contract import content_digest
from tests.corrections_strategy import corrections

Path_ = tuple[str | int, ...]

SOMETHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(("x" * 5000, "/" + "y" * 300, "a\0b", "\udcff", "../../..", "", "-1", "1e999")),
    st.just([]),
    st.just({}),
    st.lists(st.integers(), max_size=3),
    st.just({"type": "float", "value": "nan"}),
    st.just({"type": "Corrections"}),
    st.just({"type": ["Corrections"]}),
    st.just({"type": "GridEdit", "moves": [[[1e308, -1e308], [0, 0]]]}),
)


def places(document: object, at: Path_ = ()) -> list[Path_]:
    """List the way to every value in a document."""
    items: list[tuple[str | int, object]] = []
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    return [at, *(place for name, inner in items for place in places(inner, (*at, name)))]


def put(document: Any, place: Path_, value: object, *, remove: bool) -> Any:  # noqa: ANN401 - JSON
    """Return the document with another value in one place, or without that place."""
    if not place:
        return value
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


def saved(folder: Path, value: Corrections) -> tuple[Path, Any]:
    session = Session.new(user="Ada")
    pages = [PageEntry(PageId(letter * 64, 0), folder / f"{letter}.png", letter, (560, 200), 99) for letter in "ab"]
    session.add_pages(pages)
    session.set_corrections(pages[0].id, value, text="corrected")
    session.set_corrections(pages[1].id, Corrections(comment="faint"), text="comment")
    session.save(folder / "p.ecgproj")
    return folder / "p.ecgproj", json.loads((folder / "p.ecgproj").read_bytes().decode("utf-8", "surrogatepass"))


def use(session: Session, folder: Path) -> None:
    """Do what is done with every session that was opened."""
    for entry in session.entries:
        with contextlib.suppress(UserError):
            read_scan(entry)
    find_scans(session.entries, [folder])
    session.worst_first()
    session.save(folder / "again.ecgproj")
    again = Session.load(folder / "again.ecgproj")
    said = [[content_digest(each.corrections(entry.id)) for entry in each.entries] for each in (session, again)]
    assert said[0] == said[1]
    assert again.audit == session.audit


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(st.data(), corrections)
def test_a_project_with_anything_anywhere_is_opened_or_refused_in_a_sentence(
    tmp_path: Path, data: st.DataObject, value: Corrections
) -> None:
    path, document = saved(tmp_path, value)
    place = data.draw(st.sampled_from(places(document)))
    document = put(document, place, data.draw(SOMETHING), remove=data.draw(st.booleans()) and bool(place))
    path.write_bytes(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    session, sentence = None, ""
    try:
        session = Session.load(path, user="Ada")
    except ProjectError as refused:
        sentence = str(refused)
    if session is not None:
        use(session, tmp_path)
    else:
        assert "p.ecgproj" in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize("field", ["source", "relative"])
@pytest.mark.parametrize("value", ["x" * 5000, "/" + "y" * 300, "a\0b"])
def test_a_scan_under_an_impossible_name_is_missing(tmp_path: Path, field: str, value: str) -> None:
    path, document = saved(tmp_path, Corrections())
    for line in document["pages"]:
        line[field] = value
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="is missing"):
        read_scan(Session.load(path).entries[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [("size_px", "12"), ("size_px", [-1, 5]), ("file_bytes", 1.5), ("page", {"sha256": "a" * 64, "index": "0"})],
)
def test_numbers_of_a_page_that_are_none_are_damage(tmp_path: Path, name: str, value: object) -> None:
    path, document = saved(tmp_path, Corrections())
    document["pages"][0][name] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ProjectError, match="is damaged"):
        Session.load(path)
