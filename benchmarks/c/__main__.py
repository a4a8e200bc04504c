"""``python -m benchmarks.c [ENGINE...]``: CPU time of each kernel and of the same loop in C, and their ratio."""

import sys

from .measure import rows

for row in rows(sys.argv[1:]):
    times = f"{1e3 * row.ours_s:8.1f} ms, C {1e3 * row.c_s:8.1f} ms: {row.ratio:5.2f}"
    print(f"{row.engine:15} {row.kernel:14} {times}  {row.case}", flush=True)
