"""YAML read strictly, with the line of every key: repeated keys and YAML 1.1's surprises are errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from accelsim.errors import ConfigError
from accelsim.text import nearest, quoted

KeyPath: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

MAX_FILE_BYTES = 16 * 2**20
"""Larger files are refused before they are parsed."""
MAX_DEPTH = 40
"""Deeper nesting is refused: no machine or network needs it."""
MAX_NODES = 300_000
"""More values than this are refused."""

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_NUMBER = re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$")
_OCTAL = re.compile(r"[-+]?0\d+$")
_CLOCK = re.compile(r"[-+]?\d+(:[0-5]?\d)+(\.\d*)?$")
_WORD_BOOL = re.compile(r"(yes|no|on|off)$", re.IGNORECASE)


@dataclass(frozen=True)
class Document:
    """Plain data and where each part of it stands.

    Attributes
    ----------
    data : dict
        The content, with plain Python types.
    name : str
        The file's name as messages show it.
    places : mapping
        Key path -> (file name, line); a path without an entry takes that of its nearest parent.
    listed : bool
        Whether the file is a list, which stands under the only key.
    """

    data: dict[str, Any]
    name: str
    places: Mapping[KeyPath, tuple[str, int | None]] = field(default_factory=dict)
    listed: bool = False

    def place(self, path: KeyPath) -> tuple[str, int | None]:
        """Return file name and line of ``path`` or of its nearest parent."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.places.get((), (self.name, None))

    def error(self, path: KeyPath, problem: str, remedy: str = "") -> ConfigError:
        """Return the error to raise for what stands at ``path``."""
        file, line = self.place(path)
        return ConfigError(problem, remedy, file=file, line=line, key=dotted(path))


def dotted(path: KeyPath) -> str:
    """Return a key path as people write it: ``units.0.params.rows``."""
    return ".".join(str(part) for part in path)


def read(path: Path, name: str | None = None, listed: str | None = None) -> Document:
    """Read a YAML file whose top level is a mapping.

    Parameters
    ----------
    path : Path
    name : str, optional
        How messages call the file; the path by default.
    listed : str, optional
        Key under which to put the items of a file that is a list; it is refused by default.

    Raises
    ------
    ConfigError
        Missing or unreadable file, malformed YAML, repeated key, text or booleans that were meant as numbers or
        words, nesting or size beyond reason.
    """
    shown = name or str(path)
    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
        if len(body) > MAX_FILE_BYTES:
            raise ConfigError(f"file is larger than {MAX_FILE_BYTES >> 20} MiB", "split it", file=shown)
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError("not a text file in UTF-8", "give a YAML file", file=shown) from None
    except OSError as error:
        raise ConfigError.unreadable(error, shown) from None
    return parse(text, shown, listed)


def parse(text: str, name: str, listed: str | None = None) -> Document:
    """Parse YAML text; see `read`."""
    if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
        problem = f"character U+{ord(bad[0]):04X} is not allowed in YAML"
        remedy = "remove it; an editor may not show it"
        raise ConfigError(problem, remedy, file=name, line=text.count("\n", 0, bad.start()) + 1)
    loader = _LOADER(text)
    try:
        return _Builder(name, loader).document(_Composer(name, loader).root(), listed)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = error.problem or error.context or "malformed YAML"
        raise ConfigError(f"not valid YAML: {problem}", "correct the syntax", file=name, line=line) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {quoted(error)}", "correct the syntax", file=name) from None
    finally:
        loader.dispose()


def of_values(values: Mapping[str, Any], name: str) -> Document:
    """Return the document of values built in Python, read as strictly as a file; messages call it ``name``.

    Raises
    ------
    ConfigError
        Values other than mappings, lists, words, numbers and None; whatever `parse` refuses.
    """
    try:
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError:
        problem = "holds values other than mappings, lists, words and numbers"
        raise ConfigError(problem, "use plain values", file=name) from None
    document = parse(text, name)
    return Document(document.data, name, dict.fromkeys(document.places, (name, None)))


class _Composer:
    """Puts the events of a file together to nodes; what is too much is refused when it comes, not after all the rest.

    libyaml's events where PyYAML was built with it: a list of a million numbers costs a second before it is refused.
    """

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name, self._loader = name, loader
        self._anchors: dict[str, Any] = {}
        self._count = 0

    def root(self) -> Any:
        """Return the only document's node, None for an empty file."""
        take = self._loader.get_event
        take()  # the stream begins
        if self._loader.check_event(yaml.StreamEndEvent):
            return None
        take()
        node = self._node(take(), 0)
        take()
        if not self._loader.check_event(yaml.StreamEndEvent):
            raise self._fail(take(), "expected a single document, but found another", "keep one")
        return node

    def _node(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fail(event, f"not valid YAML: found undefined alias '{event.anchor}'", "define it")
            return self._anchors[event.anchor]
        if depth > MAX_DEPTH:
            raise self._fail(event, "nested too deeply", f"use at most {MAX_DEPTH} levels")
        mark, end, tag = event.start_mark, event.end_mark, event.tag
        if isinstance(event, yaml.ScalarEvent):
            if tag is None or tag == "!":
                tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            scalar = yaml.ScalarNode(tag, event.value, mark, end, event.style)
            return self._anchored(event, scalar)
        items: list[Any] = []
        if isinstance(event, yaml.SequenceStartEvent):
            node = self._anchored(event, yaml.SequenceNode(tag, items, mark, end))
            while not isinstance(item := self._loader.get_event(), yaml.SequenceEndEvent):
                self._counted(item)
                items.append(self._node(item, depth + 1))
            return node
        node = self._anchored(event, yaml.MappingNode(tag, items, mark, end))
        while not isinstance(key := self._loader.get_event(), yaml.MappingEndEvent):
            self._counted(key)
            items.append((self._node(key, depth + 1), self._node(self._loader.get_event(), depth + 1)))
        return node

    def _anchored(self, event: Any, node: Any) -> Any:
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise self._fail(event, f"not valid YAML: found duplicate anchor '{event.anchor}'", "rename one")
            self._anchors[event.anchor] = node
        return node

    def _counted(self, event: Any) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._fail(event, f"more than {MAX_NODES:,} values", "make the file smaller")

    def _fail(self, event: Any, problem: str, remedy: str) -> ConfigError:
        return ConfigError(problem, remedy, file=self._name, line=event.start_mark.line + 1)


class _Builder:
    """Turns YAML nodes into plain data while noting lines."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name, self._loader = name, loader
        self._places: dict[KeyPath, tuple[str, int | None]] = {}
        self._count = 0

    def document(self, root: yaml.Node | None, listed: str | None) -> Document:
        if root is None:
            raise ConfigError("the file is empty", "write at least 'name:'", file=self._name)
        if listed is not None and isinstance(root, yaml.SequenceNode):
            return Document({listed: self._value(root, (listed,))}, self._name, self._places, listed=True)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError("the top level is not a mapping", "write 'key: value' lines", file=self._name, line=1)
        self._places[()] = (self._name, root.start_mark.line + 1)
        data = self._mapping(root, ())
        return Document(data, self._name, self._places)

    def _fail(self, node: yaml.Node, path: KeyPath, problem: str, remedy: str) -> ConfigError:
        line = node.start_mark.line + 1
        return ConfigError(problem, remedy, file=self._name, line=line, key=dotted(path))

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAX_NODES or len(path) > MAX_DEPTH:
            what = f"more than {MAX_NODES:,} values" if self._count > MAX_NODES else "nested too deeply"
            raise self._fail(node, path[:3], what, "make the file smaller; aliases count each time they are used")
        self._places.setdefault(path, (self._name, node.start_mark.line + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise self._fail(key_node, path, "a key is not a word", "use plain words as keys")
            here = (*path, key)
            if key == "<<":
                raise self._fail(key_node, here, "merge keys are not supported", "use 'base: other.yaml'")
            if key in found:
                first = self._places[here][1]
                raise self._fail(key_node, here, f"repeated key, first on line {first}", "keep one of the two")
            self._places[here] = (self._name, key_node.start_mark.line + 1)
            found[key] = self._value(value_node, here)
        return found

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        text = node.value
        if node.style:  # quoted, or a block of lines
            return text
        if _OCTAL.match(text):
            raise self._fail(node, path, f"'{text}' would be octal", f"write {text.lstrip('+-0') or '0'} or quote it")
        if _CLOCK.match(text):
            raise self._fail(node, path, f"'{text}' would be read in base 60", f"quote it: '{text}'")
        if _WORD_BOOL.match(text):
            raise self._fail(node, path, f"'{text}' would be a boolean", f"write true or false, or quote it: '{text}'")
        if node.tag not in _TAGS:
            raise self._fail(node, path, f"tag {node.tag} is not allowed", "use plain numbers, words and lists")
        if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:str"):
            return text
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            raise self._fail(node, path, f"'{text[:40]}' cannot be read", "write a plain value") from None


_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}


def validate(model: type[Model], document: Document, path: KeyPath = ()) -> Model:
    """Return ``document``'s part at ``path`` as ``model``, or raise the first of its mistakes as a ConfigError."""
    data: Any = document.data
    for part in path:
        data = data[part]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = error.errors()
        # a misspelt key is also a missing one: the spelling is the better message
        first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
        raise _explain(model, document, path, first) from None


def _explain(model: type[BaseModel], document: Document, path: KeyPath, error: ErrorDetails) -> ConfigError:
    loc: KeyPath = error["loc"]
    where = (*path, *_without_tags(document, path, loc))
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(_known_keys(model, loc[:-1]))
        remedy = nearest(str(loc[-1]), known, f"known keys: {', '.join(known) or 'none'}")
        return document.error(where, "unknown key", remedy)
    if kind == "missing":
        return document.error(where, "missing key", f"add '{loc[-1]}: ...'{_meaning(model, loc)}")
    if isinstance(given, str) and _TEXT_NUMBER.match(given) and kind.startswith(("int", "float", "is_instance")):
        number = float(given)
        plain = str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.6e}"
        return document.error(where, f"'{given}' is text in YAML, not a number", f"write {plain}")
    return document.error(where, *_plain_words(kind, given, context, error["msg"]))


def _without_tags(document: Document, path: KeyPath, loc: KeyPath) -> KeyPath:
    """Drop the parts of a pydantic location that name a union's member and not a key."""
    data: Any = document.data
    for part in path:
        data = data[part]
    kept: list[str | int] = []
    for i, part in enumerate(loc):
        inside = isinstance(data, dict) and part in data
        indexed = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if inside or indexed:
            data = data[part]
        elif i < len(loc) - 1:
            continue
        kept.append(part)
    return tuple(kept)


def _plain_words(kind: str, given: Any, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    value = shown(given)
    bounds = {
        "greater_than_equal": ("is too small", "at least", "ge"),
        "greater_than": ("is too small", "more than", "gt"),
        "less_than_equal": ("is too large", "at most", "le"),
        "less_than": ("is too large", "less than", "lt"),
        "multiple_of": ("does not fit", "a multiple of", "multiple_of"),
    }
    if kind in bounds:
        problem, words, key = bounds[kind]
        return f"{value} {problem}", f"must be {words} {context.get(key)}"
    wanted = {
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "string_type": "a word or text (quote it if it looks like a number)",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "list_type": "a list",
        "tuple_type": "a list",
        "dict_type": "a mapping of keys to values",
        "model_type": "a mapping of keys to values",
        "model_attributes_type": "a mapping of keys to values",
    }
    if kind in wanted:
        return f"{value} is of the wrong type", f"must be {wanted[kind]}"
    if kind == "too_short":
        return "the list is too short", f"give at least {context.get('min_length')}"
    if kind == "string_pattern_mismatch":
        return f"{value} has characters that are not allowed", "use letters, digits, '_', '.' and '-'"
    if kind in ("literal_error", "enum"):
        return f"{value} is not a known value", f"must be {context.get('expected')}"
    if kind == "value_error":
        problem, _, remedy = str(context.get("error", message)).partition("; ")
        return problem, remedy
    message = message if len(message) <= 300 else f"{message[:297]}..."  # it may quote what was given
    return f"{value}: {message[:1].lower()}{message[1:]}", ""


def shown(value: Any) -> str:
    """Return how a message shows what a file gives: short, whatever it is."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(model: type[BaseModel], loc: KeyPath) -> Iterator[str]:
    """Yield the keys that are known where ``loc`` points into ``model``."""
    for candidate in _models_at(model, loc):
        yield from (info.alias or name for name, info in candidate.model_fields.items())


def _models_at(model: type[BaseModel], loc: KeyPath) -> list[type[BaseModel]]:
    """Return the schemas that may stand where ``loc`` points into ``model``."""
    current: list[type[BaseModel]] = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        inside = [
            m
            for c in current
            for name, info in c.model_fields.items()
            if part in (name, info.alias)
            for m in _models_in(info.annotation)
        ]
        of_kind = [c for c in current if "kind" in c.model_fields and part in _literals(c)]
        current = inside or of_kind or current
    return current


def _meaning(model: type[BaseModel], loc: KeyPath) -> str:
    """Return what a missing key means, where its schema says so."""
    described = [m.model_fields[str(loc[-1])] for m in _models_at(model, loc[:-1]) if str(loc[-1]) in m.model_fields]
    if not described:
        return ""
    field = described[0]
    kind = {"bool": "true or false", "int": "a whole number", "float": "a number"}.get(
        getattr(field.annotation, "__name__", ""), ""
    )
    words = ", ".join(word for word in (kind, field.description or "") if word)
    return f" ({words})" if words else ""


def _literals(model: type[BaseModel]) -> tuple[Any, ...]:
    return getattr(model.model_fields["kind"].annotation, "__args__", ())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
