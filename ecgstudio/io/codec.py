"""Our values as JSON and back: what the project file and the cache have in common.

A value is written as `{"type": its class, its fields}`; only the classes of the table below are ever made, so that a
file can hold no code. Numbers survive exactly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

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
from ecgstudio.core.ecg import DigitizedEcg, EcgRecord, LeadTrace
from ecgstudio.core.grid import GridFit, PaperScale
from ecgstudio.core.keypoints import Keypoints
from ecgstudio.core.rebuilt import RebuiltLeads, RebuiltTrace, Reconstruction
from ecgstudio.stages.contract import Failed, Key, Outcome
from ecgstudio.stages.quality import LeadQuality, QualityReport
from ecgstudio.stages.settings import (
    AssembleSettings,
    GridSettings,
    KeypointSettings,
    PipelineSettings,
    QualitySettings,
    ReconstructSettings,
    TraceSettings,
)

Array = np.ndarray[Any, np.dtype[Any]]

CLASSES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        Corrections, KeypointEdit, KeypointMove, GridEdit, TraceEdit, DiagnosisEdit, FindingEdit, Review,
        FiducialEdit, FiducialPlace, Clinical,
        TraceErase, TraceRedraw, TraceRelabel, TraceShift, TraceSplit, TraceMerge, TraceDelete, TraceAdd,
        PipelineSettings, KeypointSettings, GridSettings, TraceSettings, AssembleSettings, QualitySettings,
        ReconstructSettings, RebuiltTrace, Reconstruction, RebuiltLeads,
        Keypoints, GridFit, PaperScale, LeadTrace, DigitizedEcg, EcgRecord, LeadQuality, QualityReport,
        Failed, Key, Outcome,
    )
}  # fmt: skip

ARRAY_KINDS: Final = "fiub"  # floats, integers and booleans: arrays of anything else could not be stored unpickled


class CodecError(ValueError):
    """What was read is none of our values."""


def encode(value: object, *, arrays: list[Array] | None = None) -> object:
    """Turn a value into what JSON can say.

    Arrays go to `arrays` and leave their number behind; without such a list they are written out as lists.

    Raises:
        TypeError: the value holds something that we do not store.
    """
    match value:
        case np.generic():
            return encode(value.item(), arrays=arrays)
        case float() if not math.isfinite(value):
            return {"type": "float", "value": str(value)}
        case None | bool() | int() | float() | str():
            return value
        case np.ndarray():
            if value.dtype.kind not in ARRAY_KINDS:
                raise TypeError(f"an array of {value.dtype} is not stored")
            if arrays is None:
                return encode(value.tolist())
            return {"type": "array", "number": _number_of(value, arrays)}
        case tuple() | list():
            return [encode(item, arrays=arrays) for item in value]
        case Mapping():
            pairs = [[encode(name), encode(item, arrays=arrays)] for name, item in value.items()]
            return {"type": "mapping", "items": pairs}
        case _ if CLASSES.get(type(value).__name__) is type(value) and dataclasses.is_dataclass(value):
            fields = [field.name for field in dataclasses.fields(value) if field.init]
            return {
                "type": type(value).__name__,
                **{name: encode(getattr(value, name), arrays=arrays) for name in fields},
            }
        case _:
            raise TypeError(f"{type(value).__name__} is not stored")


def decode(value: object, *, arrays: Sequence[Array] = ()) -> object:
    """Turn what `encode` wrote back into the value; lists become tuples.

    Raises:
        CodecError: it is not what `encode` writes, or a value that cannot be.
    """
    try:
        return _decode(value, arrays)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise CodecError(str(error) or type(error).__name__) from error


def _decode(value: object, arrays: Sequence[Array]) -> object:
    match value:
        case list():
            return tuple(_decode(item, arrays) for item in value)
        case dict():
            match value["type"]:
                case "float":
                    return float(value["value"])
                case "array":
                    return arrays[int(value["number"])]
                case "mapping":
                    return {_decode(name, arrays): _decode(item, arrays) for name, item in value["items"]}
                case name:
                    fields = {key: _decode(item, arrays) for key, item in value.items() if key != "type"}
                    return _made(CLASSES[name], fields)
        case _:
            return value


def _made(kind: type, fields: dict[str, object]) -> object:
    """Make a value, after looking whether each field is of the kind that its class says."""
    hints = _hints(kind)
    for name, value in fields.items():
        if not _fits(value, hints[name]):
            raise TypeError(f"{kind.__name__}.{name} cannot be {value!r:.40}")
    return kind(**fields)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type hint has no type of its own
    """Tell whether a value is of the kind that an annotation asks for; what lies in an array its class will check."""
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray | tuple)
    if origin is tuple and isinstance(value, tuple):
        if inner[-1] is Ellipsis:
            return all(_fits(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return not isinstance(origin, type) or isinstance(value, origin)


def _number_of(array: Array, arrays: list[Array]) -> int:
    """Find the array among those stored already, or add it."""
    for number, known in enumerate(arrays):
        if known is array:
            return number
    arrays.append(array)
    return len(arrays) - 1
