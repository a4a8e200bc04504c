"""``python -m benchmarks.mutants [--draw N] [--seed S] [ID or AREA...]``: which mutations do the tests notice?

Exit status 1 if a mutation survives that ``survivors.yaml`` does not explain, or could not be tested.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from benchmarks.mutants import run, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ID or AREA")
    parser.add_argument("--draw", type=int, metavar="N", help="only N of them, drawn at random")
    parser.add_argument("--seed", help="of the draw; a digest of the sources by default")
    options = parser.parse_args()
    mutants = table.load()
    seed = options.seed or table.seed_of(mutants, run.ROOT)
    try:
        chosen = table.choose(mutants, options.names, options.draw, seed)
    except ValueError as error:
        parser.error(str(error))
    if options.draw is not None:
        print(f"{len(chosen)} mutations drawn by seed {seed}", flush=True)
    verdicts = []
    with run.tree() as tree:
        for mutant in chosen:
            verdict = tree.judge(mutant)
            verdicts.append(verdict)
            print(f"{verdict.state:8} {mutant.id:42} {verdict.cpu_s:5.1f} s  {verdict.by}", flush=True)
        unsound = tree.failing(verdicts)
    return report(verdicts, table.survivors(), unsound)


def report(verdicts: list[run.Verdict], explained: dict[str, str], unsound: list[str]) -> int:
    """Print the table and what is amiss; return the exit status."""
    print(f"\n{'area':12} {'mutants':>8} {'killed':>8} {'survived':>8} {'CPU s':>8}")
    areas = dict.fromkeys(verdict.mutant.area for verdict in verdicts)
    for area in (*areas, "all"):
        mine = [verdict for verdict in verdicts if area in (verdict.mutant.area, "all")]
        states = Counter(verdict.state for verdict in mine)
        seconds = sum(verdict.cpu_s for verdict in mine)
        print(f"{area:12} {len(mine):8} {states['killed']:8} {states['survived']:8} {seconds:8.0f}")
    wrong = 0
    for state, name, why in _amiss(verdicts, explained, unsound):
        print(f"{state}: {name}: {why}")
        wrong += state != "explained"
    return 1 if wrong else 0


def _amiss(verdicts: list[run.Verdict], explained: dict[str, str], unsound: list[str]) -> list[tuple[str, str, str]]:
    found = [("FAILS WITHOUT A MUTATION", test, "its kills do not count") for test in unsound]
    for verdict in verdicts:
        name = verdict.mutant.id
        if verdict.state == "unfit":
            found.append(("UNFIT", name, verdict.by))
        elif verdict.state == "survived":
            known = name in explained
            found.append(("explained" if known else "SURVIVED", name, explained.get(name, verdict.mutant.file)))
        elif name in explained:
            found.append(("explained", name, "listed as a survivor, but killed: take it off the list"))
    return found


if __name__ == "__main__":
    sys.exit(main())
