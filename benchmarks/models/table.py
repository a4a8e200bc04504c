"""The page `benchmarks/models.md`: a row per file, and totals."""

from __future__ import annotations

from typing import Any

EXCUSED = (
    "String", "Sequence", "SplitToSequence", "ConcatFromSequence", "Optional", "Random", "Bernoulli", "Multinomial",
    "Dropout", "Gradient", "Adam", "Momentum", "ImageDecoder", "NonMaxSuppression", "RoiAlign", "MaxRoiAlign",
    "GridSample", "DeformConv", "DFT", "STFT", "Loop", "Scan", "Tfidf", "RegexFullMatch",
)  # fmt: skip
"""Operators (by how their names begin) that no accelerator here is asked to run."""
BEHIND = "it comes after an unsupported operator"

INTRODUCTION = """# Real ONNX files

`make models` writes this page: files that packages ship, installed by name, and exports of torch and torchvision with
random weights, by both exporters (`torchscript`: `dynamo=False`, `dynamo`: `dynamo=True`). None of the files is kept
here. Each runs on `edge_npu` with the sizes given that it leaves open; operators that the machine cannot run are left
out (`--unsupported skip`) and named.

- *MACs* are accelsim's; *counted* are counted from the shapes of the operators that ONNX Runtime ran, by the operators'
  definitions (`benchmarks/models/independent.py`), bodies of branches and loops included, products of constants not.
- *Values*: layers whose output, computed in float64 from the runtime's inputs and the network's tensors, is the
  runtime's within 1e-3 of its largest magnitude, of those that can be compared: products, pools, softmax, and parts of
  operators that became several layers; files of up to 300 million MACs. What a layer does not say is not compared:
  where the parts of transposed convolutions, of Einsum and of windows over three dimensions lie, places of extremes,
  logarithms of a softmax, zero points of integers.
- *Check*: layers that agree with NumPy under `--check`; files of up to 3 million MACs.
"""


def page(rows: list[dict[str, Any]]) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, *totals(rows), ""]
    for title, part in (("Files from packages", wheels(rows)), ("Exports of torch and torchvision", exports(rows))):
        parts += [f"## {title}", "", *lines(part), ""]
    return "\n".join(parts)


def wheels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of files from packages."""
    return [row for row in rows if row["source"] not in ("torch", "torchvision")]


def exports(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of exports."""
    return [row for row in rows if row["source"] in ("torch", "torchvision")]


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table."""
    head = ("file", "source", "sizes given", "result", "MACs", "counted", "values", "check")
    body = [
        (
            row["name"],
            row["source"],
            " ".join(f"{name}={size}" for name, size in row["dims"].items()),
            verdict(row),
            _number(row.get("macs")),
            "the same" if row.get("macs") is not None and row["macs"] == row.get("independent")
            else _number(row.get("independent")),
            f"{row['equal']} of {row['compared']}" if row.get("compared") else "",
            "{} of {}".format(*_checks(row)) if _checks(row)[1] else "",
        )
        for row in rows
    ]  # fmt: skip
    shown = [head, tuple("---:" if i in (4, 5) else "---" for i in range(len(head))), *body]
    return ["| " + " | ".join(text.replace("|", "/").replace("\n", " ") for text in line) + " |" for line in shown]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def verdict(row: dict[str, Any]) -> str:
    """Return what became of a file, in words."""
    if "missing" in row:
        return f"not tried: {row['missing']}"
    if row.get("refused"):
        return f"refused: {row['refused']}"
    if "left_out" not in row:
        return str(row["problem"])
    left = row["left_out"]
    text = "left out: " + ", ".join(f"{op} x{count}" for op, count in sorted(left.items())) if left else "whole"
    return f"{text}; {row['problem']}" if row["problem"] else text


def whole(row: dict[str, Any]) -> bool:
    """Whether nothing is left out."""
    return "left_out" in row and not row.get("refused") and not row["left_out"]


def excused(row: dict[str, Any]) -> bool:
    """Whether nothing is left out but operators that are excused and what comes behind them."""
    if row.get("refused") or "left_out" not in row:
        return False
    causes = [reason for reason in row["reasons"] if BEHIND not in reason]
    return all(reason.startswith(EXCUSED) for reason in causes)


def faulty(row: dict[str, Any]) -> bool:
    """Whether accelsim broke, or its MACs or values are others than the runtime's."""
    if "missing" in row:
        return False
    differ = row.get("macs") is not None and row.get("independent") is not None and row["macs"] != row["independent"]
    values = (
        row.get("equal", 0) != row.get("compared", 0) or row.get("checked", [0, 0])[0] != row.get("checked", [0, 0])[1]
    )
    return bool(differ or values or "left_out" not in row or (row["refused"] and row["refused"] == row["problem"]))


def _checks(row: dict[str, Any]) -> tuple[int, int]:
    passed, checks = row.get("checked", (0, 0))
    return passed, checks


def totals(rows: list[dict[str, Any]]) -> list[str]:
    """Return the totals as a table."""
    head = ["of", "files", "whole", "whole but for excused operators", "refused", "MACs equal", "MACs differ",
            "not counted", "values equal", "checks passed"]  # fmt: skip
    found = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, part in (("packages", wheels(rows)), ("exports", exports(rows)), ("all", rows)):
        tried = [row for row in part if "missing" not in row]
        counted = [r for r in tried if r.get("macs") is not None and r.get("independent") is not None]
        same = sum(row["macs"] == row["independent"] for row in counted)
        found.append([
            name, str(len(tried)), _share(sum(map(whole, tried)), len(tried)),
            _share(sum(map(excused, tried)), len(tried)), str(sum(bool(row.get("refused")) for row in tried)),
            str(same), str(len(counted) - same), str(len(tried) - len(counted)),
            f"{sum(r.get('equal', 0) for r in tried):,} of {sum(r.get('compared', 0) for r in tried):,}",
            f"{sum(_checks(r)[0] for r in tried):,} of {sum(_checks(r)[1] for r in tried):,}",
        ])  # fmt: skip
    return ["| " + " | ".join(line) + " |" for line in found]


def _share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.0f} %)" if of else "0"
