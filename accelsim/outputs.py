"""Every file that accelsim writes: whole under its own name, or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

from accelsim.errors import ConfigError

Content: TypeAlias = str | bytes | Callable[[BinaryIO], object]
"""What goes into a file: text (UTF-8, lines as they are), bytes, or what writes into the open file."""


def write(path: Path, content: Content, remedy: str = "choose another file with -o") -> None:
    """Write a file in one step: whoever looks sees all of it, or what was there before.

    Raises
    ------
    ConfigError
        When it cannot be written; an earlier file stays as it was.
    """
    with partial(path, remedy) as part:
        _fill(part, content)


@contextmanager
def partial(path: Path, remedy: str = "choose another file with -o") -> Iterator[Path]:
    """Give a name in the same folder to write to, which becomes ``path`` when the block ends well.

    A link stays one, and what is no regular file (``/dev/stdout``, a pipe) is written as it is.

    Raises
    ------
    ConfigError
        When the system refuses any of it; then nothing is left behind, and an earlier file stays as it was.
    """
    target = path
    part: Path | None = None
    try:
        target = path.resolve() if path.is_symlink() else path
        if target.is_dir():
            raise ConfigError("is a folder", remedy, file=str(path))
        if target.exists() and not target.is_file():
            yield target
            return
        # not the temporary folder of the system: a rename must not cross file systems
        part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.partial")
        yield part
        _settle(part)
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
        part = None
    except OSError as error:
        problem = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ConfigError(problem, remedy, file=str(path)) from None
    finally:
        if part is not None:
            for left in (part, part.with_name(f"{part.name}-journal")):  # SQLite's own, of a store that was cut short
                with suppress(OSError):
                    left.unlink(missing_ok=True)


def write_set(folder: Path, files: Mapping[str, Content], stale: Iterable[str] = ()) -> None:
    """Write several files that belong together, the last of which marks a whole set.

    All are first written under other names in a folder of their own inside ``folder``. Only then the earlier files of
    these names go, and those of ``stale``, and the new ones take their places in order. So a run that fails leaves an
    earlier set as it was, one that is killed leaves no last file unless the set is whole, and two sets never mix.
    Other files in the folder are not touched.

    Raises
    ------
    OSError
        When the folder cannot be made or written: no permission, no space, a file in its place.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        try:
            for name, content in files.items():
                _fill(aside / f"{name}.partial", content)
            for name in (*reversed(list(files)), *stale):
                (folder / name).unlink(missing_ok=True)
            for name in files:
                os.replace(aside / f"{name}.partial", folder / name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        with suppress(OSError):  # of the folders that were made for this, innermost first, the empty ones
            for path in new:
                path.rmdir()
        raise


def create(folder: Path, files: Mapping[str, Content], beside: Mapping[Path, Content] | None = None) -> None:
    """Make a folder with files in it, whose names may have folders of their own, and other files ``beside`` it.

    Nothing of it may be there already. The folder comes last and in one step, so that it is whole or not there.

    Raises
    ------
    ConfigError
        When something is there, or the system refuses any of it; then nothing is left behind.
    """
    others, remedy = beside or {}, "choose another folder with -o"
    for path in (folder, *others):
        if path.exists() or path.is_symlink():
            raise ConfigError("is there already", "choose another name, or remove it first", file=str(path))
    new = [path for path in folder.parents if not path.exists()]
    aside = folder.with_name(f".{folder.name[:40]}.{secrets.token_hex(4)}.partial")
    made: list[Path] = []
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            _fill(aside / name, content)
        for path, content in others.items():
            write(path, content, remedy)
            made.append(path)
        os.rename(aside, folder)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        for path in made:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            for path in new:
                path.rmdir()
        if isinstance(error, OSError):
            problem = f"cannot be written ({(error.strerror or str(error)).lower()})"
            raise ConfigError(problem, remedy, file=str(folder)) from None
        raise


def _fill(path: Path, content: Content) -> None:
    with path.open("wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode() if isinstance(content, str) else content)


def _settle(path: Path) -> None:
    """Have the system write a file to the disk, which may find only now that it is full."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
