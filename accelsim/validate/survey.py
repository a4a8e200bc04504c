"""The table of the survey: each of its machines, what is modelled of it, what checks it, or why it is cited only.

``python -m accelsim.validate.survey`` writes docs/survey.md. Machines, engines and counts are read from the packaged
machine files and cases when it is written, so the table says what is there and nothing else.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from accelsim import outputs
from accelsim.config import packaged
from accelsim.config.schema import Strict
from accelsim.config.yamlfile import read, validate
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.simulation import load_arch
from accelsim.validate.cases import Figure, engine_cases, replica_cases

HEAD = """\
# The machines of the survey

H. Cai et al., "Enable Deep Learning on Mobile Devices: Methods, Systems, and Applications", ACM TODAES 2022 (arXiv
2204.11786), section 6.2, and machines beside them. Written by `python -m accelsim.validate.survey` from the packaged
machines and from the cases that `accelsim validate` runs; figures and errors themselves are in `reports/validation.md`.

*Same work*: published figures of the same work on that machine, which are scored. *Other published*: averages of
other networks, bounds, figures behind a choice of ours. *Recalled*: reported without a verdict. *Peer*: another
simulator's or a paper's own formula, and RTL. *By hand*: derived from the rules. A replica is another tool's
arithmetic, and no engine.
"""
KINDS = ("same work", "other published", "recalled", "peer", "by hand")


class Entry(Strict):
    """A machine of the survey."""

    name: str
    year: str = Field(description="venue and year")
    machines: tuple[str, ...] = Field((), strict=False, description="patterns over packaged machines")
    replica: tuple[str, ...] = Field((), strict=False, description="patterns over `accelsim replica NAME`")
    cited: str = Field("", description="why nothing of it is here, where nothing is")


class Family(Strict):
    """Machines of one kind."""

    name: str
    machines: tuple[Entry, ...] = Field(strict=False)


class SurveyFile(Strict):
    """The list of machines; ``own`` are packaged machines that nobody published."""

    families: tuple[Family, ...] = Field(strict=False)
    own: tuple[str, ...] = Field(strict=False)


def listed() -> SurveyFile:
    """Return the machines of the survey.

    Raises
    ------
    ConfigError
        A packaged machine that no entry takes, or two.
    """
    path = Path(__file__).parent / "survey.yaml"
    found = validate(SurveyFile, read(path, "validate/survey.yaml"))
    for name in packaged.names("arch_configs"):
        takers = [e.name for family in found.families for e in family.machines if machines_of(e, found.own, name)]
        if len(takers) + (name in found.own) != 1:
            problem = f"'{name}' stands in {len(takers)} rows of the survey" + (f": {takers}" if takers else "")
            raise ConfigError(problem, "add it to one entry, or to 'own'", file="validate/survey.yaml")
    return found


def machines_of(entry: Entry, own: tuple[str, ...], *among: str) -> list[str]:
    """Return the machines that an entry takes."""
    return [name for name in among if name not in own and any(fnmatchcase(name, like) for like in entry.machines)]


def kind_of(case: Figure) -> str:
    """Return under which of `KINDS` a case counts."""
    if case.origin == "hand-derived":
        return "by hand"
    if case.origin == "published (recalled)":
        return "recalled"
    if case.origin in ("peer", "RTL") or case.proves == "peer formula":
        return "peer"
    return "same work" if case.proves == "comparable" else "other published"


def checked(cases: list[Figure]) -> str:
    """Return in words how many figures of which kind check a machine."""
    counts = Counter(map(kind_of, cases))
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]) or "none"


def to_markdown() -> str:
    """Return the page."""
    survey, names = listed(), packaged.names("arch_configs")
    on_machines = [case for cases in engine_cases().values() for case in cases]
    of_replicas = replica_cases()
    commands = sorted((Path(__file__).parents[1] / "cli").glob("replica_*.py"))
    replicas = [file.stem.removeprefix("replica_") for file in commands]
    lines = [HEAD]
    totals: Counter[str] = Counter()
    for family in survey.families:
        lines += [f"## {family.name}", "", "| machine | here as | modelled | figures |", "|---|---|---|---|"]
        for entry in family.machines:
            found = machines_of(entry, survey.own, *names)
            cases: list[Figure] = [case for case in on_machines if case.arch in found]
            copies = [name for name in replicas if any(fnmatchcase(name, like) for like in entry.replica)]
            there = [case for case in of_replicas if case.replica.replace(".", "_") in copies]
            here = [f"`{name}`" for name in found] + [f"replica `{name}`" for name in copies]
            engines = dict.fromkeys(unit.engine for name in found for unit in load_arch(name).units)
            modelled = "; ".join(f"`{name}`: {registry.get(name).notes.summary.rstrip('.')}" for name in engines)
            if not here and not entry.cited:
                raise ConfigError(f"nothing of '{entry.name}' is here", "say why: cited", file="validate/survey.yaml")
            totals["modelled" if found else "replica" if here else "cited"] += 1
            told = checked([*cases, *there]) if here else "none"
            row = (f"{entry.name} ({entry.year})", ", ".join(here) or "cited", modelled, told)
            if not found:
                row = (*row[:2], "a replica alone" if here else f"not modelled: {entry.cited}", told)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        lines.append("")
    told = f"{totals['modelled']} machines are modelled, {totals['replica']} are replicas alone, "
    return "\n".join([*lines, f"{told}{totals['cited']} are cited.", ""])


def main() -> None:
    """Write docs/survey.md."""
    target = Path(__file__).parents[2] / "docs" / "survey.md"
    outputs.write(target, to_markdown())


if __name__ == "__main__":
    main()
