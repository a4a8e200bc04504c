"""The old name of `accelsim.engine`, for plug-ins that import it; goes with the next release."""

import sys

from accelsim import engine

sys.modules[__name__] = engine
