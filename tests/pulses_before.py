"""A runtime that sees a calibration pulse before every row, whose foot runs into the lead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ecgstudio.stages.contract import FloatMap, TraceMaps
from ecgstudio.stages.strips import STRIP_PX_PER_MM
from tests.synth_page import TruthRuntime

PER_MM = round(2 * STRIP_PX_PER_MM)
PULSE_MM, PULSE_HEIGHT_MM, SPREAD_PX = 5.0, 10.0, 1.2


@dataclass(frozen=True, slots=True)
class PulsesBefore(TruthRuntime):
    """Takes so many mm of a pulse's foot for the beginning of a lead, and sees the pulse before that."""

    foot_mm: float = 5.0

    def trace(self, strips: FloatMap) -> TraceMaps:
        """Answer with pulse and foot before what is printed."""
        maps = TruthRuntime.trace(self, strips)
        columns, presence = np.array(maps.columns), np.array(maps.presence)
        height = columns.shape[1]
        foot, pulse = round(self.foot_mm * PER_MM), round(PULSE_MM * PER_MM)
        for column, printed in zip(columns, presence, strict=True):
            shown = np.flatnonzero(printed > 0.5)
            if not len(shown):
                continue
            first = int(shown[0])
            level = np.full(first, height / 2 + 6.0)
            level[max(first - foot - pulse, 0) : max(first - foot, 0)] -= PULSE_HEIGHT_MM * STRIP_PX_PER_MM
            away = np.arange(height)[:, None] - level[None, :]
            column[:, :first] = -0.5 * (away / SPREAD_PX) ** 2
            column[:, :first] -= np.log(np.exp(column[:, :first]).sum(axis=0))
            printed[max(first - foot, 0) : first] = 0.97
        return replace(maps, columns=columns, presence=presence)
