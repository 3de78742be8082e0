"""Any corrections that a human could make: hypothesis strategies."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ecgstudio.core.clinical import Clinical
from ecgstudio.core.corrections import (
    Corrections,
    DiagnosisEdit,
    FiducialEdit,
    FiducialPlace,
    FindingEdit,
    GridEdit,
    KeypointEdit,
    KeypointMove,
    Review,
    TraceAdd,
    TraceDelete,
    TraceEdit,
    TraceErase,
    TraceMerge,
    TraceRedraw,
    TraceRelabel,
    TraceShift,
    TraceSplit,
)
from ecgstudio.core.fiducials import Fiducial
from ecgstudio.core.leads import AUTO_LAYOUT, KEYPOINT_NAMES, LAYOUTS, LEADS

finite = st.floats(allow_nan=False, allow_infinity=False)
any_float = st.floats()
xy = st.tuples(any_float, any_float)
positive = st.floats(min_value=1e-3, max_value=1e3)
texts = st.text(st.characters(), max_size=30)  # lone surrogates too: a file's name may hold them
leads = st.sampled_from(LEADS)


def coordinates(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, shape, elements=finite)


lines = st.integers(2, 5).flatmap(lambda count: coordinates(count, 2))

moves = st.one_of(
    st.builds(KeypointMove, st.sampled_from(KEYPOINT_NAMES), xy, st.none() | xy),
    st.builds(KeypointMove, st.sampled_from(KEYPOINT_NAMES), st.none(), xy),
)
keypoint_edits = st.builds(
    KeypointEdit,
    moves=st.lists(moves, max_size=4).map(tuple),
    orientation=st.none() | st.integers(0, 7),
    px_per_mm=st.none() | positive,
    angle_rad=st.none() | finite,
    corners=st.none() | st.tuples(xy, xy, xy, xy),
)
grid_edits = st.builds(
    GridEdit,
    moves=st.integers(0, 3).flatmap(lambda count: coordinates(count, 2, 2)),
    nodes=st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(lambda size: coordinates(*size, 2)),
    mm_per_s=st.none() | positive,
    mm_per_mV=st.none() | positive,
)
trace_changes = st.one_of(
    st.builds(TraceErase, xy, xy),
    st.builds(TraceRedraw, lines, st.none() | leads),
    st.builds(TraceRelabel, xy, leads),
    st.builds(TraceShift, xy, any_float, any_float),
    st.builds(TraceSplit, xy),
    st.builds(TraceMerge, xy, xy),
    st.builds(TraceDelete, xy),
    st.builds(TraceAdd, leads, lines),
)
trace_edits = st.builds(TraceEdit, st.lists(trace_changes, max_size=4).map(tuple))
findings = st.builds(FindingEdit, texts, st.sampled_from(("accept", "reject")), texts)
reviews = st.builds(Review, st.sampled_from(("accepted", "rejected")), texts.filter(bool), texts.filter(bool), texts)
fiducial_edits = st.dictionaries(st.sampled_from(Fiducial), finite, max_size=4).map(
    lambda places: FiducialEdit(tuple(FiducialPlace(fiducial, at_s) for fiducial, at_s in places.items()))
)
patients = st.builds(
    Clinical,
    age_years=st.none() | st.floats(0, 120),
    sex=st.none() | st.sampled_from(("f", "m")),
    height_cm=st.none() | st.floats(30, 250),
    weight_kg=st.none() | st.floats(1, 400),
    systolic_mmhg=st.none() | st.floats(100, 320),
    diastolic_mmhg=st.none() | st.floats(20, 90),
    diabetes=st.none() | st.booleans(),
)
corrections = st.builds(
    Corrections,
    keypoints=st.none() | keypoint_edits,
    grid=st.none() | grid_edits,
    traces=st.none() | trace_edits,
    diagnosis=st.none() | st.builds(DiagnosisEdit, st.lists(findings, max_size=3).map(tuple)),
    review=st.none() | reviews,
    scale_answer=st.booleans(),
    comment=texts,
    layout=st.none() | st.sampled_from((AUTO_LAYOUT, *LAYOUTS)),
    fiducials=st.none() | fiducial_edits,
    clinical=patients,
)
