"""Papers behind a machine as BibTeX, from what its file says: authors, "title", venue and year."""

from __future__ import annotations

import re
from typing import NamedTuple

CONFERENCES = {
    "ASPLOS": "Architectural Support for Programming Languages and Operating Systems",
    "DAC": "Design Automation Conference",
    "FCCM": "International Symposium on Field-Programmable Custom Computing Machines",
    "FPGA": "International Symposium on Field-Programmable Gate Arrays",
    "FPL": "International Conference on Field-Programmable Logic and Applications",
    "HPCA": "International Symposium on High-Performance Computer Architecture",
    "IJCNN": "International Joint Conference on Neural Networks",
    "ISCA": "International Symposium on Computer Architecture",
    "ISVLSI": "IEEE Computer Society Annual Symposium on VLSI",
    "ISSCC": "International Solid-State Circuits Conference",
    "MICRO": "International Symposium on Microarchitecture",
    "SOCC": "International System-on-Chip Conference",
}
JOURNALS = {
    "IEEE Computer": "IEEE Computer",
    "IEEE TNNLS": "IEEE Transactions on Neural Networks and Learning Systems",
    "JETCAS": "IEEE Journal on Emerging and Selected Topics in Circuits and Systems",
    "JSSC": "IEEE Journal of Solid-State Circuits",
}
_PAPER = re.compile(
    r'(?P<authors>(?:[A-Z][\w.\'-]*\.? ?)+(?:, (?:[A-Z][\w.\'-]*\.? ?)+)*(?: et al\.)?), "(?P<title>[^"]+)", '
    r"(?P<venue>[A-Z][A-Za-z ]*[A-Za-z]) ?(?:(?P<volume>\d+)\((?P<number>\d+)\),)? ?(?P<year>\d{4})"
)
"""Authors, "title", venue, volume(number) where given, year."""


class Paper(NamedTuple):
    """A publication as a file names it.

    Attributes
    ----------
    authors : tuple of str
        Initials and family name; the last is ``others`` where the file says et al.
    title, venue : str
    year : int
    volume, number : str
        Of a journal; empty where the file does not say.
    """

    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    volume: str = ""
    number: str = ""

    @property
    def key(self) -> str:
        """Family name of the first author, year and first word of the title, in small letters."""
        words = (self.authors[0].split()[-1], str(self.year), re.split(r"[\W_]+", self.title)[0])
        return "".join(re.sub(r"\W", "", word) for word in words).lower()

    def bibtex(self) -> str:
        """Return the entry; what the file does not say is left out."""
        journal = JOURNALS.get(self.venue)
        place = journal or (f"{CONFERENCES[self.venue]} ({self.venue})" if self.venue in CONFERENCES else self.venue)
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            "journal" if journal else "booktitle": place,
            "volume": self.volume,
            "number": self.number,
            "year": str(self.year),
        }
        lines = [f"  {name:9} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{'article' if journal else 'inproceedings'}{{{self.key},", *lines, "}"])


def papers(text: str) -> list[Paper]:
    """Return the publications that a text names, each once, in its order."""
    found: dict[str, Paper] = {}
    for match in _PAPER.finditer(" ".join(text.split())):
        names = match["authors"].removesuffix(" et al.").split(", ")
        if match["authors"].endswith("et al."):
            names.append("others")
        authors = tuple(name.strip() for name in names)
        paper = Paper(
            authors, match["title"], match["venue"], int(match["year"]), match["volume"] or "", match["number"] or ""
        )
        found.setdefault(paper.title, paper)
    return list(found.values())
