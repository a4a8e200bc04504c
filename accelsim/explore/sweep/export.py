"""A store as a table: CSV, Parquet, or a pandas frame."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.basis import Incomplete
from accelsim.errors import ConfigError
from accelsim.explore.sweep import ranking
from accelsim.explore.sweep.store import Store
from accelsim.explore.sweep.tables import PARTS, SUMS
from accelsim.outputs import write as write_file
from accelsim.text import csv_text

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
_SETS = ("ran", "needed", "shared", "whole", "common")


def rows(store: Store, layers: bool = False, incomplete: Incomplete = "common") -> list[dict[str, Any]]:
    """Return the flat rows of all points (or of all layers), each with the same keys in the same order.

    Figures are of all layers that a point ran. ``ranks`` says whether it compares with the others of its network, and
    ``not_simulated`` names the layers that it left out. Where points of a network differ in that, columns
    ``common.<figure>`` hold the sums over the layers that all of them simulate, or with ``incomplete`` ``drop``, those
    that cover less than others are left out. Energy is spread over columns ``energy_pj.<component>``, time over
    ``cycles_by_cause.<cause>``.

    Raises
    ------
    ConfigError
        Layers wanted of a store that was made without them.
    """
    if layers and store.meta()["layers"] != "yes":
        raise ConfigError("the store has no layer rows", "sweep with --keep layers", file=str(store.path))
    found = list(store.layer_rows()) if layers else list(_points(store, incomplete))
    known: dict[str, None] = {}
    for row in found:
        known |= dict.fromkeys(row)
    # the parts come last and sorted, so that the columns do not depend on which point came first
    columns = [key for key in known if key.split(".")[0] not in PARTS]
    columns += sorted(key for key in known if key.split(".")[0] in PARTS)
    return [{column: row.get(column) for column in columns} for row in found]


def write(store: Store, path: Path, layers: bool = False, incomplete: Incomplete = "common") -> int:
    """Write a table by the suffix of ``path`` and return the number of rows."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"tables of type '{suffix}' are unknown", f"write to one of {', '.join(SUFFIXES)}", file=str(path)
        )
    found = rows(store, layers, incomplete)
    if not found:
        raise ConfigError("there are no rows to write", "run the sweep into this store first", file=str(path))
    write_file(path, _parquet(found, path) if suffix == ".parquet" else to_csv(found))
    return len(found)


def to_csv(found: Iterable[dict[str, Any]]) -> str:
    """Return rows as CSV: floats in their shortest exact form, nothing for what has no value."""
    table = list(found)
    return csv_text([*table[:1], *(row.values() for row in table)])


def to_pandas(store: Store, layers: bool = False, incomplete: Incomplete = "common") -> pd.DataFrame:
    """Return the rows as a pandas frame.

    Raises
    ------
    ConfigError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError("pandas is not installed", "pip install 'accelsim[table]'") from None
    return pd.DataFrame(rows(store, layers, incomplete))


def _points(store: Store, incomplete: Incomplete) -> Iterator[dict[str, Any]]:
    """Yield the rows of points; those that `rows` puts last come as they are found."""
    found = list(store.rows())
    ranked = iter(ranking.ranked(found, incomplete)[0])
    differ = incomplete == "common" and any(row["shared"] is not None for row in found)
    for row in found:
        skipped = ranks = None
        figures: Mapping[str, Any] = {}
        if row["status"] == "ok":
            _, figures, ranks, shown = next(ranked)
            if not shown:
                continue
            if row["ran"] is not None:
                skipped = " ".join(name for name in row["needed"] if name not in row["ran"]) or None
        common = {f"common.{name}": figures.get(name) if ranks else None for name in SUMS} if differ else {}
        yield _flat(row) | {"not_simulated": skipped, "ranks": ranks} | common


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in row.items() if key not in (*PARTS, *_SETS)}
    for part in PARTS:
        flat |= {f"{part}.{name}": value for name, value in row[part].items()}
    return flat


def _parquet(found: list[dict[str, Any]], path: Path) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        remedy = "pip install 'accelsim[table]', or write .csv"
        raise ConfigError("Parquet needs pyarrow", remedy, file=str(path)) from None
    columns = list(found[0]) if found else []
    arrays = {name: pa.array(_of_one_kind([row[name] for row in found])) for name in columns}
    out = io.BytesIO()
    parquet.write_table(pa.table(arrays), out)
    return out.getvalue()


def _of_one_kind(values: list[Any]) -> list[Any]:
    """Return a column as it is, or as text where numbers and words are mixed."""
    kinds = {type(v) for v in values if v is not None}
    return (
        values if len(kinds - {int, float}) == 0 or len(kinds) == 1 else [None if v is None else str(v) for v in values]
    )
