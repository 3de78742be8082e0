"""The losses: perfect answers cost nothing, unknown targets count for nothing."""

import math

import pytest
import torch

from ecgstudio.nets.grid_net import GridLogits
from ecgstudio.nets.keypoint_net import KeypointLogits
from ecgstudio.nets.trace_net import TraceLogits
from training.configs import GridTraining, KeypointTraining, TraceTraining
from training.losses import (
    grid_loss,
    grid_metrics,
    keypoint_loss,
    keypoint_metrics,
    trace_loss,
    trace_metrics,
    windowed_height,
)

NAN = float("nan")
SURE = 30.0


def trace_batch(height: float = 20.3) -> dict[str, torch.Tensor]:
    return {
        "strips": torch.zeros(1, 2, 64, 16),
        "height": torch.full((1, 32), height),
        "slope": torch.zeros(1, 32),
        "presence": torch.ones(1, 32),
        "boundary": torch.zeros(1, 32),
        "segmentation": torch.ones(1, 16, 8, dtype=torch.long),
    }


def trace_answer(height: float, *, sigma: float = 1.1) -> TraceLogits:
    rows = torch.arange(64.0).view(1, 64, 1)
    columns = (-0.5 * ((rows - height) / sigma) ** 2).expand(1, 64, 32)
    segmentation = torch.zeros(1, 3, 16, 8)
    segmentation[:, 1] = SURE
    return TraceLogits(columns, segmentation, torch.full((1, 32), SURE), torch.full((1, 32), -SURE))


def test_a_perfect_trace_costs_nothing() -> None:
    terms = trace_loss(trace_answer(20.3), trace_batch(), TraceTraining(), progress=0.0)
    assert float(terms["loss"]) == pytest.approx(0, abs=1e-5)
    metrics = trace_metrics(trace_answer(20.3), trace_batch())
    assert metrics["height_error_px"] == pytest.approx(0, abs=1e-3)
    assert metrics["gross_fraction"] == 0


def test_a_shifted_trace_costs_its_divergence() -> None:
    terms = trace_loss(trace_answer(21.3), trace_batch(), TraceTraining(), progress=0.0)
    assert float(terms["columns"]) == pytest.approx(0.5 / 1.1**2, abs=1e-3)


def test_steep_columns_may_spread_their_answer() -> None:
    batch = trace_batch() | {"slope": torch.full((1, 32), 10.0)}
    wide = trace_answer(20.3, sigma=math.hypot(1.1, 3.0))
    assert float(trace_loss(wide, batch, TraceTraining(), progress=0.0)["columns"]) < 1e-4


@pytest.mark.parametrize("height", [NAN, -3.0, 70.0])
def test_heights_that_are_unknown_or_off_the_strip_do_not_count(height: float) -> None:
    logits = trace_answer(5.0)
    columns = logits.columns.clone().requires_grad_()
    terms = trace_loss(logits._replace(columns=columns), trace_batch(height), TraceTraining(), progress=0.0)
    terms["loss"].backward()
    assert float(terms["columns"].detach()) == 0
    assert columns.grad is not None
    assert float(columns.grad.abs().sum()) == 0


def test_steep_columns_may_count_more() -> None:
    batch = trace_batch()
    batch["slope"][:, ::2] = 8.0
    answer = trace_answer(21.3)._replace(columns=trace_answer(21.3).columns.clone())
    flat = trace_loss(answer, batch, TraceTraining(sigma_per_slope=0.0), progress=0.0)["columns"]
    answer.columns[:, :, ::2] = trace_answer(20.3).columns[:, :, ::2]  # right where it is steep, wrong elsewhere
    even = trace_loss(answer, batch, TraceTraining(sigma_per_slope=0.0), progress=0.0)["columns"]
    steep = trace_loss(answer, batch, TraceTraining(sigma_per_slope=0.0, steep_weight=0.25), progress=0.0)["columns"]
    assert float(even) == pytest.approx(float(flat) / 2, rel=1e-4)
    assert float(steep) == pytest.approx(float(flat) / 4, rel=1e-4)  # a steep column counts three times


def test_the_height_term_comes_late() -> None:
    config = TraceTraining(height_weight=0.1, height_from=0.5)
    early = trace_loss(trace_answer(22.3), trace_batch(), config, progress=0.4)
    late = trace_loss(trace_answer(22.3), trace_batch(), config, progress=0.5)
    assert "height" not in early
    assert float(late["height"]) == pytest.approx(1.5, abs=0.01)


def test_windowed_height_ignores_mass_outside_the_window() -> None:
    columns = torch.full((1, 64, 1), -30.0)
    columns[0, 10, 0] = columns[0, 11, 0] = 0.0
    columns[0, 50, 0] = 5.0
    height = windowed_height(columns, around=torch.tensor([[10.0]]), window_px=5.0)
    assert float(height) == pytest.approx(10.5, abs=1e-3)


def test_unknown_keypoint_targets_do_not_count() -> None:
    logits = KeypointLogits(
        torch.randn(1, 19, 16, 16, requires_grad=True),
        torch.randn(1, 8, requires_grad=True),
        torch.randn(1, 4, 2, 2, requires_grad=True),
    )
    batch = {
        "labels": torch.full((1, 16, 16), 255),
        "orientation": torch.tensor([-1]),
        "geometry": torch.full((1, 4, 2, 2), NAN),
    }
    assert float(keypoint_loss(logits, batch, KeypointTraining(), progress=0.0)["loss"].detach()) == 0


def test_missing_a_tiny_label_costs_more_than_a_false_alarm_of_its_size() -> None:
    target = torch.zeros(1, 64, 64, dtype=torch.long)
    target[:, 10:13, 10:15] = 2
    missed = torch.zeros(1, 19, 64, 64)
    missed[:, 0] = 8.0
    invented = missed.clone()
    invented[:, 2, 10:13, 10:15] = 16.0
    invented[:, 2, 30:33, 30:35] = 16.0
    rest = {"orientation": torch.tensor([-1]), "geometry": torch.full((1, 4, 8, 8), NAN)}

    def cost(labels: torch.Tensor) -> float:
        logits = KeypointLogits(labels, torch.zeros(1, 8), torch.zeros(1, 4, 8, 8))
        return float(keypoint_loss(logits, {"labels": target, **rest}, KeypointTraining(), progress=0.0)["labels"])

    assert cost(missed) > 2 * cost(invented) > 0


def test_keypoint_metrics_count_cells() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0, :4] = 3
    labels = torch.zeros(1, 19, 4, 4)
    labels[:, 0] = 1.0
    labels[0, 3, 0, :2] = 2.0
    geometry = torch.full((1, 4, 1, 1), NAN)
    logits = KeypointLogits(labels, torch.eye(8)[5:6], torch.zeros(1, 4, 1, 1))
    batch = {"labels": target, "orientation": torch.tensor([5]), "geometry": geometry}
    metrics = keypoint_metrics(logits, batch)
    assert metrics["label_recall"] == 0.5
    assert metrics["label_precision"] == 1.0
    assert metrics["orientation_accuracy"] == 1.0


def test_grid_phase_error_is_given_in_millimetres() -> None:
    blank = torch.zeros(1, 1, 8, 8)
    angle = torch.tensor(2 * math.pi / 5 * 0.25)
    truth = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    turned = torch.stack([angle.cos(), angle.sin(), angle.cos(), angle.sin()]).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    logits = GridLogits(blank, turned, blank.expand(1, 2, 8, 8), blank, blank, blank)
    batch = {name: getattr(logits, name) for name in logits._fields} | {"phase": truth}
    assert grid_metrics(logits, batch)["phase_error_mm"] == pytest.approx(0.25, abs=1e-4)


def test_unknown_grid_targets_do_not_count() -> None:
    logits = GridLogits(*(torch.randn(1, width, 8, 8) for width in (1, 4, 2, 1, 1, 1)))
    batch = {name: torch.full_like(getattr(logits, name), NAN) for name in logits._fields}
    assert float(grid_loss(logits, batch, GridTraining(), progress=0.0)["loss"]) == 0
