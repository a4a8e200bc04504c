"""``python -m benchmarks.oracles freeze|check [--folder DIR] [--only PART]``: freeze figures, or compare with them.

``check`` prints every difference with its figures and returns 1 if there is one. About four minutes of CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .figures import PARTS
from .frozen import differences, read, write

FOLDER = Path(__file__).with_name("frozen")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.oracles", description=__doc__)
    parser.add_argument("what", choices=("freeze", "check"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the frozen figures are")
    parser.add_argument("--only", choices=tuple(PARTS), action="append", help="validation, reports or points")
    said = parser.parse_args(argv)
    found = 0
    for part in said.only or PARTS:
        path, start = said.folder / f"{part}.jsonl.gz", time.process_time()
        if said.what == "freeze":
            number = write(path, PARTS[part]())
            figure = f"{number:,} frozen, {path.stat().st_size:,} bytes"
        elif not path.is_file():
            parser.error(f"{path} is missing: freeze it on the build to compare with")
        else:
            lines, here = read(path), 0
            for difference in differences(lines, PARTS[part]()):
                print(f"{part}: {difference}", flush=True)
                here += 1
            figure = f"{here:,} differences from {len(lines):,} frozen"
            found += here
        print(f"{part}: {figure}, {time.process_time() - start:.0f} s of CPU", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
