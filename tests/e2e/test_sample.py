"""The bundled page with the bundled networks: what a new user sees first."""

from pathlib import Path

import pytest

from ecgstudio import cli
from ecgstudio.paths import sample_folder, weights_folder


@pytest.fixture(scope="module")
def sample() -> Path:
    """The bundled page; the weights must be there too."""
    assert (weights_folder() / "manifest.json").is_file()
    return sample_folder() / "page.png"


def test_the_installation_passes_its_own_test(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", "--self-test", "--device", "cpu"])
    assert code == 0, capsys.readouterr().out


def test_two_processes_share_the_pages_and_a_bad_file_stops_none(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    copy = tmp_path / "copy.png"
    copy.write_bytes(sample.read_bytes())
    inputs = [str(path) for path in (empty, sample, copy)]
    code = cli.main(["digitize", *inputs, "-o", str(tmp_path / "out"), "--jobs", "2", "--format", "csv"])
    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.split(":")[0] for line in lines] == [str(empty), "page", "copy"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["copy.csv", "page.csv"]
