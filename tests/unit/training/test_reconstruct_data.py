"""What the reconstruction learns from: the ink's heights on a found grid, hidden spans, streams that can be resumed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgstudio.core.ecg import DigitizedEcg, LeadTrace
from ecgstudio.core.grid import GridFit
from ecgstudio.core.page import Page, PageId
from ecgstudio.errors import InputError
from ecgstudio.stages.reconstruct import UNIT_MM, TraceStrip, trace_strip
from training.folders import truth_path
from training.oracle import true_grid
from training.reconstruct.crops import (
    SHAPE,
    CropExamples,
    encode_examples,
    is_crops_folder,
    open_crops,
    printed_rows,
    trace_examples,
    true_heights,
)
from training.reconstruct.evaluate import by_kind, mend, score, table
from training.reconstruct.examples import Example, prepared
from training.reconstruct.loss import reconstruct_loss, reconstruct_metrics
from training.reconstruct.settings import ReconstructTraining, settings_for
from training.reconstruct.stream import ExampleStream
from training.sampling import MappedPage
from training.signals import Record
from training.synth.page import Sheet, render_sheet
from training.synth.style import PageStyle
from training.synth.truth import encode_truth

SETTINGS = ReconstructTraining(batch=3, workers=0, validation_examples=4)


def examples(count: int = 8, *, error: float = 0.05) -> CropExamples:
    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.3, (count, 1, SHAPE.samples)).cumsum(axis=2).astype(np.float32) / 20
    target[:, :, :20] = np.nan
    series = np.ones((count, 1, 3, SHAPE.samples), np.float32)
    series[:, :, 0] = np.nan_to_num(target) + error
    pictures = rng.integers(0, 255, (count, 2, SHAPE.height, SHAPE.width), np.uint8)
    names, kinds = tuple(f"w{i}" for i in range(count)), tuple("scan" if i % 2 else "photo" for i in range(count))
    return CropExamples(names, kinds, pictures, series, target)


@pytest.fixture(scope="module")
def windows() -> CropExamples:
    return examples()


# --- truth --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """A rendered page, the grid that it was drawn on, and one of its leads as drawn."""

    mapped: MappedPage
    page: Page
    grid: GridFit
    trace: LeadTrace


@pytest.fixture
def read(record: Record, plain_style: PageStyle, flat_page: Callable[[Sheet], MappedPage]) -> Read:
    mapped = flat_page(render_sheet(record.mv, record.fs, rng=np.random.default_rng(1), style=plain_style))
    lead = next(each for each in mapped.truth.sheet.leads if each.lead == "V2")
    x_mm = lead.start_mm + np.arange(1200) / 500.0 * 25.0
    y_mm = np.interp(x_mm, lead.line_mm[:, 0], lead.line_mm[:, 1])
    xy = mapped.to_page(np.stack([x_mm, y_mm], axis=1))
    mv = ((lead.zero_mm - y_mm) / 10.0).astype(np.float32)
    trace = LeadTrace("V2", 0.0, 500.0, mv, xy, np.ones(1200, np.float32))
    return Read(mapped, Page(PageId("0" * 64, 0), mapped.pixels, None, "flat.png"), true_grid(mapped), trace)


def test_the_ink_that_a_trace_follows_is_found_to_a_hair(read: Read) -> None:
    strip = trace_strip(read.page, read.grid, read.trace)
    assert strip is not None
    target = true_heights(strip, printed_rows(read.mapped, read.grid))
    known = strip.series[1] > 0
    error_mm = UNIT_MM * np.abs(target - strip.series[0])[known]
    assert np.isfinite(target[known]).mean() > 0.99
    assert np.nanmedian(error_mm) < 0.02
    ink = strip.picture[1].argmin(axis=0)  # the darkest row of each column
    rows = (strip.picture.shape[1] - 1) / 2 - target * SHAPE.rows_per_unit
    assert np.nanmedian(np.abs(ink - rows)[known]) < 1.5


def test_nothing_is_asked_beyond_the_ends_of_a_trace(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    truth_path(path).write_bytes(encode_truth(read.mapped.truth))
    (window,) = trace_examples(path, read.page, read.grid, DigitizedEcg((read.trace,), "3x4+1"))
    asked, known = np.isfinite(window.target[0]), window.series[0, 1] > 0
    assert abs(int(asked.sum()) - 1200 / 500 * 25 * 8) <= 2
    assert (asked == known).mean() > 0.99
    assert (window.kind, window.picture.dtype) == ("render", np.uint8)


def test_a_trace_far_from_all_ink_has_no_truth() -> None:
    strip_series = np.stack([np.zeros(512), np.ones(512), np.ones(512)]).astype(np.float32)
    strip = TraceStrip(0.0, 0.0, 50.0, np.zeros((2, 384, 512), np.float32), strip_series)
    line = np.stack([np.linspace(0, 64, 100), np.full(100, 70.0)], axis=1)
    assert np.isnan(true_heights(strip, [[line]])).all()
    near = np.stack([np.linspace(0, 64, 100), np.full(100, 52.0)], axis=1)
    np.testing.assert_allclose(true_heights(strip, [[line], [near]]), -0.2, atol=1e-6)


# --- examples -----------------------------------------------------------------------------------------------


def test_a_hidden_span_is_bridged_and_marked(windows: CropExamples) -> None:
    shown = prepared(
        windows[0], np.random.default_rng(0), shape=SHAPE, spoilt=False, settings=replace(SETTINGS, hidden=1.0)
    )
    hidden = shown.series[0, 1] == 0
    assert 2 <= hidden.sum() <= 2 * 0.08 * SHAPE.samples
    assert not shown.series[0, 2][hidden].any()
    np.testing.assert_array_equal(shown.series[0, 0][~hidden], windows[0].series[0, 0][~hidden])
    assert (windows[0].series[0, 1] == 1).all()  # what is kept stays as it was
    np.testing.assert_array_equal(shown.target, windows[0].target)


def test_mirroring_turns_picture_series_and_target_alike() -> None:
    picture = np.zeros((2, 384, 512), np.uint8)
    picture[:, 100, 30] = 255
    series = np.zeros((1, 3, 512), np.float32)
    series[0, 0, 30], series[0, 1] = 1.5, 1
    one = Example("a", "scan", picture, series, series[:, 0].copy())
    both = replace(SETTINGS, flip_x=1.0, flip_y=1.0, hidden=0.0)
    shown = prepared(one, np.random.default_rng(0), shape=SHAPE, spoilt=False, settings=both, mirrored=True)
    assert shown.picture[0, 383 - 100, 511 - 30] == 255
    assert shown.series[0, 0, 511 - 30] == shown.target[0, 511 - 30] == -1.5
    assert shown.series[0, 1].all()


def test_a_resumed_stream_goes_on_with_the_same_batches(windows: CropExamples) -> None:
    straight = list(islice(ExampleStream(windows, split="train", seed=1, settings=SETTINGS), 6))
    stream = ExampleStream(windows, split="train", seed=1, settings=SETTINGS)
    stream.set_start(4)
    for one, other in zip(straight[4:], islice(stream, 2), strict=True):
        assert all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)


def test_validation_is_each_example_once_and_always_the_same(windows: CropExamples) -> None:
    first, second = (list(ExampleStream(windows, split="val", seed=0, settings=SETTINGS)) for _ in range(2))
    assert [len(batch["target"]) for batch in first] == [3, 1]
    assert all(torch.equal(a["series"], b["series"]) for a, b in zip(first, second, strict=True))


def test_loss_and_metrics_count_only_what_is_known(windows: CropExamples) -> None:
    batch = next(iter(ExampleStream(windows, split="val", seed=0, settings=replace(SETTINGS, hidden=0.0))))
    residual = torch.zeros(3, 1, SHAPE.samples)
    terms = reconstruct_loss(residual, batch, SETTINGS, progress=0.5)
    assert float(terms["mae"]) == pytest.approx(0.05, rel=1e-3)
    assert float(terms["mse"]) == pytest.approx(0.0025, rel=1e-2)
    perfect = reconstruct_loss(residual - 0.05, batch, SETTINGS, progress=0.5)
    assert float(perfect["loss"]) < float(terms["loss"])
    assert float(perfect["snr_db"]) > float(terms["snr_db"]) + 10
    before = reconstruct_metrics(residual - 0.05, batch)["snr_before_db"]
    assert before == pytest.approx(float(terms["snr_db"]), abs=1e-3)


def test_scores_tell_before_from_after(windows: CropExamples) -> None:
    class Mending(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.amount = torch.nn.Parameter(torch.tensor(-0.05))

        def forward(self, picture: torch.Tensor, series: torch.Tensor) -> torch.Tensor:
            return self.amount.expand(len(picture), 1, series.shape[-1])

    scores = [score(each) for each in mend(Mending(), windows, replace(SETTINGS, hidden=0.0))]
    rows = by_kind(scores)
    assert list(rows) == ["photo", "scan", "all"]
    assert rows["all"]["count"] == 8
    assert rows["all"]["mae_before_mv"] == pytest.approx(0.05, rel=1e-3)
    assert rows["all"]["mae_mv"] == pytest.approx(0, abs=1e-6)
    assert rows["all"]["snr_db"] > rows["all"]["snr_before_db"] + 20
    assert table(rows).splitlines()[0].split()[:2] == ["kind", "count"]


# --- files --------------------------------------------------------------------------------------------------


def test_windows_come_back_as_they_were_kept(tmp_path: Path, windows: CropExamples) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.npz").write_bytes(encode_examples([windows[0], windows[3]]))
        (tmp_path / split / "unread.npz").write_bytes(encode_examples([]))
    assert is_crops_folder(tmp_path)
    found = open_crops(tmp_path)["val"]
    assert (found.names, found.kinds) == (("w0", "w3"), ("photo", "scan"))
    np.testing.assert_array_equal(found.pictures[1], windows[3].picture)
    np.testing.assert_array_equal(found.target[1], windows[3].target)


def test_a_damaged_file_of_windows_is_named(tmp_path: Path, windows: CropExamples) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.npz").write_bytes(encode_examples([windows[0]])[:2000])
    with pytest.raises(InputError, match=r"a\.npz does not hold windows"):
        open_crops(tmp_path)


def test_settings_come_from_file_override_and_option_in_that_order(tmp_path: Path) -> None:
    toml = tmp_path / "settings.toml"
    toml.write_text("epochs = 3\nbatch = 5\nlearning_rate = 0.1\n")
    settings = settings_for(toml=toml, overrides=["batch=6"], given={"learning_rate": 0.2, "epochs": None})
    assert (settings.epochs, settings.batch, settings.learning_rate) == (3, 6, 0.2)
    with pytest.raises(InputError, match="no setting 'nothing'"):
        settings_for(overrides=["nothing=1"])
