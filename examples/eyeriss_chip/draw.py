"""Draw the Eyeriss chip beside this build, and one of its passes cycle by cycle.

    python examples/eyeriss_chip/draw.py [FOLDER]      writes FOLDER/eyeriss_chip.png and FOLDER/eyeriss_pass.png

The first picture is made of the engine's validation cases; the second of the reference, which steps every PE.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bars
import timeline
from matplotlib import rc_context

from accelsim.report.plots import STYLE

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports/out")
    with rc_context(STYLE):
        print(bars.draw(folder))
        print(timeline.draw(folder))
