"""Synonyms: words that are often written for one another in titles of work on software and on texts about it.

Invariant: synonyms are similar, and never equal. They change scores, and no signature.

Most of this file is the table. It is text in code because the engine reads no files.
"""

from __future__ import annotations

from coordinator.engine.topics.stems import stem
from coordinator.engine.topics.vocabulary import words_in

__all__ = ["is_known", "synonyms_of"]

#: Each line has words of one meaning; a word may stand in several.
_SYNONYMS = """
fix repair resolve correct solve patch address mend bugfix
bug defect fault issue problem error glitch
fail crash break
error exception
add implement introduce create support provide build include write
remove delete drop eliminate strip purge discard
update upgrade bump refresh
change modify alter adjust tweak edit revise
improve enhance optimize better polish refine
speed accelerate optimize fast faster performance speedup quick
performance latency slow speed throughput
slow sluggish lag latency laggy
reduce decrease lower cut shrink minimize less
increase raise grow extend expand boost more
refactor restructure rework cleanup clean simplify reorganize tidy rewrite
investigate research analyze explore examine study diagnose debug inspect survey
document describe explain guide write
documentation guide manual handbook tutorial readme docs
tutorial guide walkthrough howto introduction intro primer
test check verify validate cover
verify validate check confirm ensure
validate sanitize
rename move
migrate move port switch transition transfer convert
convert transform translate
choose select pick
show display render present view
hide conceal
allow permit enable let support
disable deactivate
block prevent forbid deny avoid
prevent avoid stop
start launch boot begin startup run
stop halt terminate kill shutdown end
run execute launch
get fetch retrieve read obtain load
save store persist keep record
send deliver dispatch transmit emit push
receive accept get
find search locate discover detect
search lookup query find
detect discover identify find spot recognize
compare evaluate benchmark contrast
benchmark measure profile
monitor track observe watch observability
observability monitoring telemetry
log record trace
alert notify warn notification
notification alert message
announce publish release
release publish ship version
deploy rollout release ship
rollback revert undo
configure setup set
configuration setting option preference
setting preference option
option flag parameter switch
parameter argument option
environment stage
flaky unstable intermittent unreliable nondeterministic
random flaky intermittent
hang freeze stuck stall deadlock block
crash panic abort segfault die
leak retain
memory ram heap
storage disk
disk filesystem volume
folder directory
file document
user account member customer
user client customer
account profile
login authentication
authentication auth login
permission right access privilege role authorization
authorization permission access
credential secret password token key
secret credential password key
encrypt cipher
security secure vulnerability hardening harden
vulnerability cve exploit
database datastore storage postgres
table relation
column field attribute
field attribute property
record row entry
schema model
query lookup search
index catalog
cache memoize caching
queue backlog
job task worker
worker job background
schedule cron timer periodic plan
periodic recurring regular scheduled
message event notification
event signal
publish emit
server backend service daemon
service server daemon microservice
client frontend sdk
frontend client web ui
ui interface frontend
interface api
endpoint route path api
route path url
url link address
link reference url
page view screen
screen page view window
dialog modal popup prompt
button control
menu dropdown navigation
sidebar panel
panel widget dashboard
dashboard panel board
chart graph plot diagram figure
diagram figure chart picture
picture image photo
icon logo symbol
avatar picture
theme mode style appearance
dark night
style css appearance format
font typeface
layout design arrangement
mobile phone smartphone
responsive mobile
text string content copy
content text
title heading name headline
name title
comment note remark
description summary text
summary overview digest abstract
overview summary introduction
list enumerate
sort order rank
order sequence
filter narrow
group cluster bucket
count number
total sum
duplicate repeated double redundant
duplicate copy clone
clone copy replicate
replica copy
merge combine join unify consolidate
split separate divide break
part portion section
big large huge
large big huge bulk
bulk batch mass
small little tiny
empty blank missing null
missing absent lack lost
null none nil empty
invalid malformed bad wrong broken
wrong incorrect invalid bad
incorrect wrong
broken faulty dead
dead stale broken unused
unused dead obsolete unnecessary
obsolete deprecated outdated legacy old stale
outdated stale old obsolete
legacy old
new modern
retry reattempt repeat
repeat retry
retry backoff
timeout deadline
deadline timeout expiry
expire lapse
limit cap bound restrict quota maximum
ratelimit throttle
quota limit
size length
length size
wait delay
delay latency wait
pause suspend
resume continue
cancel abort
lock mutex
race concurrency
parallel concurrent simultaneous
concurrent parallel
thread worker
process program
program application
application app program
tool utility
script tool
library package module dependency
package module library
dependency library package
module component package
component module widget
plugin extension addon
extension plugin
hook callback
callback handler
handler callback
class type
type kind
typing annotation type hint
interface contract
function method routine
method function
variable name
constant literal
repository repo codebase
codebase repository code
branch fork
commit change
review audit inspect check
audit review inspect
pr mr
ci pipeline workflow build
pipeline workflow
workflow process pipeline
build compile
compile build
artifact output
container docker image
kubernetes cluster
cluster kubernetes
host machine server node
node host machine
network connection
connection socket link
proxy gateway
gateway proxy
certificate tls
tls https encryption
backup snapshot dump
snapshot backup
restore recover
recover restore recovery
cleanup purge
archive store
upload send
download fetch
import load ingest
export dump
ingest import
parse read decode
format style
lint style
print output
output result
result outcome output
input entry
form input
field input
email mail
mail email
chat conversation message
conversation chat dialogue
agent bot assistant
bot agent
llm model
prompt instruction
embedding vector
vector embedding
evaluation benchmark assessment
assessment evaluation
metric measurement statistic indicator
statistic metric
cost price expense
price cost
payment billing checkout
invoice bill
order purchase
purchase buy
cart basket
basket cart
product item article
item product
article post essay blog
post article blog
essay article
blog post article
paper article
report summary
strategy approach plan method
approach strategy method technique
technique approach
idea concept proposal
proposal suggestion plan
plan roadmap
lesson learning takeaway
practice pattern guideline
guideline practice rule
rule policy
policy rule
pattern practice
mistake error pitfall
pitfall mistake trap gotcha
example sample demo
sample example
demo example
template boilerplate scaffold
scaffold skeleton template bootstrap
bootstrap setup
install setup
onboard introduce welcome
onboarding introduction
translate localization
localization internationalization translation
language locale
locale language
timezone time
date time
calendar schedule
accessibility screenreader
keyboard shortcut
shortcut hotkey
tooltip hint
hint tip
tip advice
warning alert
message text
fallback default
default standard
standard default
custom own
custom configurable
configurable customizable
optional opt
mandatory required
automatic automated auto
automate script
manual hand
local offline
remote distant
distributed decentralized
consistent uniform
inconsistent mismatch different
mismatch difference discrepancy
difference gap
gap hole
coverage cover
edge corner
corner edge
case scenario
scenario case
support compatibility
compatible support
compatibility support
leak exhaustion
exhaust run
overflow exceed
encode serialize
serialize encode marshal
deserialize decode unmarshal
graceful clean
idempotent repeatable
deterministic reproducible stable
reproduce repeat
stable robust reliable
robust resilient reliable
resilience robustness reliability
reliability availability uptime
availability uptime
outage downtime incident
incident outage
postmortem retrospective
retrospective review
"""
#: Words without synonyms that look like others.
_OTHERS = frozenset(
    map(
        stem,
        words_in(
            """
            content context contact contract product produce production session version mission client report import
            cluster filter folder holder header reader render sender server service render layer later player paper
            message manage package passage storage metric matrix static status state format formal form from token taken
            parse parser pause phase cause clause close clone class glass source course force trace track trade train
            channel change charge chart cart card care core code node mode model modal module mobile moment comment
            commit command common compare compile complete compute connect collect correct direct detect select
            adapter adopter affect effect except accept expect export expert extend extent exclude include inject object
            region reason season lesson person action option section function fraction friction fiction
            language usage image stage staging string strong spring sprint print point paint plain plan plane planet
            public policy police profile file field yield shield build built quick quite quiet query queue
            sample simple single signal sign design align assign resign release relation relative
            tracker tracer locker docker worker blocker broker breaker marker maker poker linker
            """
        ),
    )
)
_SYNONYMS_OF: dict[str, frozenset[str]] = {}
for _line in _SYNONYMS.strip().splitlines():
    _stems = frozenset(map(stem, _line.split()))
    for _stem in _stems:
        _SYNONYMS_OF[_stem] = _SYNONYMS_OF.get(_stem, frozenset()) | (_stems - {_stem})
_NONE: frozenset[str] = frozenset()


def synonyms_of(word: str) -> frozenset[str]:
    """Return the stems that are often written for a stem."""
    return _SYNONYMS_OF.get(word, _NONE)


def is_known(word: str) -> bool:
    """Return whether a stem is one of the words that are listed here."""
    return word in _SYNONYMS_OF or word in _OTHERS
