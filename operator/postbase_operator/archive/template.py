"""Keys as values: one template gives a key's text and reads it back. PURE.

What people name freely (clusters, namespaces, Databases) has all but letters, digits, `_`, `-` and
`.` escaped as in a URL, so that no name can leave its folder or look like another key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a template: what it may look like, and both ways between value and text."""

    pattern: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _number(pattern: str, form: str, base: int = 10) -> Part:
    return Part(pattern, lambda value: format(value, form), lambda text: int(text, base))


def _word(pattern: str) -> Part:
    return Part(pattern, str, str)


def _escaped(name: str) -> str:
    if name in (".", ".."):
        return name.replace(".", "%2E")
    return re.sub(r"[^A-Za-z0-9_.-]", _escape, name)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _plain(text: str) -> str:
    """The name behind its escaped form; what is no UTF-8 comes back as another text."""
    return re.sub(
        r"(?:%[0-9A-F]{2})+",
        lambda match: bytes.fromhex(match[0].replace("%", "")).decode(errors="replace"),
        text,
    )


_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = Part(r"[A-Za-z0-9_.%-]+", _escaped, _plain)
PARTS = {
    "cluster": _NAME,
    "namespace": _NAME,
    "name": _NAME,
    "database_uid": _word(_UUID),
    "restore": _word(_UUID),
    "incarnation": _word(r"[0-9]{1,20}-[0-9]{1,9}"),
    "project_id": _word(r"proj_[a-z2-7]{26}"),
    "backup_id": _word(r"bkp_[a-z2-7]{26}"),
    "segment": _word(r"[0-9A-F]{24}"),
    "timeline": _number(r"[0-9A-F]{8}", "08X", 16),
    "start": _number(r"[0-9A-F]{16}", "016X", 16),
    "end": _number(r"[0-9A-F]{16}", "016X", 16),
    "lsn": _number(r"[0-9A-F]{16}", "016X", 16),
    "number": _number(r"[0-9]{6}", "06d"),
}


_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Key:
    """A place in the bucket. One that cannot be written is refused with ValueError when made.

    A template's fields are PARTS, or other keys by whose text it begins.
    """

    template: ClassVar[str] = ""
    pattern: ClassVar[str] = ""
    """Made from the template, with a named group for each field."""
    nested: ClassVar[dict[str, type[Key]]] = {}
    """The fields that are keys themselves."""

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls)
        names = [name for name in _FIELD.findall(cls.template) if name not in PARTS]
        cls.nested = {name: hints[name] for name in names}
        cls.pattern = _pattern(cls.template, cls.nested)

    def __post_init__(self) -> None:
        if not re.fullmatch(self.pattern, str(self)):
            raise ValueError(f"{type(self).__name__}: {str(self)!r} cannot be a key")

    def __str__(self) -> str:
        names = _FIELD.findall(self.template)
        return self.template.format(**{name: self._text(name) for name in names})

    def _text(self, name: str) -> str:
        value = getattr(self, name)
        return str(value) if isinstance(value, Key) else PARTS[name].write(value)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The key with this very text; None where it is none of this kind."""
        match = re.fullmatch(cls.pattern, text)
        if match is None:
            return None
        values: dict[str, Any] = {}
        for field in fields(cls):
            part, kind = match[field.name], cls.nested.get(field.name)
            values[field.name] = kind.read(part) if kind else PARTS[field.name].read(part)
        if None in values.values():
            return None
        key = cls(**values)
        return key if str(key) == text else None


def _pattern(template: str, nested: dict[str, type[Key]]) -> str:
    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in nested:
            inner = re.sub(r"\(\?P<\w+>", "(?:", nested[name].pattern)
        else:
            inner = PARTS[name].pattern
        return f"(?P<{name}>{inner})"

    fixed = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return _FIELD.sub(group, fixed)
