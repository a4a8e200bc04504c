"""Address mappings: which bits of an address say the channel, bank, row and column.

A mapping is written from the high end of the address to the low one, as simulators name them: ``RoBaRaCoCh`` has the
row on top, then bank, rank, column, and the channel just above the bytes of a transaction. The parts are

``Ch`` channel, ``Pc`` pseudo channel, ``Ra`` rank (with stack id, and pseudo channel where there is no ``Pc``, lowest),
``Bg`` bank group, ``Ba`` bank (with bank group lowest where there is no ``Bg``), ``Ro`` row, ``Co`` column.

A part may be cut, from its low end up: ``Co2`` is 2 bits of it, a piece without a number is the rest. ``-xor``
at the end flips the bits of bank and bank group by the lowest of the row, so that strides over rows spread over banks.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from accelsim.config.dram.standard import Organisation, bits
from accelsim.errors import ConfigError

MAPPINGS = {
    "RoBaRaCoCh": "rows stay open for sequential streams; the default",
    "RoCoBaRaCh": "consecutive transactions alternate between bank groups, then banks",
    "RoBaRaCoBgCh": "consecutive transactions alternate between bank groups",
    "RoBaRaCoCh-xor": "as RoBaRaCoCh; strides over rows spread over banks",
}
"""Mapping -> what it is for. Any other may be given in the same letters."""
PARTS = ("Ch", "Pc", "Ra", "Bg", "Ba", "Ro", "Co")
_WORDS = re.compile(r"([A-Z][a-z])([0-9]{0,2})")


class Place(NamedTuple):
    """Where each of several addresses lies: int64 arrays of one length.

    ``channel``; ``bank`` in the channel, of all pseudo channels, ranks and groups; ``row``; ``column`` in transactions.
    """

    channel: np.ndarray
    bank: np.ndarray
    row: np.ndarray
    column: np.ndarray


@dataclass(frozen=True)
class Mapping:
    """A mapping for an organisation and a number of channels.

    Attributes
    ----------
    name : str
    organisation : Organisation
    channels : int
        A power of two.

    Raises
    ------
    ConfigError
        Unknown letters, a part that is missing, twice or cut wrongly, channels that are no power of two.
    """

    name: str
    organisation: Organisation
    channels: int = 1

    def __post_init__(self) -> None:
        if self.channels < 1 or self.channels & (self.channels - 1) or self.channels > 1 << 12:
            raise ConfigError(
                f"{self.channels} channels: addresses have whole bits", "give a power of two, at most 4096"
            )
        _ = self.pieces

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.organisation.capacity_bytes * self.channels

    @cached_property
    def widths(self) -> dict[str, int]:
        """Part -> its address bits."""
        o = self.organisation
        parts = re.findall("[A-Z][a-z]", self.name)
        pseudo, group = bits(o.pseudo_channels), bits(o.bank_groups)
        return {
            "Ch": bits(self.channels),
            "Pc": pseudo if "Pc" in parts else 0,
            "Ra": bits(o.ranks * o.stack_ids) + (0 if "Pc" in parts else pseudo),
            "Bg": group if "Bg" in parts else 0,
            "Ba": bits(o.banks_per_group) + (0 if "Bg" in parts else group),
            "Ro": bits(o.rows),
            "Co": bits(o.columns // o.prefetch),
        }

    @cached_property
    def pieces(self) -> tuple[tuple[str, int, int], ...]:
        """Pieces from the low end: part, lowest bit of the part in the piece, bits."""
        text = self.name.removesuffix("-xor")
        found = _WORDS.findall(text)
        if "".join(a + b for a, b in found) != text or any(part not in PARTS for part, _ in found) or not found:
            known = {name.lower(): name for name in MAPPINGS}
            close = [known[name] for name in difflib.get_close_matches(self.name.lower(), known, n=1, cutoff=0.6)]
            hint = (
                f"did you mean '{close[0]}'?" if close else f"write {', '.join(PARTS)} from the high end, as RoBaRaCoCh"
            )
            raise ConfigError(f"no address mapping is called '{self.name}'", hint)
        rest = {p: self.widths[p] - sum(int(n) for part, n in found if part == p and n) for p in PARTS}
        taken = dict.fromkeys(PARTS, 0)
        pieces = []
        for part, number in reversed(found):
            wide = int(number) if number else rest[part]
            if rest[part] < 0 or taken[part] + wide > self.widths[part] or found.count((part, "")) > 1:
                raise self._error(f"has more of {part} than its {self.widths[part]} bits", "name each part once")
            pieces.append((part, taken[part], wide))
            taken[part] += wide
        for part, wide in self.widths.items():
            if taken[part] < wide:
                raise self._error(
                    f"does not cover the address: {wide - taken[part]} of {wide} bits of {part} are missing",
                    f"add '{part}'",
                )
        return tuple(pieces)

    def _error(self, problem: str, remedy: str) -> ConfigError:
        return ConfigError(f"mapping '{self.name}' {problem}", remedy)

    @property
    def _flipped(self) -> int:
        return min(
            bits(self.organisation.bank_groups * self.organisation.banks_per_group), bits(self.organisation.rows)
        )

    def decode(self, address: np.ndarray) -> Place:
        """Return where addresses lie; bits beyond the capacity are ignored.

        Parameters
        ----------
        address : ndarray
            int64, in bytes, not negative.
        """
        left = address >> bits(self.organisation.tx_bytes)
        part = {name: np.zeros(address.shape, dtype=np.int64) for name in PARTS}
        for name, low, wide in self.pieces:
            part[name] |= (left & ((1 << wide) - 1)) << low
            left = left >> wide
        o = self.organisation
        if not self.widths["Pc"]:
            part["Pc"], part["Ra"] = part["Ra"] & (o.pseudo_channels - 1), part["Ra"] >> bits(o.pseudo_channels)
        if not self.widths["Bg"]:
            part["Bg"], part["Ba"] = part["Ba"] & (o.bank_groups - 1), part["Ba"] >> bits(o.bank_groups)
        bank = part["Bg"] << bits(o.banks_per_group) | part["Ba"]
        if self.name.endswith("-xor"):
            bank = bank ^ (part["Ro"] & ((1 << self._flipped) - 1))
        unit = part["Pc"] << bits(o.ranks * o.stack_ids) | part["Ra"]
        return Place(part["Ch"], unit << bits(o.bank_groups * o.banks_per_group) | bank, part["Ro"], part["Co"])
