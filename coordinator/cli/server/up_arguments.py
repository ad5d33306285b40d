"""What a coordinator with an etcd of its own is started with, as the arguments of ``up``.

Invariant: they mean the same in any directory, to another process and in another order; two starts that ask for the
same have the same arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.server.options import SECONDS_A_DAY
from coordinator.logs.format import LogSettings
from coordinator.net.endpoints import listening_address
from coordinator.net.unix_sockets import is_unix
from coordinator.security.settings import SecuritySettings
from coordinator.server_limits import DEFAULT_MAX_CALLS, DEFAULT_MAX_WAITERS, LimitSettings

if TYPE_CHECKING:
    from coordinator.cli.server.foreground import Options
    from coordinator.reaper import ReaperSettings

__all__ = ["arguments", "differences", "limit_arguments", "settings"]

_LOG_FILE = "--log-file"


def arguments(options: Options, etcd: str | None, etcd_listen: str | None) -> list[str]:
    """Return the arguments."""
    given = options.security
    security = SecuritySettings(
        _absolute(given.tls_cert),
        _absolute(given.tls_key),
        _absolute(given.client_ca),
        _absolute(given.tokens),
        given.metrics_public,
    )
    log = LogSettings(options.log.level, _absolute(options.log.file), _absolute(options.log.audit))
    words = ["--listen", listening_address(options.listen), *_http_arguments(options)]
    words += options.keys.arguments()
    words += ["--etcd-listen", etcd_listen] if etcd_listen is not None else []
    words += ["--etcd", etcd] if etcd is not None else []
    words += ["--insecure"] if options.insecure else []
    words += _security_arguments(security)
    words += limit_arguments(options.limits, options.quota_bytes)
    words += _reaper_arguments(options.reaper)
    return words + _log_arguments(log)


def _http_arguments(options: Options) -> list[str]:
    """Return the options of HTTP; what is left out has its default, which depends on the others."""
    http = options.http
    given = (
        ("--http-listen", http.listen),
        ("--http-hosts", ",".join(http.names()) or None),
        ("--metrics-listen", http.metrics_listen),
    )
    return [word for name, value in given if value is not None for word in (name, value)]


def _security_arguments(security: SecuritySettings) -> list[str]:
    """Return the options of protection. They name files and hold no secret."""
    files = (
        ("--tls-cert", security.tls_cert),
        ("--tls-key", security.tls_key),
        ("--client-ca", security.client_ca),
        ("--tokens", security.tokens),
    )
    options = [word for name, path in files if path is not None for word in (name, str(path))]
    return [*options, "--metrics-public"] if security.metrics_public else options


def limit_arguments(limits: LimitSettings, quota_bytes: int | None) -> list[str]:
    """Return the options of limits; those that are at their defaults are left out."""
    words: list[str] = []
    for name, value, default in (
        ("--max-claims-per-session", limits.max_claims_per_session, 0),
        ("--max-claims-per-fleet", limits.max_claims_per_fleet, 0),
        ("--max-calls", limits.max_calls, DEFAULT_MAX_CALLS),
        ("--max-waiters", limits.max_waiters, DEFAULT_MAX_WAITERS),
        ("--max-write-rate-per-fleet", limits.max_write_rate_per_fleet, None),
        ("--max-write-rate-per-credential", limits.max_write_rate_per_credential, None),
        ("--etcd-quota-bytes", quota_bytes, None),
    ):
        words += [name, str(value)] if value != default else []
    return words


def _reaper_arguments(reaper: ReaperSettings | None) -> list[str]:
    """Return the options of the reaper."""
    if reaper is None:
        return ["--no-reaper"]
    return ["--retention-days", repr((reaper.retention or 0.0) / SECONDS_A_DAY)]


def _log_arguments(log: LogSettings) -> list[str]:
    """Return the options of the log."""
    files = (("--log-file", log.file), ("--audit-log", log.audit))
    return ["--log-level", log.level, *(word for name, file in files if file is not None for word in (name, str(file)))]


def settings(words: list[str]) -> dict[str, str]:
    """Return arguments as options and their values; that of a switch is empty."""
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            found[word] = "" if following.startswith("--") else following
    return found


def differences(wanted: Mapping[str, str], running: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wanted of a coordinator that runs with something else, option by option."""
    for option in sorted({*wanted} | {*running}):
        mine, its = wanted.get(option), running.get(option)
        if mine == its or (option == _LOG_FILE and mine is None):
            continue
        # Any free port is as good as the one that it has.
        free = mine is not None and mine.endswith(":0") and not is_unix(mine)
        if mine is not None and its is not None and free and mine[:-1] == f"{its.rpartition(':')[0]}:":
            continue
        yield f"{_shown(option, its)}, not {_shown(option, mine)}"


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _shown(option: str, value: str | None) -> str:
    if value is None:
        return f"no {option}"
    return f"{option} {value}".rstrip()
