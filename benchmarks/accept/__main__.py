"""``python -m benchmarks.accept``: measure every promise, print each figure, fail if one does not hold."""

import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

PARTS = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "__main__", "check"))


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    failed = 0
    for part in sys.argv[1:] or PARTS:
        console.print(f"[bold]{part}[/bold]")
        for check in import_module(f"benchmarks.accept.{part}").checks():
            mark = {True: "ok  ", False: "FAIL", None: "    "}[check.holds]
            console.print(f"  {mark} {check.promise}: {check.figure}", markup=False)
            failed += check.holds is False
    console.print(f"{failed} promises do not hold" if failed else "every promise holds")
    return 1 if failed else 0


sys.exit(main())
