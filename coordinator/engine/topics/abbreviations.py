"""Abbreviations: short words, and what they stand for; operators can extend the table.

Invariants:
- An abbreviation and what it stands for are the same word of a topic.
- All coordinators of a fleet need the same table: signatures of topics depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from coordinator.engine.topics.stems import stem
from coordinator.engine.topics.vocabulary import PHRASES, lines_of

__all__ = ["BUILT_IN", "MAX_PHRASE_WORDS", "Abbreviations"]

#: Words of the longest phrase that is looked for.
MAX_PHRASE_WORDS = 4

_TABLE = """
kubernetes: k8s, kube
database: db, dbs
authentication: authn
authorization: authz
authentication: auth
repository: repo, repos
documentation: docs, doc
configuration: config, configs, cfg, conf
performance: perf
environment: env, envs
variable: var, vars
application: app, apps
administrator: admin, admins
development: dev
production: prod
staging: stg
library: lib, libs
dependency: dep, deps
directory: dir, dirs
function: func, fn
parameter: param, params
argument: arg, args
specification: spec, specs
implementation: impl
information: info
message: msg, msgs
maximum: max
minimum: min
temporary: temp, tmp
statistics: stats, stat
synchronize: sync, syncing, synced
asynchronous: async
notification: notif, notifs
organization: org, orgs
reference: ref, refs
package: pkg, pkgs
version: ver
request: req
response: resp
certificate: cert, certs
credential: cred, creds
identifier: id, ids
image: img
picture: pic, pics
number: num
button: btn
navigation: nav
calculate: calc
allocate: alloc
initialize: init
execute: exec
generate: gen
management: mgmt
manager: mgr
architecture: arch
infrastructure: infra
memory: mem
connection: conn
transaction: txn, tx
query: qry
command: cmd, cmds
javascript: js
typescript: ts
postgres: postgresql, pg, psql
golang: go lang
python: py
markdown: md
elasticsearch: elastic search
github: gh
nodejs: node.js, node js
nextjs: next.js, next js
vuejs: vue.js, vue js
dotnet: .net
terraform: tf
mongodb: mongo, mongo db
benchmark: bench
experiment: exp
evaluation: eval, evals
regression: regr
distributed: dist
internationalization: i18n
localization: l10n
accessibility: a11y
observability: o11y
vulnerability: vuln, vulns
telemetry: otel, opentelemetry
miscellaneous: misc
pagination: paginate
account: acct
average: avg
difference: diff, diffs
previous: prev
reproduce: repro
review: rev
simulation: sim
coordinator: coord
metadata: meta data
ci: continuous integration
cd: continuous deployment, continuous delivery
e2e: end to end
ui: user interface
ux: user experience
gui: graphical user interface
cli: command line interface, command line
api: application programming interface
sdk: software development kit
ide: integrated development environment
orm: object relational mapper, object relational mapping
pr: pull request, pull requests, prs
mr: merge request, merge requests
rfc: request for comments
adr: architecture decision record
sso: single sign on
mfa: multi factor authentication, two factor authentication, 2fa, two factor auth, two factor
rbac: role based access control
acl: access control list
tls: transport layer security, ssl
vm: virtual machine, virtual machines, vms
os: operating system
llm: large language model, large language models, llms
ml: machine learning
ai: artificial intelligence
nlp: natural language processing
rag: retrieval augmented generation
cpu: central processing unit
gpu: graphics processing unit
dns: domain name system
cdn: content delivery network
csv: comma separated values
faq: frequently asked questions, faqs
kpi: key performance indicator
slo: service level objective
sla: service level agreement
tdd: test driven development
ttl: time to live
gc: garbage collection, garbage collector, garbage collect
oom: out of memory
rpc: remote procedure call
mcp: model context protocol
gdpr: general data protection regulation
seo: search engine optimization
crud: create read update delete
lru: least recently used
aws: amazon web services
gcp: google cloud platform, google cloud
iac: infrastructure as code
poc: proof of concept
mvp: minimum viable product
qa: quality assurance
wip: work in progress
vpn: virtual private network
url: uniform resource locator, urls
"""


class Abbreviations(Mapping[str, str]):
    """A table from what is written to what it stands for, for example ``k8s`` to ``kubernetes``; case does not matter.

    Where several words stand behind an abbreviation (``ci``: ``continuous integration``), it is they that are replaced.
    Phrases of more than ``MAX_PHRASE_WORDS`` words are not looked for.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = {written.lower(): meant.lower() for written, meant in table.items()}
        self._words: dict[str, str] = {}
        #: By their first word, the longest first: phrases, and the stem that replaces each.
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for written, meant in sorted(self._table.items()):
            short, long = tuple(written.split()), tuple(meant.split())
            words, one = (long, "".join(short)) if len(long) > 1 else (short, meant)
            self._put(words, stem(one))
            self._words.setdefault(one, stem(one))
        for phrases in self._phrases.values():
            phrases.sort(key=lambda phrase: (-len(phrase[0]), phrase))

    def _put(self, words: tuple[str, ...], canonical: str) -> None:
        if len(words) == 1:
            self._words[words[0]] = canonical
        elif 1 < len(words) <= MAX_PHRASE_WORDS:
            self._phrases.setdefault(words[0], []).append((words, canonical))

    def __getitem__(self, written: str) -> str:
        return self._table[written]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def of_word(self, word: str) -> str | None:
        """Return the stem of what a word in small letters stands for; None if it is no abbreviation."""
        return self._words.get(word)

    def of_phrase(self, words: Sequence[str], at: int) -> tuple[int, str] | None:
        """Return how many words from ``at`` on are one, and the stem of that one; None if they are not."""
        for phrase, canonical in self._phrases.get(words[at], ()):
            if tuple(words[at : at + len(phrase)]) == phrase:
                return len(phrase), canonical
        return None

    def extended(self, table: Mapping[str, str]) -> Abbreviations:
        """Return a table with these abbreviations as well; they take precedence over those that are there."""
        return Abbreviations({**self._table, **table})


#: What operators extend.
BUILT_IN = Abbreviations({**PHRASES, **{other: meant for meant, others in lines_of(_TABLE) for other in others}})
