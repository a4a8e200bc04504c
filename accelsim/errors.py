"""The errors of accelsim: what the user can mend, and what we must."""

from __future__ import annotations

from accelsim.text import visible

LONG_WORD = 240
"""Longer words of a message are cut: no path is, but a damaged file may hold anything."""


class AccelsimError(Exception):
    """Base of every error that accelsim raises on purpose."""


class UserError(AccelsimError):
    """A mistake in the input: one line that says where, what and how to mend it.

    Parameters
    ----------
    problem : str
        What is wrong, without a full stop.
    remedy : str
        What to do about it.
    file, line, key : str, int, str
        Where: any of them may be absent.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        self.problem, self.remedy = problem, remedy
        self.file, self.line, self.key = file, line, key
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ""
        if self.file is not None:
            where = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        key = f"{self.key}: " if self.key else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return _printable(" ".join(f"{where}{key}{self.problem}{remedy}".split()))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when an error crosses a process boundary."""
        return _rebuild, (
            type(self),
            self.problem,
            self.remedy,
            self.file,
            self.line,
            self.key,
        )


class ConfigError(UserError):
    """A machine, network, profile or option that cannot be read as it stands."""

    @classmethod
    def unreadable(cls, why: Exception, file: object, remedy: str = "check the path") -> ConfigError:
        """Return what is said of a file that the system, or a reader of its format, does not let be read."""
        reason = getattr(why, "strerror", None) or type(why).__name__
        return cls(f"cannot be read ({reason})", remedy, file=str(file))


class WorkloadError(UserError):
    """A network that is malformed, or asks for what is not supported."""


class MappingError(UserError):
    """No legal mapping: what does not fit, and by how much."""

    @classmethod
    def too_many(cls, layer: str) -> MappingError:
        """Return what is said of a layer whose counts 64-bit integers may not hold."""
        return cls(f"layer '{layer}': its counts exceed 64-bit integers", "split the layer")


class FitError(MappingError):
    """A layer that no mapping of its unit makes fit: it is left out where layers may be skipped."""

    @classmethod
    def of(cls, layer: str, error: MappingError) -> FitError:
        """Return what an engine says of a layer, which it may name or not, under the layer's name."""
        named = f"layer '{layer}': "
        return cls(named + error.problem.removeprefix(named), error.remedy)

    def reason(self, layer: str) -> str:
        """Return why the layer did not run, for a place that names it already."""
        problem = self.problem.removeprefix(f"layer '{layer}': ")
        return f"{problem}; {self.remedy}" if self.remedy else problem


class PriceError(UserError):
    """An energy table without a price for an action of a component."""


class ModelError(AccelsimError):
    """An invariant of ours is broken. Never the user's fault; exit status 3."""


def _printable(text: str) -> str:
    """Return the text with what a terminal would not show, or would obey, spelt out, and very long words cut."""
    words = visible(text).split(" ")
    return " ".join(word if len(word) <= LONG_WORD else f"{word[:LONG_WORD]}..." for word in words)


def _rebuild(
    cls: type[UserError],
    problem: str,
    remedy: str,
    file: str | None,
    line: int | None,
    key: str | None,
) -> UserError:
    return cls(problem, remedy, file=file, line=line, key=key)
