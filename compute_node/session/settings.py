"""Session settings: SET, SHOW, RESET with PostgreSQL's names, checks and transactional behaviour (manual, chapter 20).

``Settings`` is an overlay: nothing is stored for a setting that has its default, so that an idle session costs
little. ``SET`` is undone when its transaction (or savepoint) rolls back, ``SET LOCAL`` when the transaction ends.
Values are held as Python bool, int, float or str in the setting's own unit; ``show`` gives the text that SHOW prints.

Errors: 42704 unknown setting, 22023 bad value, 55P02 not changeable now, 42501 not permitted, 42602 bad custom name.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from aurora.errors import (
    CannotChangeRuntimeParam,
    InsufficientPrivilege,
    InvalidName,
    InvalidParameterValue,
    NotSupported,
    SqlError,
    UndefinedObject,
)
from compute_node.session.settings_table import CATEGORIES, ENUMS
from compute_node.types.boolean import boolean_word
from compute_node.types.calendar_ import posix_zone
from compute_node.types.charsets.names import MULE, find_encoding
from compute_node.types.common import whole_number
from compute_node.types.oid import lsn_out, parse_lsn

SettingValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    type: str
    boot: SettingValue
    context: str
    unit: str
    least: str
    greatest: str
    enum: tuple[str, ...]
    category: str


REPORTED: Final = (
    "application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby",
    "integer_datetimes", "IntervalStyle", "is_superuser", "server_encoding", "server_version", "session_authorization",
    "standard_conforming_strings", "TimeZone",
)  # fmt: skip
"""Settings whose changes the client hears of, in the order of the first report."""

SECRET: Final = frozenset(
    (  # noqa: SIM905
        "config_file data_directory dynamic_library_path external_pid_file hba_file ident_file jit_provider "
        "krb_server_keyfile log_directory log_filename primary_conninfo session_preload_libraries "
        "shared_preload_libraries ssl_ciphers ssl_dh_params_file ssl_ecdh_curve ssl_max_protocol_version "
        "ssl_min_protocol_version ssl_passphrase_command unix_socket_directories"
    ).split()
)
"""Settings that only superusers and members of pg_read_all_settings see."""

GUARDED: Final = frozenset(("role", "session_authorization"))
"""Settings that say whom the session acts as."""

_MEMORY_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME_UNITS = {"us": 1, "ms": 1000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_NUMBER = re.compile(r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*(\S*)\s*\Z")
_CUSTOM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+\Z")
LISTS = frozenset(
    (
        "search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries",
        "shared_preload_libraries",
    )
)  # fmt: skip
"""Settings whose value is a list of identifiers, quoted where they need it."""


def _units(unit: str) -> tuple[dict[str, int], int] | None:
    """The family of a setting's unit and that unit's size in the family's smallest."""
    if unit == "8kB":
        return _MEMORY_UNITS, 8192
    if unit in _MEMORY_UNITS:
        return _MEMORY_UNITS, _MEMORY_UNITS[unit]
    if unit in _TIME_UNITS:
        return _TIME_UNITS, _TIME_UNITS[unit]
    return None


def _invalid(setting: Setting, text: str, hint: str | None = None, detail: str | None = None) -> SqlError:
    message = f'invalid value for parameter "{setting.name}": "{text}"'
    return InvalidParameterValue(message, hint=hint, detail=detail)


def _parse_number(setting: Setting, text: str) -> int | float:
    match = _NUMBER.match(text)
    if match is None:
        raise _invalid(setting, text)
    digits, unit = match.groups()
    hexadecimal = digits.lower().lstrip("+-").startswith("0x")
    fractional = re.search(r"[.eE]", digits) is not None
    number: float = int(digits, 16) if hexadecimal else float(digits) if fractional else whole_number(digits)
    family = _units(setting.unit)
    if unit:
        if family is None:
            raise _invalid(setting, text)
        units, base = family
        if unit not in units:
            *most, last = (f'"{name}"' for name in units)
            raise _invalid(setting, text, f"Valid units for this parameter are {', '.join(most)}, and {last}.")
        number = number * units[unit] / base
    value: int | float = float(number)
    if setting.type == "integer":
        value = round(number)
        if abs(value) > 0x7FFFFFFF:
            raise _invalid(setting, text, "Value exceeds integer range.")
    if not float(setting.least) <= value <= float(setting.greatest):
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        suffix = f" {setting.unit}" if setting.unit else ""
        raise InvalidParameterValue(
            f'{shown}{suffix} is outside the valid range for parameter "{setting.name}" '
            f"({setting.least} .. {setting.greatest})"
        )
    return value


def parse_value(setting: Setting, text: str) -> SettingValue:
    """The value that a text means for a setting (22023 when it means none)."""
    if setting.type == "bool":
        value = boolean_word(text.strip())
        if value is None:
            raise InvalidParameterValue(f'parameter "{setting.name}" requires a Boolean value')
        if value and setting.name == "default_with_oids":
            raise NotSupported("tables declared WITH OIDS are not supported")
        return value
    if setting.type == "enum":
        lowered = text.strip().lower()
        for choice in setting.enum:
            if choice.lower() == lowered:
                return choice
        truth = boolean_word(lowered) if "on" in setting.enum else None
        if truth is not None:
            return "on" if truth else "off"
        raise _invalid(setting, text, f"Available values: {', '.join(setting.enum)}.")
    if setting.type in ("integer", "real"):
        return _parse_number(setting, text)
    check = _CHECKS.get(setting.name)
    return check(setting, text) if check is not None else text


def show_value(setting: Setting, value: SettingValue) -> str:
    """SHOW's text: a number in the largest unit that keeps it whole."""
    if setting.type == "bool":
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    family = _units(setting.unit)
    if family is None or value <= 0:
        if setting.type == "integer":
            # PostgreSQL shows the permission masks in octal; none of them is in the table.
            return str(int(value))
        return f"{value:g}"
    units, base = family
    total = value * base
    for name, size in reversed(units.items()):
        if total % size == 0:
            return f"{int(total // size)}{name}"
    return f"{value:g}{setting.unit}"


def _check_datestyle(setting: Setting, text: str) -> str:
    """``style, order``, either part empty when the text does not say it: see ``_complete``."""
    style = order = ""
    for word in (part.strip() for part in text.split(",")):
        lowered = word.lower()
        if lowered in ("iso", "sql", "german"):
            style = {"iso": "ISO", "sql": "SQL", "german": "German"}[lowered]
        elif lowered.startswith("postgres"):
            style = "Postgres"
        elif lowered == "ymd":
            order = "YMD"
        elif lowered == "dmy" or lowered.startswith("euro"):
            order = "DMY"
        elif lowered in ("mdy", "us") or lowered.startswith("noneuro"):
            order = "MDY"
        elif lowered == "default":
            style, order = style or "ISO", order or "MDY"
        else:
            raise _invalid(setting, text, detail=f'Unrecognized key word: "{word}".')
    if style == "German":
        order = order or "DMY"
    return f"{style}, {order}"


def _complete(setting: Setting, value: SettingValue, held: SettingValue) -> SettingValue:
    """A DateStyle that names a style or an order alone leaves the other as it is."""
    if setting.name != "DateStyle":
        return value
    parts = zip(str(value).split(", "), str(held).split(", "), strict=True)
    return ", ".join(mine or theirs for mine, theirs in parts)


_ZONE_NAMES: dict[str, str] = {}


def zone_for(name: str) -> tzinfo | None:
    """The tzinfo of a time zone name as ``SHOW TimeZone`` gives it; None when there is no such zone."""
    return zoneinfo.ZoneInfo(name) if name in _ZONE_NAMES.values() else posix_zone(name)


def _check_timezone(setting: Setting, text: str) -> str:
    if not _ZONE_NAMES:
        _ZONE_NAMES.update((name.lower(), name) for name in sorted(zoneinfo.available_timezones()))
    name = _ZONE_NAMES.get(text.strip().lower())
    if name is not None:
        return name
    number = re.match(r"\s*([+-]?\d+(?:\.\d+)?)\s*\Z", text)
    if number is not None:
        minutes = round(float(number[1]) * 60)
        if abs(minutes) > 167 * 60:
            raise _invalid(setting, text)
        hours, rest = divmod(abs(minutes), 60)
        tail = f":{rest:02d}" if rest else ""
        east, west = ("+", "-") if minutes >= 0 else ("-", "+")
        return f"<{east}{hours:02d}{tail}>{west}{hours:02d}{tail}"
    if posix_zone(text) is not None:
        return text.upper()
    raise _invalid(setting, text)


def _check_encoding(setting: Setting, text: str) -> str:
    """SQL_ASCII converts nothing: the client sends and gets the server's bytes."""
    found = find_encoding(text)
    if found is None:
        raise _invalid(setting, text)
    if found == MULE:
        raise NotSupported(
            f'invalid value for parameter "client_encoding": "{text}"',
            detail=f"Conversion between {MULE} and UTF8 is not supported.",
        )
    return text if text == "UNICODE" else found


def _check_application_name(_setting: Setting, text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" * len(c.encode()) for c in text)[:63]


def _check_lsn(setting: Setting, text: str) -> str:
    lsn = parse_lsn(text.strip())
    if lsn is None and text.strip():
        raise _invalid(setting, text)
    return "" if lsn is None else lsn_out(lsn)


_CHECKS: dict[str, Callable[[Setting, str], str]] = {
    "DateStyle": _check_datestyle,
    "TimeZone": _check_timezone,
    "log_timezone": _check_timezone,
    "client_encoding": _check_encoding,
    "application_name": _check_application_name,
    "aurora.read_after_lsn": _check_lsn,
}


def _load() -> dict[str, Setting]:
    table: dict[str, Setting] = {}
    for category, lines in CATEGORIES.items():
        for line in lines.split():
            # No field of the table holds a blank; where PostgreSQL's value does, the line spells it with '~'.
            name, kind, boot, context, unit, least, greatest, enum = line.replace("~", " ").split("|")
            choices = tuple(choice for choice in ENUMS.get(enum, enum).split(",") if choice)
            value: SettingValue = boot
            if kind == "bool":
                value = boot == "on"
            elif kind == "integer":
                value = int(boot)
            elif kind == "real":
                value = float(boot)
            table[name.lower()] = Setting(name, kind, value, context, unit, least, greatest, choices, category)
    return table


DEFINITIONS: Final = _load()
"""Lower-cased name → setting."""

_MISSING: Final = object()


def define_or_raise(name: str) -> Setting:
    """The setting of a name; raises 42704."""
    setting = DEFINITIONS.get(name.lower())
    if setting is None:
        raise UndefinedObject(f'unrecognized configuration parameter "{name}"')
    return setting


def quote_list(names: list[str]) -> str:
    """A list setting's text: identifiers, quoted where they need it."""
    return ", ".join(
        name if re.match(r"[a-z_][a-z0-9_$]*\Z", name) else '"' + name.replace('"', '""') + '"' for name in names
    )


def split_list(text: str) -> list[str]:
    """The identifiers of a list setting such as search_path; quotes keep case, the rest folds to lower case."""
    names: list[str] = []
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', text):
        names.append(plain.lower() if plain else quoted.replace('""', '"'))
    return names


_WHEN = {
    "internal": "changed",
    "postmaster": "changed without restarting the server",
    "sighup": "changed now",
    "backend": "set after connection start",
    "superuser-backend": "set after connection start",
}
"""Context → how a setting cannot be changed in a session"""


def not_changeable(setting: Setting) -> SqlError:
    """55P02 for a setting that no session can change."""
    return CannotChangeRuntimeParam(f'parameter "{setting.name}" cannot be {_WHEN[setting.context]}')


_NOT_LISTED = frozenset(("seed", "role", "session_authorization", "default_with_oids"))
"""Settings that SHOW ALL leaves out."""


class Settings:
    """One session's settings over the server's.

    ``base`` is the server's own dict (config file, command line), shared by all sessions. ``changed(name, value)`` is
    called after each effective change, also by an undo. ``permit(setting, value)`` is asked before a change that
    depends on who makes it (``GUARDED``, and settings for superusers): it raises 42501 or 22023.
    """

    __slots__ = ("_base", "_changed", "_local", "_permit", "_session", "_startup", "superuser", "undo")

    def __init__(
        self,
        base: dict[str, SettingValue],
        superuser: bool,
        changed: Callable[[str, SettingValue], None],
        permit: Callable[[Setting, SettingValue], None] | None = None,
    ) -> None:
        self._base = base
        self._session: dict[str, SettingValue] = {}
        self._startup: dict[str, SettingValue] = {}
        self._local: dict[str, SettingValue] = {}
        self.undo: list[tuple[str, object, object]] = []
        """What the transaction has changed; its end need look at nothing while this is empty."""
        self._changed = changed
        self._permit = permit
        self.superuser = superuser

    def get(self, name: str) -> SettingValue:
        """The value in force; ``name`` in any case. Raises 42704."""
        key = name.lower()
        for layer in (self._local, self._session, self._startup, self._base):
            value = layer.get(key)
            if value is not None:
                return value
        if "." in key and key not in DEFINITIONS:
            raise UndefinedObject(f'unrecognized configuration parameter "{name}"')
        return define_or_raise(name).boot

    @property
    def search_path(self) -> str:
        """That setting, which whatever looks up a name asks for."""
        for layer in (self._local, self._session, self._startup, self._base):
            value = layer.get("search_path")
            if value is not None:
                return str(value)
        return str(define_or_raise("search_path").boot)

    def show(self, name: str) -> str:
        """SHOW's text. Raises 42704."""
        value = self.get(name)
        setting = DEFINITIONS.get(name.lower())
        return str(value) if setting is None else show_value(setting, value)

    def overridden(self) -> dict[str, SettingValue]:
        """Lower-cased name → value of every setting that differs from the server's own; custom ones are left out."""
        merged = {**self._startup, **self._session, **self._local}
        return {key: value for key, value in merged.items() if key in DEFINITIONS}

    def overridden_names(self) -> set[str]:
        """Lower-cased names of what differs from the server's own, custom settings among them."""
        return {*self._startup, *self._session, *self._local}

    def names(self) -> list[str]:
        """Every setting that SHOW ALL lists, in its order."""
        return [s.name for _, s in sorted(DEFINITIONS.items()) if s.name not in _NOT_LISTED]

    def default(self, name: str) -> SettingValue:
        """What RESET would give."""
        key = name.lower()
        for layer in (self._startup, self._base):
            if key in layer:
                return layer[key]
        return define_or_raise(name).boot

    def set(self, name: str, text: str, local: bool = False) -> None:
        """SET (or SET LOCAL) a setting from its text."""
        key = name.lower()
        setting = DEFINITIONS.get(key)
        if setting is None:
            self._check_custom(name)
            self._put(key, text, local)
            return
        value = _complete(setting, parse_value(setting, text), self.get(name))
        self._check_permitted(setting, value)
        self._assign(key, value, local)

    def _assign(self, key: str, value: SettingValue, local: bool) -> None:
        self._put(key, value, local)
        if key == "session_authorization":
            # Another user begins with no role set (manual, SET SESSION AUTHORIZATION).
            self._put("role", "none", local)

    def force(self, name: str, value: SettingValue) -> None:
        """Put a value without checks and without undo: what the server itself knows (is_superuser and the like)."""
        self._startup[name.lower()] = value
        self._changed(define_or_raise(name).name, value)

    def set_startup(self, name: str, text: str) -> None:
        """A setting from the startup packet: it becomes what RESET gives."""
        key = name.lower()
        setting = DEFINITIONS.get(key)
        if setting is None:
            self._check_custom(name)
            self._startup[key] = text
            return
        value = _complete(setting, parse_value(setting, text), self.get(name))
        if setting.context not in ("backend", "superuser-backend"):
            self._check_permitted(setting, value)
        self._startup[key] = value
        self._changed(setting.name, value)

    def set_stored(self, name: str, text: str) -> None:
        """A setting that ALTER SYSTEM, DATABASE or ROLE has stored: it becomes what RESET gives. Whoever stored it
        had the right to; but whom the session may act as is asked now."""
        key = name.lower()
        setting = DEFINITIONS.get(key)
        if setting is None:
            self._startup[key] = text
            return
        value = _complete(setting, parse_value(setting, text), self.get(name))
        if self._permit is not None and setting.name in GUARDED:
            self._permit(setting, value)
        self._startup[key] = value
        self._changed(setting.name, value)

    def reset(self, name: str, local: bool = False) -> None:
        """RESET, or SET … TO DEFAULT."""
        key = name.lower()
        setting = DEFINITIONS.get(key)
        if setting is None:
            if key not in self._session and key not in self._local:
                raise UndefinedObject(f'unrecognized configuration parameter "{name}"')
            self._put(key, "", local)
            return
        value = self.default(name)
        self._check_permitted(setting, value)
        self._assign(key, value, local)

    def reset_all(self) -> None:
        """RESET ALL; transaction characteristics and the role stay."""
        for key in [*self._session, *self._local]:
            if key not in DEFINITIONS:
                self._put(key, "", False)
            elif not key.startswith("transaction_") and key not in ("role", "session_authorization", "seed"):
                self._put(key, self.default(key), False)

    def mark(self) -> int:
        """A point for ``rollback_to``."""
        return len(self.undo)

    def rollback_to(self, mark: int) -> None:
        """Undo every change since ``mark``."""
        while len(self.undo) > mark:
            key, session, local = self.undo.pop()
            for layer, old in ((self._session, session), (self._local, local)):
                if old is _MISSING:
                    layer.pop(key, None)
                    self._stays(key)
                else:
                    layer[key] = old  # type: ignore[assignment]
            self._notify(key)

    def leave(self, mark: int, names: Iterable[str]) -> None:
        """The SET clauses of a function end, which began at ``mark``: the named settings are what they were before,
        unless the function has set them for the session. What else it has set stays."""
        keys = {name.lower() for name in names}
        before: dict[str, tuple[object, object]] = {}
        for key, session, local in self.undo[mark:]:
            before.setdefault(key, (session, local))
        for key, (session, local) in before.items():
            if key not in keys or self._session.get(key, _MISSING) != session:
                continue
            if local is _MISSING:
                self._local.pop(key, None)
                self._stays(key)
            else:
                self._local[key] = local  # type: ignore[assignment]
            self._notify(key)

    def end_transaction(self, committed: bool) -> None:
        """Keep or undo what SET did in the transaction; SET LOCAL ends either way."""
        if not self.undo:
            return
        if not committed:
            self.rollback_to(0)
            return
        self.undo.clear()
        local, self._local = self._local, {}
        for key in local:
            self._stays(key)
            self._notify(key)

    def _stays(self, key: str) -> None:
        """A custom setting that was ever set is there from then on, empty."""
        if key not in DEFINITIONS and key not in self._startup:
            self._session.setdefault(key, "")

    def _put(self, key: str, value: SettingValue, local: bool) -> None:
        old = (key, self._session.get(key, _MISSING), self._local.get(key, _MISSING))
        if local:
            self._local[key] = value
        else:
            self._session[key] = value
            self._local.pop(key, None)
        self.undo.append(old)
        self._notify(key)

    def _notify(self, key: str) -> None:
        setting = DEFINITIONS.get(key)
        if setting is not None:
            self._changed(setting.name, self.get(key))

    def _check_permitted(self, setting: Setting, value: SettingValue) -> None:
        name = setting.name
        if setting.context not in ("user", "superuser"):
            raise not_changeable(setting)
        if self._permit is not None and (setting.context == "superuser" or name in GUARDED):
            self._permit(setting, value)
        elif setting.context == "superuser" and not self.superuser:
            raise InsufficientPrivilege(f'permission denied to set parameter "{name}"')

    @staticmethod
    def _check_custom(name: str) -> None:
        if "." not in name:
            raise UndefinedObject(f'unrecognized configuration parameter "{name}"')
        if not _CUSTOM_NAME.match(name):
            raise InvalidName(
                f'invalid configuration parameter name "{name}"',
                detail="Custom parameter names must be two or more simple identifiers separated by dots.",
            )


def is_custom_name(name: str) -> bool:
    """Whether a setting that is not there may have that name."""
    return "." in name and _CUSTOM_NAME.match(name) is not None


def join_arguments(name: str, arguments: list[str]) -> str:
    """The text of ``SET name = a, b``: list settings quote, DateStyle joins, the others take one argument (22023)."""
    if name.lower() in LISTS:
        return quote_list(arguments)
    if len(arguments) > 1 and name.lower() not in ("datestyle", "wal_consistency_checking"):
        raise InvalidParameterValue(f"SET {name} takes only one argument")
    return ", ".join(arguments)
