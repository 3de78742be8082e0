"""What may be said about a patient, and what is a slip of the hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgstudio.core.clinical import LABELS, RANGES, UNITS, UNKNOWN_PATIENT, Clinical


def test_nobody_has_to_say_anything() -> None:
    assert Clinical() == UNKNOWN_PATIENT
    assert UNKNOWN_PATIENT.entered == {}


def test_only_what_was_entered_is_listed() -> None:
    assert Clinical(age_years=61.0, diabetes=False).entered == {"age_years": 61.0, "diabetes": False}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [-3.0, 1000.0, math.nan, math.inf])
def test_a_number_that_no_patient_has_is_refused_by_name_and_unit(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{LABELS[name]} must lie between .* {UNITS[name]}"):
        Clinical(**{name: value})


@pytest.mark.parametrize("age_years", [-3, 200])
def test_an_impossible_age_is_refused(age_years: float) -> None:
    with pytest.raises(ValueError, match="age must lie between 0 and 120 years"):
        Clinical(age_years=age_years)


@pytest.mark.parametrize("sex", ["x", "F", "", 1])
def test_an_unknown_sex_is_refused(sex: str) -> None:
    with pytest.raises(ValueError, match="sex must be f or m"):
        Clinical(sex=sex)


def test_diabetes_is_a_yes_or_a_no() -> None:
    with pytest.raises(ValueError, match="yes or no"):
        Clinical(diabetes="maybe")


@pytest.mark.parametrize("diastolic_mmhg", [120.0, 140.0])
def test_blood_pressures_that_changed_places_are_refused(diastolic_mmhg: float) -> None:
    with pytest.raises(ValueError, match="must be below the systolic"):
        Clinical(systolic_mmhg=120.0, diastolic_mmhg=diastolic_mmhg)


@given(st.sampled_from(sorted(RANGES)), st.floats(0, 1))
def test_every_number_within_its_range_is_taken(name: str, share: float) -> None:
    low, high = RANGES[name]
    value = low + share * (high - low)
    assert getattr(Clinical(**{name: min(value, high)}), name) == min(value, high)
