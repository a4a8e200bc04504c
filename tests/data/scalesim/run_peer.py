"""Run SCALE-Sim 3.0.0 on one configuration and topology, without its trace files.

In an environment of its own (``pip install scalesim==3.0.0 'numpy<2.4'``), from this folder:
    python run_peer.py CONFIG.cfg TOPOLOGY.csv OUTPUT [--gemm]
The reports appear in OUTPUT/<run_name of the configuration>.
"""

import sys
import tempfile

from scalesim.scale_sim import scalesim

config, topology, output = sys.argv[1:4]
with tempfile.NamedTemporaryFile("w", suffix=".csv") as layout:  # mandatory, though layouts are off
    layout.write("Layer name,\n")
    layout.flush()
    run = scalesim(
        save_disk_space=True,
        verbose=False,
        config=config,
        topology=topology,
        layout=layout.name,
        input_type_gemm="--gemm" in sys.argv,
    )
    run.run_scale(top_path=output)
