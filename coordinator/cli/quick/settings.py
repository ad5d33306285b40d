"""The settings of a command: option, then environment, then configuration file, then default, as the full command does.

Invariant: what is used here is what the full command would use. A value that it might refuse, or read in another way,
leaves the command to it: a variable that is not plain, a file that is not read in a glance, a setting of TLS.
"""

from __future__ import annotations

import os
import stat

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.table import MOST_FLEET, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.cli.quick.arguments import Asked

__all__ = ["read_settings", "variable"]

#: As long as a variable of ours may be, in bytes.
_LONGEST = 4096
_MOST_BYTES = 64 * 1024
_FLEET = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
#: Settings that are left to the full command where they are set at all.
_OF_TLS = ("ca", "cert", "key")
#: Variables by which other tools name a database, about which the full command has something to say.
_DATABASES = ("COORDINATION_DB", "COORDINATION_DB_PATH", "COORDINATION_DATABASE")


def read_settings(asked: Asked) -> dict[str, str]:
    """Return the settings of a command by their names; raises ``NotQuick``."""
    if any(os.environ.get(name) for name in _DATABASES):
        raise NotQuick("a variable names a database")
    of_file: dict[str, str] | None = None
    found = {}
    for name, (variable_name, default) in SETTINGS.items():
        value = asked.common.get(name)
        if value is None:
            value = variable(variable_name)
        if value is None:
            of_file = _configured() if of_file is None else of_file
            value = of_file.get(name, default)
        found[name] = str(value)
    if any(found[name] for name in _OF_TLS) or found["tls"] not in ("auto", "off"):
        raise NotQuick("connections are encrypted")
    if not _is_fleet(found["fleet"]):
        raise NotQuick("the fleet is not plain")
    if found["repo"] and not _is_repository(found["repo"]):
        raise NotQuick("the repository is not plain")
    return found


def variable(name: str) -> str | None:
    """Return the value of an environment variable, None for none; raises ``NotQuick`` for one that is not plain."""
    value = os.environ.get(name)
    if not value:
        return None
    if not (value.isascii() and value.isprintable() and value.strip() and len(value) <= _LONGEST):
        raise NotQuick(f"the variable {name} is not plain")
    return value


def _is_fleet(name: str) -> bool:
    return 1 <= len(name) <= MOST_FLEET and _FLEET.issuperset(name) and not name.startswith("-")


def _is_repository(named: str) -> bool:
    """Return whether it is ``owner/name`` of GitHub, without anything that may mean more."""
    owner, _, name = named.partition("/")
    return bool(owner and name) and _WORD.issuperset(owner + name)


def _configured() -> dict[str, str]:
    """Return what the configuration file sets; raises ``NotQuick`` where it is not of the plainest form of TOML."""
    named = variable("COORDINATION_CONFIG")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = os.environ.get("HOME", "")
    if named is not None:
        if named == os.devnull:
            return {}
        path = named
    elif base.startswith("/"):
        path = f"{base}/coordination/config.toml"
    elif home.startswith("/"):
        path = f"{home}/.config/coordination/config.toml"
    else:
        raise NotQuick("there is no home directory")
    try:
        # A pipe is for the full command to read, as it can be read once.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # pathlib loads slowly
            raise NotQuick("the configuration file is no plain file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        if named is None:
            return {}
        raise NotQuick("the configuration file is not there") from None
    except (OSError, ValueError):
        raise NotQuick("the configuration file cannot be read") from None
    return _plain_toml(content)


def _plain_toml(content: bytes) -> dict[str, str]:
    """Read lines of ``name = "text"`` or ``name = number``, comments and empty lines; raises ``NotQuick`` otherwise."""
    found: dict[str, str] = {}
    if len(content) == _MOST_BYTES or not content.isascii():
        raise NotQuick("the configuration file is not plain")
    for line in content.decode("ascii").split("\n"):
        words = line.strip(" \t")
        if not words or (words.startswith("#") and words.isprintable()):
            continue
        name, _, value = words.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        inside = value[1:-1]
        if name not in SETTINGS or name in found or not value.isprintable():
            raise NotQuick("the configuration file is not plain")
        if value.isdigit() and value == str(int(value[:9])):
            found[name] = value
        elif len(value) > 1 and value[0] == value[-1] == '"' and '"' not in inside and "\\" not in inside:
            found[name] = inside
        else:
            raise NotQuick("the configuration file is not plain")
    return found
