"""Base of engines that multiply operands up to a width and choose no mapping, and of their plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from accelsim.engine import Engine, Machine, NoMapping, Word
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d

ParamsT = TypeVar("ParamsT", bound=BaseModel)


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What every walk needs; an engine adds what it looked up in the operands."""

    view: LayerView
    conv: Conv2d
    params: Any
    machine: Machine


class MultiplierEngine(Engine[ParamsT, NoMapping]):
    """Engine with ``params.operand_bits`` of an operand and ``params.accumulator_bits`` of a sum."""

    primary = "multipliers"

    def words(self, view: LayerView, params: ParamsT) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.operand_bits, "multipliers")  # type: ignore[attr-defined]
        sums = Word(params.accumulator_bits, "accumulators")  # type: ignore[attr-defined]
        return {"input": operand, "weight": operand, "output": sums}
