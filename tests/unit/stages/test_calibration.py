"""Speed and gain come from the user, the pulse, the printed texts or the standard, in that order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.grid import PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.stages import calibration
from ecgstudio.stages.calibration import (
    Pulse,
    _agreed,
    _is_plain,
    _pulse_of,
    decide_scale,
    measure_pulse,
    other_zooms,
    pulse_zoom,
)
from ecgstudio.stages.paper_map import rescaled
from ecgstudio.stages.settings import GridSettings
from tests.synth_page import SynthPage, TruthRuntime, synth_page, true_grid, true_keypoints


def small_page(
    *, mm_per_s: float = 25.0, gain: float = 10.0, pulse: str = "first", scale_text: str = "none"
) -> SynthPage:
    return synth_page("3x4", mm_per_s=mm_per_s, gain=gain, width_mm=60.0, pulse=pulse, scale_text=scale_text)


def scale_of(
    synth: SynthPage,
    *,
    keypoints: Keypoints | None = None,
    mm_per_s: float | None = None,
    mm_per_mV: float | None = None,
) -> PaperScale:
    return decide_scale(
        synth.page, true_keypoints(synth) if keypoints is None else keypoints, true_grid(synth),
        runtime=TruthRuntime(synth), settings=GridSettings(mm_per_s=mm_per_s, mm_per_mV=mm_per_mV),
    )  # fmt: skip


def pulse_of(synth: SynthPage, *, keypoints: Keypoints | None = None) -> Pulse | None:
    lies = true_keypoints(synth) if keypoints is None else keypoints
    return measure_pulse(synth.page, lies, true_grid(synth), runtime=TruthRuntime(synth))


def used(scale: PaperScale) -> tuple[float, float]:
    return scale.mm_per_s, scale.mm_per_mV


def with_marker(keypoints: Keypoints, name: str, *, confidence: float = 0.9) -> Keypoints:
    """Print one more marker in the middle of the page."""
    return replace(
        keypoints,
        names=(*keypoints.names, name),
        xy=np.concatenate([keypoints.xy, [[200.0, 400.0]]]),
        confidence=np.append(keypoints.confidence, confidence),
    )


# --- the pulse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("mm_per_s", [25.0, 50.0])
def test_a_pulse_is_measured(gain: float, mm_per_s: float) -> None:
    pulse = pulse_of(small_page(gain=gain, mm_per_s=mm_per_s))
    assert pulse is not None
    assert pulse.height_mm == pytest.approx(gain, rel=0.02)
    assert pulse.width_mm == pytest.approx(0.2 * mm_per_s, abs=0.3)


@pytest.mark.parametrize("orientation", [1, 4])
def test_a_pulse_on_a_turned_page_is_measured(orientation: int) -> None:
    pulse = pulse_of(synth_page("3x4", width_mm=60.0, pulse="right", orientation=orientation))
    assert pulse is not None
    assert pulse.height_mm == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("at_mm", [(40.0, 36.0), (30.0, 10.0)])
def test_what_is_no_pulse_is_not_measured(at_mm: tuple[float, float]) -> None:
    synth = small_page(pulse="none")
    lies = with_marker(true_keypoints(synth), "pulse")
    lies = replace(lies, xy=np.concatenate([lies.xy[:-1], synth.to_page(np.array([at_mm]))]))
    assert pulse_of(synth, keypoints=lies) is None


def test_a_faintly_seen_pulse_is_not_used() -> None:
    synth = small_page(gain=5.0)
    faint = replace(true_keypoints(synth), confidence=np.full(len(true_keypoints(synth).names), 0.4))
    assert pulse_of(synth, keypoints=faint) is None


# --- the decision -------------------------------------------------------------------------------------------


def test_nothing_printed_leaves_the_standard() -> None:
    scale = scale_of(small_page(gain=5.0, pulse="none"))
    assert used(scale) == (25.0, 10.0)
    assert scale.source == "speed assumed, gain assumed"
    assert (scale.pulse_height_mm, scale.printed_mm_per_s, scale.printed_mm_per_mV) == (None, None, None)


@pytest.mark.parametrize(("mm_per_s", "gain"), [(50.0, 5.0), (25.0, 20.0)])
def test_printed_texts_are_believed(mm_per_s: float, gain: float) -> None:
    scale = scale_of(small_page(mm_per_s=mm_per_s, gain=gain, pulse="none", scale_text="top"))
    assert used(scale) == (mm_per_s, gain)
    assert scale.source == "speed printed, gain printed"


@pytest.mark.parametrize(("mm_per_s", "gain"), [(50.0, 5.0), (25.0, 20.0)])
def test_the_pulse_alone_tells_speed_and_gain(mm_per_s: float, gain: float) -> None:
    scale = scale_of(small_page(mm_per_s=mm_per_s, gain=gain))
    assert used(scale) == (mm_per_s, gain)
    assert scale.source == "speed pulse, gain pulse"


def test_the_pulse_knows_the_gain_better_than_a_text() -> None:
    synth = small_page(gain=5.0)
    scale = scale_of(synth, keypoints=with_marker(true_keypoints(synth), "gain20"))
    assert used(scale) == (25.0, 5.0)
    assert scale.printed_mm_per_mV == 20.0


def test_the_user_knows_best() -> None:
    scale = scale_of(small_page(gain=5.0), mm_per_s=12.5, mm_per_mV=40.0)
    assert used(scale) == (12.5, 40.0)
    assert scale.source == "speed set, gain set"
    assert scale.pulse_height_mm == pytest.approx(5.0, abs=0.1)  # the evidence stays


def test_of_two_texts_the_surer_one_counts() -> None:
    synth = small_page(pulse="none")
    lies = with_marker(with_marker(true_keypoints(synth), "gain5", confidence=0.7), "gain20", confidence=0.8)
    assert scale_of(synth, keypoints=lies).mm_per_mV == 20.0


def test_an_unsure_text_is_not_believed() -> None:
    synth = small_page(pulse="none")
    assert scale_of(synth, keypoints=with_marker(true_keypoints(synth), "gain5", confidence=0.4)).mm_per_mV == 10.0


def test_a_pulse_beside_which_a_lead_begins_is_measured_by_its_other_foot() -> None:
    n = 256
    level_mm = np.zeros(n)
    level_mm[108:148] = 10.0
    level_mm[148:] = -4.0  # the lead begins with an S wave
    pulse = _pulse_of(level_mm, np.ones(n), wanted_mm=10.0)
    assert pulse is not None
    assert pulse.height_mm == pytest.approx(10.0)
    assert not pulse.stands_on_both
    level_mm[148:] = 0.0
    pulse = _pulse_of(level_mm, np.ones(n), wanted_mm=10.0)
    assert pulse is not None
    assert pulse.stands_on_both


def agreed(witnesses: dict[float, int]) -> float | None:
    found = {wanted: [Pulse(wanted, 5.0)] * count for wanted, count in witnesses.items()}
    pulse = _agreed(found, places=4)
    return None if pulse is None else pulse.height_mm


def test_an_unusual_gain_needs_more_witnesses_than_the_standard() -> None:
    assert agreed({20.0: 2}) == 20.0
    assert agreed({20.0: 1}) is None
    assert agreed({20.0: 2, 10.0: 2}) == 10.0
    assert agreed({20.0: 3, 10.0: 1}) == 20.0
    assert agreed({20.0: 3, 5.0: 2}) is None
    assert agreed({20.0: 3, 5.0: 2, 10.0: 1}) == 10.0
    assert agreed({}) is None


@pytest.mark.parametrize("height_mm", [5.0, 20.0])
def test_a_single_clean_pulse_tells_an_unusual_gain(height_mm: float) -> None:
    clean, rough = Pulse(height_mm, 5.0, clean=True), Pulse(height_mm, 5.0)
    assert _agreed({height_mm: [rough]}, places=4) is None
    pulse = _agreed({height_mm: [clean]}, places=4)
    assert pulse is not None
    assert (pulse.height_mm, pulse.witnesses, pulse.clean) == (height_mm, 1, True)
    standard = _agreed({height_mm: [clean], 10.0: [Pulse(10.0, 5.0)]}, places=4)
    assert standard is not None
    assert standard.height_mm == 10.0


@pytest.mark.parametrize(("on_both", "gain"), [(False, 5.0), (True, 10.0)])
def test_a_clean_pulse_on_both_feet_outweighs_one_on_one_foot(on_both: bool, gain: float) -> None:
    found = {5.0: [Pulse(5.0, 5.0, clean=True)], 10.0: [Pulse(10.0, 5.0, stands_on_both=on_both, clean=True)]}
    pulse = _agreed(found, places=3)
    assert pulse is not None
    assert pulse.height_mm == gain


@pytest.mark.parametrize(
    ("pulses", "told"),
    [
        ([Pulse(9.6, 7.5, stands_on_both=False)], False),  # a T wave with a broad top
        ([Pulse(9.6, 3.2, stands_on_both=True)], True),
        ([Pulse(9.6, 4.9, stands_on_both=False, clean=True)], True),
        ([Pulse(9.6, 10.0, stands_on_both=False, clean=True)], False),  # the corner of a frame
        ([Pulse(9.6, 10.0, stands_on_both=True, clean=True)], True),
        ([Pulse(9.6, 10.0, stands_on_both=False, clean=True), Pulse(9.8, 10.1, stands_on_both=False)], True),
        ([Pulse(9.6, 7.5, stands_on_both=False), Pulse(9.8, 6.0, stands_on_both=False)], True),
    ],
)
def test_a_lone_top_that_looks_like_no_machine_s_tells_no_gain(pulses: list[Pulse], told: bool) -> None:
    assert (_agreed({10.0: pulses}, places=4) is not None) == told


@pytest.mark.parametrize(("pulses", "gain"), [("left", 5.0), ("none", 10.0)])
def test_pulses_seen_well_outweigh_a_printed_standard(pulses: str, gain: float) -> None:
    synth = small_page(gain=5.0, pulse=pulses)
    scale = scale_of(synth, keypoints=with_marker(true_keypoints(synth), "gain10"))
    assert scale.mm_per_mV == gain
    assert scale.printed_mm_per_mV == 10.0


@pytest.mark.parametrize(("clean", "gain"), [(True, 10.0), (False, 20.0)])
def test_print_outweighs_what_only_looks_like_a_pulse(
    clean: bool, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "measure_pulse", lambda *_, **__: Pulse(9.6, 7.5, clean=clean))
    synth = small_page(gain=20.0, pulse="none")
    scale = scale_of(synth, keypoints=with_marker(true_keypoints(synth), "gain20"))
    assert (scale.mm_per_mV, scale.printed_mm_per_mV) == (gain, 20.0)


@pytest.mark.parametrize(("mm_per_s", "printed", "used_mm_per_s"), [(50.0, "speed25", 50.0), (25.0, "speed50", 50.0)])
def test_long_pulses_outweigh_a_printed_standard_speed(mm_per_s: float, printed: str, used_mm_per_s: float) -> None:
    synth = small_page(mm_per_s=mm_per_s, pulse="left")
    assert scale_of(synth, keypoints=with_marker(true_keypoints(synth), printed)).mm_per_s == used_mm_per_s


@given(
    height_mm=st.sampled_from([5.0, 10.0, 20.0]),
    mm_per_s=st.sampled_from([25.0, 50.0]),
    lead_mm=st.floats(-0.6, 0.6),
    noise_mm=st.floats(0, 0.05),
)
def test_a_level_top_of_the_right_length_is_a_clean_pulse(
    height_mm: float, mm_per_s: float, lead_mm: float, noise_mm: float
) -> None:
    n, half = 256, round(0.1 * mm_per_s * 8)
    level_mm = np.random.default_rng(0).normal(0, noise_mm, n)
    level_mm[n // 2 - half : n // 2 + half] += height_mm
    level_mm[n // 2 + half :] += lead_mm  # the lead begins at the pulse's edge
    pulse = _pulse_of(level_mm, np.ones(n), wanted_mm=height_mm)
    assert pulse is not None
    assert pulse.clean
    assert pulse.width_mm == pytest.approx(0.2 * mm_per_s, abs=0.3)
    unsure = _pulse_of(level_mm, np.full(n, 0.5), wanted_mm=height_mm)
    assert unsure is None or not unsure.clean


@given(width_mm=st.floats(1.0, 4.0), height_mm=st.floats(4.0, 24.0))
def test_a_beat_is_no_clean_pulse(width_mm: float, height_mm: float) -> None:
    x_mm = (np.arange(256) - 127.5) / 8
    pulse = _pulse_of(height_mm * np.exp(-((x_mm / width_mm) ** 2)), np.ones(256), wanted_mm=height_mm)
    assert pulse is None or not pulse.clean


def test_a_top_that_is_level_in_one_place_only_is_no_clean_pulse() -> None:
    level_mm = np.where(np.arange(256) % 2, 10.4, 9.6)
    level_mm[:100] = level_mm[156:] = 0.0
    level_mm[127:129] = 10.0
    pulse = _pulse_of(level_mm, np.ones(256), wanted_mm=10.0)
    assert pulse is not None
    assert not pulse.clean


@pytest.mark.parametrize("height_mm", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("wanted_mm", [5.0, 20.0])
def test_a_foot_at_which_a_lead_ends_does_not_halve_a_pulse(height_mm: float, wanted_mm: float) -> None:
    # stage 0 marks the middle of a pulse; strips are cut so that a pulse of the wanted height would stand on their axis
    top_mm = wanted_mm / 2 + height_mm / 2
    one_foot = Pulse(wanted_mm, 5.0, stands_on_both=False, clean=True, top_mm=top_mm)
    assert _is_plain(one_foot, wanted_mm=wanted_mm) is (height_mm == wanted_mm)
    assert _is_plain(Pulse(wanted_mm, 5.0, top_mm=top_mm), wanted_mm=wanted_mm)
    assert not _is_plain(Pulse(wanted_mm, 5.0, stands_on_both=False, top_mm=top_mm), wanted_mm=wanted_mm)


@pytest.mark.parametrize(("gain", "mm_per_s"), [(10.0, 25.0), (5.0, 25.0), (20.0, 25.0), (10.0, 50.0)])
@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.2])
def test_a_pulse_tells_by_how_much_a_scale_is_wrong(gain: float, mm_per_s: float, zoom: float) -> None:
    synth = small_page(gain=gain, mm_per_s=mm_per_s, scale_text="bottom")
    wrong = rescaled(true_grid(synth), 1 / zoom)
    found = pulse_zoom(synth.page, true_keypoints(synth), wrong, runtime=TruthRuntime(synth))
    assert found == pytest.approx(zoom, rel=0.04)


def test_the_pulses_of_a_small_sheet_tell_that_it_was_taken_for_a_large_one() -> None:
    synth = small_page()
    wrong = rescaled(true_grid(synth), 0.65)
    found = pulse_zoom(synth.page, true_keypoints(synth), wrong, runtime=TruthRuntime(synth))
    assert found == pytest.approx(1 / 0.65, rel=0.04)


def test_without_a_pulse_no_zoom_is_told() -> None:
    synth = small_page(pulse="none")
    assert pulse_zoom(synth.page, true_keypoints(synth), true_grid(synth), runtime=TruthRuntime(synth)) is None


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.03, 5 / 3])
def test_pulses_of_no_standard_size_tell_at_which_scales_they_would_be_of_one(zoom: float) -> None:
    synth = small_page(pulse="left")
    taken_for = rescaled(true_grid(synth), zoom)
    found = other_zooms(synth.page, true_keypoints(synth), taken_for, runtime=TruthRuntime(synth))
    if abs(zoom - 1) < 0.05:
        assert found == []
    else:
        assert min(abs(each * zoom - 1) for each in found) < 0.04


def test_a_single_pulse_refutes_no_scale() -> None:
    synth = small_page(pulse="first")
    wrong = rescaled(true_grid(synth), 0.6)
    assert other_zooms(synth.page, true_keypoints(synth), wrong, runtime=TruthRuntime(synth)) == []
