"""Runs in ZigZag's environment: its latency and CPU time for each layer of a list, as JSON on standard output.

The stages are those of ``zigzag.api`` without the ones that write files and pictures, which would only cost time.
"""

import json
import logging
import sys
from pathlib import Path
from time import process_time

from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
from zigzag.stages.main import MainStage
from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
from zigzag.stages.parser.workload_parser import WorkloadParserStage
from zigzag.stages.results.reduce_stages import MinimalLatencyStage, SumStage
from zigzag.stages.workload_iterator import WorkloadStage

HERE = Path(__file__).parent


class CountedStage(CostModelStage):
    """The cost model, which also counts the mappings that it evaluates."""

    evaluated = 0

    def run(self):
        """Evaluate one mapping."""
        CountedStage.evaluated += 1
        yield from super().run()


STAGES = [
    WorkloadParserStage, AcceleratorParserStage, SumStage, WorkloadStage, MinimalLatencyStage,
    SpatialMappingGeneratorStage, MinimalLatencyStage, TemporalMappingGeneratorStage, CountedStage,
]  # fmt: skip


def described(layer):
    """Return a layer in ZigZag's words."""
    stride, pad = layer["stride"], layer["pad"]
    return {
        "id": 0,
        "name": layer["name"],
        "operator_type": "Conv",
        "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
        "dimension_relations": [f"ix={stride[1]}*ox+1*fx", f"iy={stride[0]}*oy+1*fy"],
        "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [layer[key] for key in ("n", "k", "c", "e", "f", "r", "s")],
        "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": [layer["w"], layer["h"]],
        "padding": [[pad[1], pad[3]], [pad[0], pad[2]]],
    }


def main():
    """Evaluate the layers on standard input several times; the smallest time counts."""
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    found = []
    for layer in given["layers"]:
        times = []
        for _ in range(given["rounds"]):
            CountedStage.evaluated, began = 0, process_time()
            stage = MainStage(
                STAGES, accelerator=str(HERE / "machine.yaml"), workload=[described(layer)],
                mapping=str(HERE / "mapping.yaml"), loma_lpf_limit=6, loma_show_progress_bar=False,
                nb_mappings_generated=1, enable_mix_spatial_mapping_generation=False,
                access_same_data_considered_as_no_access=True, temporal_mapping_type=TemporalMappingType.UNEVEN,
            )  # fmt: skip
            cost = stage.run()[0][0]
            times.append(process_time() - began)
        found.append(
            {
                "name": layer["name"],
                "cycles": float(cost.latency_total2),
                "cpu_s": min(times),
                "mappings": CountedStage.evaluated,
            }
        )
    json.dump(found, sys.stdout)


main()
