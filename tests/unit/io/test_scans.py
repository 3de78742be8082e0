"""The files behind the pages of a project: entered by content, read only if they are the same, found after a move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecgstudio.errors import InputError
from ecgstudio.io.scans import ChangedScanError, MissingScanError, find_scans, page_entries, read_scan
from ecgstudio.stages.contract import Cancelled


def draw(path: Path, *, shade: int = 0, pages: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(np.full((120, 130, 3), shade + number, np.uint8)) for number in range(pages)]
    frames[0].save(path, save_all=True, append_images=frames[1:]) if pages > 1 else frames[0].save(path)
    return path


def test_every_page_of_a_file_becomes_an_entry(tmp_path: Path) -> None:
    file = draw(tmp_path / "a b.tiff", pages=3)
    entries = page_entries(file)
    assert [entry.name for entry in entries] == ["a_b", "a_b-p2", "a_b-p3"]
    assert {entry.source for entry in entries} == {file}
    assert {entry.file_bytes for entry in entries} == {file.stat().st_size}
    assert [read_scan(entry).id for entry in entries] == [entry.id for entry in entries]


def test_a_file_that_is_no_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(InputError, match=r"a\.png"):
        page_entries(tmp_path / "a.png")


def test_a_missing_scan_says_where_it_was(tmp_path: Path) -> None:
    [entry] = page_entries(draw(tmp_path / "a.png"))
    entry.source.unlink()
    with pytest.raises(MissingScanError, match=r"scan of a is missing: it was last seen as .*a\.png"):
        read_scan(entry)


@pytest.mark.parametrize("content", [b"text", None])
def test_a_replaced_scan_is_never_taken_for_the_old_one(tmp_path: Path, content: bytes | None) -> None:
    [entry] = page_entries(draw(tmp_path / "a.png"))
    draw(tmp_path / "a.png", shade=99)
    if content is not None:
        entry.source.write_bytes(content)
    with pytest.raises(ChangedScanError, match="was replaced"):
        read_scan(entry)


def test_a_scan_is_found_by_content_under_any_name(tmp_path: Path) -> None:
    [a], [b] = page_entries(draw(tmp_path / "a.png", shade=1)), page_entries(draw(tmp_path / "b.png", shade=2))
    (tmp_path / "new" / "deep").mkdir(parents=True)
    a.source.rename(tmp_path / "new" / "b.png")
    b.source.rename(tmp_path / "new" / "deep" / "other.png")
    found = find_scans([a, b], [tmp_path / "new"])
    assert found == {a.id: tmp_path / "new" / "b.png", b.id: tmp_path / "new" / "deep" / "other.png"}
    assert read_scan(a, at=found[a.id]).source == "a.png"  # results do not depend on where it lies


def test_all_pages_of_a_file_are_found_together(tmp_path: Path) -> None:
    entries = page_entries(draw(tmp_path / "a.tiff", pages=3))
    moved = tmp_path / "x" / "c.tiff"
    moved.parent.mkdir()
    entries[0].source.rename(moved)
    assert find_scans(entries, [moved.parent]) == {entry.id: moved for entry in entries}
    assert read_scan(entries[1], at=moved).source == "a.tiff, page 2 of 3"


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    [entry] = page_entries(draw(tmp_path / "a.png", shade=1))
    draw(tmp_path / "x" / "a.png", shade=2)
    assert find_scans([entry], [tmp_path / "x", tmp_path / "no folder"]) == {}
    assert find_scans([], [tmp_path]) == {}


def test_a_scan_whose_size_is_not_known_is_found_too(tmp_path: Path) -> None:
    [entry] = page_entries(draw(tmp_path / "a.png"))
    entry.source.rename(tmp_path / "b.png")
    assert find_scans([replace(entry, file_bytes=None)], [tmp_path]) == {entry.id: tmp_path / "b.png"}


def test_looking_can_be_cancelled(tmp_path: Path) -> None:
    [entry] = page_entries(draw(tmp_path / "a.png"))

    class Stop:
        def checkpoint(self, fraction: float, note: str = "") -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_scans([entry], [tmp_path], status=Stop())
