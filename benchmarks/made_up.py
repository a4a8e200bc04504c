"""A store of any size with made-up figures, and names that are markup: for tests and measurements of pages."""

import json

from accelsim.explore.sweep.layersets import layer_set
from accelsim.explore.sweep.space import Point
from accelsim.explore.sweep.store import Row, open_writer

NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "</script><script>alert(3)</script>\"' onmouseover='alert(4)'",
    "{{ 7 * 7 }} <!-- & \\u003c ${alert(5)} ]]>",
)
"""What a file from elsewhere may call a layer, a machine or a network."""


def big_store(path, number, machine="my_array", network="net", question=""):
    """Write a store whose figures are made up: a hundred columns of points, one row ruled out."""
    points, rows, layers = [], [], layer_set(("conv",))
    for i in range(number):
        sets = (("params.rows", 1 + i // 100), ("params.cols", 1 + i % 100))
        points.append(Point(i, i, machine, network, sets, (), f"key{i:06}", None))
        rows.append(Row(f"key{i:06}", "ok", None, _totals(i), ran=layers))
    points.append(Point(number, number, machine, network, sets, (), "out", "constraint: params.rows < 3"))
    about = {
        "name": "big",
        "question": question,
        "objectives": json.dumps(["cycles", "total_energy_pj"]),
        "axes": json.dumps([{"name": f"params.{n}", "keys": [f"params.{n}"], "steps": 100} for n in ("rows", "cols")]),
        "sweep": json.dumps({"name": "big", "machines": [machine], "networks": [network]}),
    }
    with open_writer(path, model="made up") as store:
        store.set_plan(points, about, {network: (layers, None)})
        store.add(rows)


def _totals(i):
    """Return figures that trade time for energy, all different."""
    cycles = 1_000_000 + 7919 * i % 1_000_003
    pj = 4e15 / cycles * (1 + (104_729 * i % 1009) / 1009)
    causes = {"busy": cycles * 0.7, "fill_drain": cycles * 0.1, "memory": cycles * 0.2}
    return {
        "cycles": cycles, "time_s": cycles / 1e9, "macs": 10**9, "effective_macs": 10**9, "total_energy_pj": pj,
        "edp_pj_s": pj * cycles / 1e9, "dram_read_bits": 10**7 + i, "dram_write_bits": 10**6,
        "dram_bits": 11 * 10**6 + i,
        "occupancy": 0.7, "utilization": 0.6, "tops": 1e9 / cycles, "tops_per_w": 2e9 / pj, "area_mm2": None,
        "complete": True, "coverage_macs": 1.0, "coverage_layers": 1.0, "coverage_dram_bits": 1.0,
        "layers_simulated": 1, "layers_needed": 1, "clock_mhz": 1000.0, "energy_table": "45nm", "no_area": None,
        "energy_pj": {"macs": pj * 0.4, "glb": pj * 0.1, "dram": pj * 0.5}, "cycles_by_cause": causes,
    }  # fmt: skip
