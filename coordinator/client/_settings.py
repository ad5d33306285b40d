"""The settings of a client: from its caller, or else from the environment.

Invariants:
- An argument wins over its variable. A certificate from the caller is not combined with a key from the environment,
  nor a token with a token file, nor ``tls=False`` with a certificate.
- An empty variable says nothing; an empty path says "none", and a fleet must be named.
- An invalid value of a variable is reported with the variable's name, when the client is made.

The variables are those of the command line. COORDINATION_INSTANCE is not among them: processes inherit their
environment from one another, and would be one holder of claims.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import NamedTuple

from coordinator.client import _fields as fields
from coordinator.client._security import AnyPath, Security
from coordinator.errors import InvalidInput
from coordinator.limits import check_timeout
from coordinator.names import DEFAULT_FLEET
from coordinator.net.endpoints import DEFAULT_LISTEN, parse_endpoints
from coordinator.process.variables import read_variable
from coordinator.repository import FindRepository, repository_of

__all__ = ["Protection", "Settings", "settings_from"]

_DEFAULT_TIMEOUT_SECONDS = 5.0
#: A year: what gRPC and the clock can add up is more, but not without end.
_MOST_TIMEOUT_SECONDS = 366 * 86_400.0


class Protection(NamedTuple):
    """How connections are protected, and whose the calls are; None is what the caller did not give."""

    tls: bool | None
    ca: AnyPath | None
    cert: AnyPath | None
    key: AnyPath | None
    token_file: AnyPath | None
    bearer_token: str | None


class Settings(NamedTuple):
    """The settings of one client; ``timeout`` is in seconds, ``repository`` what ``in_repository`` takes."""

    endpoints: tuple[str, ...]
    fleet: str
    timeout: float
    security: Security
    repository: str | FindRepository


def settings_from(
    endpoints: str | Sequence[str] | None,
    fleet: str | None,
    timeout: float | None,
    protection: Protection,
    repo: str | FindRepository | None = None,
) -> Settings:
    """Return the settings of a client; raises ``InvalidInput`` for what cannot be used."""
    variables = _Variables()
    with variables.named():
        names = parse_endpoints(variables.get("endpoint") or DEFAULT_LISTEN if endpoints is None else endpoints)
        security = _security(variables, protection)
        security.check(names)
        repository = repository_of(_named_repository(variables, repo))
        return Settings(names, _fleet(variables, fleet), _timeout(variables, timeout), security, repository)


def _named_repository(variables: _Variables, given: str | FindRepository | None) -> str | FindRepository:
    if given is None:
        return variables.get("repo") or ""
    return given if callable(given) else fields.text("repo", given)


def _security(variables: _Variables, given: Protection) -> Security:
    tls, ca, cert, key = given.tls, given.ca, given.cert, given.key
    if tls is not None:
        fields.flag("tls", tls)
    for field, path in (("ca", ca), ("cert", cert), ("key", key), ("token_file", given.token_file)):
        _check_path(field, path)
    if tls is None and not (ca or cert or key):
        tls = variables.switch("tls")
    if given.tls is not False:
        if ca is None:
            ca = variables.get("ca")
        if cert is None and key is None:
            cert, key = variables.get("cert"), variables.get("key")
        if tls is False and (ca or cert):
            raise InvalidInput("tls is off, but a certificate is given; leave out one of them", field="tls")
    token_file = given.token_file
    if token_file is None and given.bearer_token is None:
        token_file = variables.get("token_file")
    return Security(
        tls=bool(tls),
        ca=ca or None,
        cert=cert or None,
        key=key or None,
        token_file=token_file or None,
        bearer_token=given.bearer_token,
    )


def _check_path(field: str, given: object) -> None:
    """Raise ``InvalidInput`` for what is no path of a file: neither a str nor a PathLike of one."""
    path = given.__fspath__() if isinstance(given, PathLike) else given
    if path is not None and (not isinstance(path, str) or "\0" in path):
        raise InvalidInput(
            f"{field} must be the path of a file, as str or PathLike; it is {fields.shown(given)}", field=field
        )


def _fleet(variables: _Variables, given: str | None) -> str:
    if given is not None:
        if not fields.text("fleet", given):
            raise InvalidInput(
                "fleet is empty; it must be named",
                field="fleet",
                hint=f"for example {DEFAULT_FLEET!r}; without one, COORDINATION_FLEET names it",
            )
        return given
    found = variables.get("fleet")
    if found is None:
        return DEFAULT_FLEET
    from coordinator.names import check_fleet

    return check_fleet(fields.text("fleet", found))


def _timeout(variables: _Variables, given: float | None) -> float:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= _MOST_TIMEOUT_SECONDS:
            raise InvalidInput(
                f"timeout must be a number of seconds above 0, at most {_MOST_TIMEOUT_SECONDS:.0f}; "
                f"it is {fields.shown(given)}",
                field="timeout",
            )
        return given
    found = variables.get("timeout")
    if found is None:
        return _DEFAULT_TIMEOUT_SECONDS
    return check_timeout(found)


class _Variables:
    """The variables of the environment that were asked for."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def get(self, setting: str) -> str | None:
        """Return what the environment says, None for nothing."""
        found = read_variable(_variable(setting))
        if found is None:
            return None
        self._used.add(setting)
        return found

    def switch(self, setting: str) -> bool | None:
        """Return whether a variable says on or off; None where it says auto or nothing."""
        found = self.get(setting)
        if found not in (None, "on", "off", "auto"):
            raise InvalidInput(f"{setting} is {found!r}; allowed are on, off and auto", field=setting)
        return {"on": True, "off": False}.get(found or "auto")

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Add the name of the variable to the error about its value."""
        try:
            yield
        except InvalidInput as error:
            pair = ("cert", "key") if error.field in ("cert", "key") else (error.field or "",)
            variables = ", ".join(_variable(setting) for setting in pair if setting in self._used)
            if not variables:
                raise
            named = f"{error.message} (environment {variables})"
            raise InvalidInput(named, field=error.field, hint=error.hint) from None


def _variable(setting: str) -> str:
    # COORDINATION_KEY is the work key of a command that `coordination run` runs.
    return f"COORDINATION_{'CERT_KEY' if setting == 'key' else setting.upper()}"
