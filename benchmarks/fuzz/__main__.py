"""``python -m benchmarks.fuzz [COUNT] [FILE...]``: fuzz every kind of file and print what came of it.

By default ten thousand damaged files of each kind, and five thousand that are whole and make no sense (``absurd/``).
"""

from __future__ import annotations

import sys
import time

from benchmarks.fuzz.absurd_targets import ABSURD
from benchmarks.fuzz.run import ALL, fuzz


def main() -> int:
    given = int(sys.argv[1]) if len(sys.argv) > 1 else None
    failed = 0
    for name in sys.argv[2:] or ALL:
        count = given or (5_000 if name in ABSURD else 10_000)
        start = time.monotonic()
        outcome = fuzz(name, count)
        failed += len(outcome.defects)
        ends = ", ".join(f"{times:,} {end}" for end, times in outcome.ends.most_common())
        print(f"{name}: {count:,} inputs: {ends}; {time.monotonic() - start:.0f} s", flush=True)
        seen = set()
        for defect in outcome.defects:
            if defect.what not in seen and len(seen) < 20:
                print(f"  input {defect.index}: {defect.what}", flush=True)
            seen.add(defect.what)
    print(f"{failed} defects" if failed else "no defect")
    return 1 if failed else 0


sys.exit(main())
