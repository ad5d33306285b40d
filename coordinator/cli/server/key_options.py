"""The options of a coordinator that say how it reads work keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from coordinator.keys import KeyRules

__all__ = ["GiteaHosts", "GithubHosts", "GitlabHosts", "JiraHosts", "KeyOptions", "TopicKinds"]

TopicKinds = Annotated[
    str,
    typer.Option(
        "--topic-kinds",
        metavar="KIND,…",
        envvar="COORDINATION_TOPIC_KINDS",
        help="Kinds beside blog, research, idea and topic whose identities are topics, reduced to slugs.",
    ),
]
GithubHosts = Annotated[
    str,
    typer.Option(
        "--github-hosts",
        metavar="HOST,…",
        envvar="COORDINATION_GITHUB_HOSTS",
        help="Hosts of GitHub Enterprise, whose addresses are read like those of github.com.",
    ),
]
GitlabHosts = Annotated[
    str,
    typer.Option(
        "--gitlab-hosts",
        metavar="HOST,…",
        envvar="COORDINATION_GITLAB_HOSTS",
        help="Hosts of GitLab beside gitlab.com.",
    ),
]
GiteaHosts = Annotated[
    str,
    typer.Option(
        "--gitea-hosts",
        metavar="HOST,…",
        envvar="COORDINATION_GITEA_HOSTS",
        help="Hosts of Gitea and Forgejo beside codeberg.org and gitea.com.",
    ),
]
JiraHosts = Annotated[
    str,
    typer.Option(
        "--jira-hosts",
        metavar="HOST,…",
        envvar="COORDINATION_JIRA_HOSTS",
        help="Sites of Jira, the one that jira:ABC-123 means first. By default, all sites are taken for one.",
    ),
]


class KeyOptions(NamedTuple):
    """The options as they were given, each a list with commas."""

    topic_kinds: str = ""
    github_hosts: str = ""
    gitlab_hosts: str = ""
    gitea_hosts: str = ""
    jira_hosts: str = ""

    def rules(self) -> KeyRules:
        """Return what they mean; raises ``InvalidInput``."""
        from coordinator.keys import DEFAULT_TOPIC_KINDS, KeyRules
        from coordinator.names import check_kind
        from coordinator.work_urls import Hosts, check_host

        def hosts(field: str, given: str) -> tuple[str, ...]:
            return tuple(check_host(field, host.strip()) for host in given.split(",") if host.strip())

        kinds = {check_kind(kind.strip()) for kind in self.topic_kinds.split(",") if kind.strip()}
        return KeyRules(
            DEFAULT_TOPIC_KINDS | kinds,
            Hosts(
                hosts("github-hosts", self.github_hosts),
                hosts("gitlab-hosts", self.gitlab_hosts),
                hosts("gitea-hosts", self.gitea_hosts),
                hosts("jira-hosts", self.jira_hosts),
            ),
        )

    def arguments(self) -> list[str]:
        """Return them as arguments of the command line."""
        named = ((f"--{name.replace('_', '-')}", given) for name, given in self._asdict().items())
        return [word for name, given in named if given for word in (name, given)]
