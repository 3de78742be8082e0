from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.errors import InputError
from ecgstudio.io.export import StemRegister, output_paths, safe_name
from ecgstudio.io.images import count_pages, expand_inputs, page_stem


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.pdf", "sub/deep/d.dcm", ".hidden/e.png", "._a.JPG",
                 "a-overlay.png", "a.hea", "a.csv"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "sub" / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "sub" / "README").write_bytes(b"hello")
    return tmp_path


def names(paths: Iterable[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_gives_its_pages_and_those_of_its_folders(archive: Path) -> None:
    found = names(expand_inputs([archive]), archive)
    assert found == ["a.JPG", "b.png", "sub/IM0001", "sub/c.pdf", "sub/deep/d.dcm"]


def test_a_named_file_is_kept_whatever_it_is(archive: Path) -> None:
    assert names(expand_inputs([archive / "notes.txt", archive / "gone.png"]), archive) == ["notes.txt", "gone.png"]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_impossible_name_is_kept_for_the_reader_to_refuse(name: str) -> None:
    [kept] = expand_inputs([name])
    with pytest.raises(InputError):
        count_pages(kept)


def test_a_glob_gives_the_pages_it_matches(archive: Path) -> None:
    assert names(expand_inputs([str(archive / "*")]), archive)[:2] == ["a.JPG", "b.png"]
    assert names(expand_inputs([str(archive / "**" / "*.pdf")]), archive) == ["sub/c.pdf"]


def test_a_glob_that_matches_nothing_is_kept_to_be_complained_about(archive: Path) -> None:
    assert names(expand_inputs([str(archive / "*.tiff")]), archive) == ["*.tiff"]


def test_a_file_whose_name_looks_like_a_glob_is_itself(archive: Path) -> None:
    odd = archive / "ecg[1].png"
    odd.write_bytes(b"x")
    assert expand_inputs([str(odd)]) == [odd]


def test_a_folder_without_pages_is_kept_to_be_complained_about(tmp_path: Path) -> None:
    assert expand_inputs([tmp_path]) == [tmp_path]


def test_a_file_named_twice_is_read_once(archive: Path) -> None:
    assert len(expand_inputs([archive / "b.png", archive, archive / "sub" / ".." / "b.png"])) == 5


def test_later_pages_are_numbered_from_two() -> None:
    assert [page_stem("in/ECG 7.pdf", index) for index in range(3)] == ["ECG_7", "ECG_7-p2", "ECG_7-p3"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("clean-00", "clean-00"),
        ("Müller, José (2)", "Muller_Jose_2_"),
        ("a.b", "a_b"),
        ("../../etc/passwd", "_etc_passwd"),
        ("-rf", "_rf"),
        ("CON", "_CON"),
        ("a__b", "a__b"),
    ],
)
def test_names_become_safe_and_stay_readable(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text("aZ09 ._-/\\:*äßéЖ心\U0001f600\0\n"))
def test_a_safe_name_is_safe_and_stays_as_it_is(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 101
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert not name.startswith("-")
    assert safe_name(name) == name


def test_names_in_another_script_stay_apart() -> None:
    assert safe_name("ЭКГ Иванов") != safe_name("ЭКГ Петров")


def test_a_long_name_is_cut_but_stays_its_own() -> None:
    assert safe_name("x" * 300) != safe_name("x" * 301)


@given(st.lists(st.sampled_from(["a", "A", "a-2", "b", "a-2-2"]), max_size=12))
def test_no_two_pages_share_a_stem(stems: list[str]) -> None:
    register = StemRegister()
    claimed = [register.claim(stem) for stem in stems]
    assert len({name.casefold() for name in claimed}) == len(stems)
    if stems:
        assert claimed[0] == stems[0]


@pytest.mark.parametrize("length", [90, 97, 98, 99, 100, 101, 300])
def test_the_name_of_a_later_page_is_the_name_of_its_files(length: int, tmp_path: Path) -> None:
    register = StemRegister()
    pages = [page_stem(f"{'x' * length}{end}.pdf", index) for end in "ab" for index in (0, 1, 11)]
    stems = [register.claim(stem) for stem in [*pages, *pages]]
    assert len(set(stems)) == len(stems)
    for stem in stems:
        assert output_paths(stem, tmp_path, ["csv"]) == [tmp_path / f"{stem}.csv"]
