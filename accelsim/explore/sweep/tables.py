"""The tables of a store: which there are, and their columns."""

from __future__ import annotations

FORMAT = "2"
"""Version of the layout of the tables that is written."""
READABLE = ("1", FORMAT)
"""Versions that are read; the first knows nothing of shared layers, clocks and energy tables."""

SUMS = (
    "cycles", "time_s", "macs", "effective_macs", "total_energy_pj", "edp_pj_s", "dram_read_bits", "dram_write_bits",
    "dram_bits", "occupancy", "utilization", "tops", "tops_per_w",
)  # fmt: skip
"""Columns of figures that are taken over layers: of all that a point ran, and of those that all points share."""
TOTALS = (
    *SUMS, "area_mm2", "complete", "coverage_macs", "coverage_layers", "coverage_dram_bits", "layers_simulated",
    "layers_needed", "clock_mhz", "energy_table", "no_area",
)  # fmt: skip
"""Columns of a point, in the order of exports; ``no_area`` names components on the chip without a figure for it."""
PARTS = ("energy_pj", "cycles_by_cause")
"""Columns that hold a JSON mapping."""

COMMON = ("key", "layers", *SUMS, *PARTS)
"""Columns of sums over shared layers."""

COLUMNS = {
    "meta": ("key", "value"),
    "plan": ("position", "key", "machine", "network", "axes", "reason"),
    "totals": ("key", "status", "reason", *TOTALS, *PARTS, "ran"),
    "common": COMMON,
    "networks": ("network", "needed", "shared"),
    "layer_sets": ("digest", "names"),
    "layers": ("key", "number", "row"),
}
"""Table -> its columns."""
FIRST = {
    **{name: COLUMNS[name] for name in ("meta", "plan", "layers")},
    "totals": ("key", "status", "reason", *SUMS, "area_mm2", "complete", "coverage_macs", "coverage_layers", *PARTS),
}
"""The same of the first format."""
TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE plan (position INTEGER PRIMARY KEY, key TEXT NOT NULL, machine TEXT NOT NULL, network TEXT NOT NULL,
                   axes TEXT NOT NULL, reason TEXT);
CREATE INDEX plan_key ON plan (key);
CREATE TABLE totals (key TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, {", ".join(TOTALS)},
                     {", ".join(PARTS)}, ran TEXT);
CREATE TABLE common (key TEXT NOT NULL, layers TEXT NOT NULL, {", ".join(SUMS)}, {", ".join(PARTS)},
                     PRIMARY KEY (key, layers));
CREATE TABLE networks (network TEXT PRIMARY KEY, needed TEXT NOT NULL, shared TEXT) WITHOUT ROWID;
CREATE TABLE layer_sets (digest TEXT PRIMARY KEY, names TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (key TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL,
                     PRIMARY KEY (key, number)) WITHOUT ROWID;
"""
