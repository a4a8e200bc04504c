"""What an event costs and what a component occupies.

A table is a named, selectable input of a run. Tables of this field disagree by up to five times, so every figure of
one carries its source and how far it can be trusted, and `provenance` follows each price of a machine back to its rows.
"""

from accelsim.energy.account import (
    CLOCKED,
    LEAKAGE,
    Areas,
    ProvenanceRow,
    area_mm2,
    energy_pj,
    leakage_mw,
    prices_in_use,
    provenance,
)
from accelsim.energy.machine import RUNNING, clocked, complete, states, waiting_pj_per_cycle
from accelsim.energy.price import Price, Table
from accelsim.energy.tables import (
    DEFAULT,
    Supply,
    at_node,
    at_supply,
    kept_table,
    load_table,
    price_sets,
    table_names,
)

__all__ = [
    "CLOCKED",
    "DEFAULT",
    "LEAKAGE",
    "RUNNING",
    "Areas",
    "Price",
    "ProvenanceRow",
    "Supply",
    "Table",
    "area_mm2",
    "at_node",
    "at_supply",
    "clocked",
    "complete",
    "energy_pj",
    "kept_table",
    "leakage_mw",
    "load_table",
    "price_sets",
    "prices_in_use",
    "provenance",
    "states",
    "table_names",
    "waiting_pj_per_cycle",
]
