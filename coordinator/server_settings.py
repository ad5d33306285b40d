"""Settings of the server side, validated where they are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.keys import KeyRules
from coordinator.net.endpoints import DEFAULT_HTTP_LISTEN, DEFAULT_LISTEN, listening_address, split_address
from coordinator.net.socket_trust import check_place
from coordinator.net.unix_sockets import is_unix, path_of
from coordinator.reaper.settings import ReaperSettings
from coordinator.security.settings import SecuritySettings
from coordinator.server_limits import LimitSettings
from coordinator.store.etcd.access import EtcdAccess

__all__ = ["ServerSettings"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of a coordinator process.

    ``etcd`` are the endpoints of the store, ``HOST:PORT`` each; ``listen`` may also be ``unix:/PATH``. Port 0 in
    ``listen``, ``http_listen`` or ``metrics_listen`` picks a free one. ``http_hosts`` are further names by which
    callers know this coordinator over HTTP. ``key_rules`` say how work keys are read. ``grace_seconds`` is how long
    calls in flight may take to be answered at shutdown, ``quota_bytes`` etcd's storage quota where it is known;
    ``reaper`` None runs none. Raises ``InvalidInput`` for an address that is neither, for a socket in a directory that
    others can change, and, unless ``insecure`` is set, for an address that other hosts reach and ``security`` does not
    protect, and for a password that would go to etcd in clear.
    """

    etcd: tuple[str, ...]
    listen: str = DEFAULT_LISTEN
    http_listen: str | None = None
    metrics_listen: str | None = None
    http_hosts: tuple[str, ...] = ()
    key_rules: KeyRules = field(default_factory=KeyRules)
    grace_seconds: float = 10.0
    insecure: bool = False
    quota_bytes: int | None = None
    limits: LimitSettings = field(default_factory=LimitSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    etcd_access: EtcdAccess = field(default_factory=EtcdAccess)
    reaper: ReaperSettings | None = field(default_factory=ReaperSettings)

    def __post_init__(self) -> None:
        if is_unix(self.listen):
            self.security.check_socket(self.listen)
            check_place(path_of(listening_address(self.listen)), "listen")
        else:
            host, _ = split_address(self.listen, "listen")
            if not self.insecure:
                self.security.check_listen(self.listen, host)
        if not self.insecure:
            self.etcd_access.check_clear(self.etcd)
        self._check_http()

    @property
    def calls_listen(self) -> str | None:
        """Where calls are answered over HTTP; None where they are not.

        By default that is not so beside a unix socket, which only some users of this host can reach, nor where the
        metrics have an address of their own, as they had before there was anything else over HTTP.
        """
        if self.http_listen is not None or self.metrics_listen is not None or is_unix(self.listen):
            return self.http_listen
        return DEFAULT_HTTP_LISTEN

    @property
    def metrics_alone_listen(self) -> str | None:
        """Where nothing but the metrics and health are; None where these are with the calls only."""
        if self.metrics_listen is None and self.calls_listen is None:
            return DEFAULT_HTTP_LISTEN
        return self.metrics_listen

    def _check_http(self) -> None:
        calls, metrics = self.calls_listen, self.metrics_alone_listen
        if metrics is not None:
            host, _ = split_address(metrics, "metrics-listen")
            if not self.insecure:
                self.security.check_metrics_listen(metrics, host)
        if calls is not None:
            host, _ = split_address(calls, "http-listen")
            if not self.insecure:
                self.security.check_listen(calls, host, "http-listen")
                self.security.check_beside_socket(self.listen, calls)
