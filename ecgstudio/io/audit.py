"""The audit log's entries: who changed what and when, holding no more of before and after than what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ecgstudio.core.page import PageId


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change by a human: when (ISO 8601, UTC), who, on which page, what, and with which networks.

    `before` and `after` are parts of the page's encoded corrections, as `difference` gives them.
    """

    at: str
    by: str
    text: str
    page: PageId | None = None
    before: object = field(default_factory=dict)
    after: object = field(default_factory=dict)
    weights: str = ""


def difference(before: Any, after: Any) -> tuple[object, object]:  # noqa: ANN401 - JSON
    """Return what differs between two encoded values: of an object its fields, of a list what follows the common start.

    `applied(before, part of after)` is `after`, and the other way round.
    """
    if _same_kind(before, after):
        names = [name for name in after if name != "type" and not _equal(before[name], after[name])]
        parts = {name: difference(before[name], after[name]) for name in names}
        return {name: part[0] for name, part in parts.items()}, {name: part[1] for name, part in parts.items()}
    if isinstance(before, list) and isinstance(after, list):
        shared = 0
        while shared < min(len(before), len(after)) and _equal(before[shared], after[shared]):
            shared += 1
        return {"from": shared, "items": before[shared:]}, {"from": shared, "items": after[shared:]}
    return before, after


def applied(value: Any, part: Any) -> Any:  # noqa: ANN401 - JSON
    """Put a part that `difference` gave onto the encoded value that it was taken against."""
    if not isinstance(part, Mapping) or "type" in part:
        return part
    if isinstance(value, list):
        return [*value[: part["from"]], *part["items"]]
    return {**value, **{name: applied(value[name], inner) for name, inner in part.items()}}


def _same_kind(before: object, after: object) -> bool:
    return (
        isinstance(before, dict)
        and isinstance(after, dict)
        and before.keys() == after.keys()
        and before.get("type") == after.get("type")
        and "type" in before
    )


def _equal(one: object, other: object) -> bool:
    """Compare JSON values; True is not 1, and 1 not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(item, other[name]) for name, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other
