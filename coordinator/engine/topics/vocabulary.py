"""Words that say nothing, words that say little, and forms of one word that a stemmer keeps apart.

Invariant: ``STOP_WORDS``, ``FORMS``, ``PHRASES`` and ``NUMBER_WORDS`` change signatures, which are stored: a change of
them needs another ``SIGNATURE_VERSION`` in ``topic.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "COUNTED",
    "DETERMINERS",
    "FORMS",
    "NUMBER_WORDS",
    "PHRASES",
    "ROMAN",
    "STOP_WORDS",
    "UNITS",
    "WEAK_WORDS",
    "lines_of",
    "words_in",
]


def lines_of(table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what stands before the colon of each line, and what is separated by commas behind it."""
    for line in table.strip().splitlines():
        head, _, tail = line.partition(":")
        yield head.strip(), tuple(part.strip() for part in tail.split(",") if part.strip())


def words_in(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


#: They are left out. Negations are not among them: "without downtime" is other work than "with downtime".
STOP_WORDS = words_in(
    """
    a an the this that these those some any each every its it he she they them their our we us you your my me i
    is are was were be been being am do does did doing done has have had having s t can could shall should will
    would may might must cannot of in on at by for with to into onto toward towards from via per as within
    across through about against between among during before after under below around upon than then so and or
    but nor if when whenever while where which who whom whose what why how because since until unless there here
    also just only very really please let lets need needs needed want wants able ability etc eg ie such other
    own too yet ever already now always one ones
    """
)

#: Those of them that stand before a noun, and may stand between it and what says where work goes.
DETERMINERS = words_in("a an the this that these those some any each every its their our your my all")

#: They are kept and say little: titles of which one has them and the other has not may well name the same work.
WEAK_WORDS = words_in(
    """
    add implement support make use create introduce provide new write build develop allow enable ensure handle
    handling work thing way various general proper properly better improve current existing issue problem task
    ticket bug feature functionality fix update change set get up out instead more all whole complete full basic
    simple initial minimal additional extra still again correct appropriate related specific certain several
    post article blog draft research idea topic part system code project page
    """
)

#: The form that counts, and others of it: irregular ones, derivations, and spellings that no rule covers.
_FORMS = """
analyze: analysis, analyses
convert: conversion, conversions
compare: comparison, comparisons
expand: expansion
extend: extension, extensions
describe: description, descriptions
subscribe: subscription, subscriptions
resolve: resolution
respond: response, responses
fail: failure, failures
decide: decision, decisions
choose: choice, choices, chose, chosen
prove: proof, proven
grow: growth, grew, grown
stable: stability, unstable
visible: visibility
reliable: reliability
available: availability
break: broken, broke, breakage
write: written, wrote, writing
build: built
lose: lost, loss, losses
send: sent
find: found
keep: kept
leave: left
run: ran
take: taken, took
give: given, gave
hide: hidden
throw: thrown, threw
freeze: frozen, froze
know: known, knew
begin: began, begun
hold: held
bind: bound
child: children
person: people
index: indices, indexes
vertex: vertices
matrix: matrices
criterion: criteria
schema: schemata
fast: faster, fastest
slow: slower, slowest, slowly, slowness
small: smaller, smallest
large: larger, largest
quick: quicker, quickest, quickly
high: higher, highest
easy: easier, easiest, easily
simple: simpler, simplest, simply, simplicity
safe: safer, safest, safety, safely
long: longer, longest
short: shorter, shortest
clean: cleaner
parse: parser, parsers
log: logger, loggers
load: loader, loaders
crawl: crawler, crawlers
scrape: scraper, scrapers
delete: deletion
permit: permission, permissions
complete: completion
connect: connector, connectors
generate: generator, generators
validate: validator, validators
archive: archival
arrive: arrival
approve: approval, approvals
renew: renewal, renewals
refuse: refusal
propose: proposal, proposals
retrieve: retrieval
deploy: deployment, deployments
measure: measurement, measurements
adjust: adjustment
replace: replacement
assign: assignment, assignments
enforce: enforcement
improve: improvement, improvements
embed: embedding, embeddings
maintain: maintenance
recur: recurrence
occur: occurrence, occurrences
persist: persistence, persistent
concurrent: concurrency
redundant: redundancy
consistent: consistency
dependent: dependence
latency: latencies
efficient: efficiency
corrupt: corruption
pagination: paginate, paging
serialize: serializer
tokenize: tokenizer
summarize: summary, summaries
authenticate: authentication
authorize: authorization
cancel: cancellation
duplicate: duplication
think: thought
teach: taught
learn: learnt
buy: bought
sell: sold, sale, sales
"""

FORMS: dict[str, str] = {other: form for form, others in lines_of(_FORMS) for other in others}

#: Several words that are one: what counts, and how it is also written. Of one word each is an abbreviation's affair.
_PHRASES = """
login: log in, logs in, logging in, logged in, sign in, signs in, signing in, signed in, signin, logon, log on
logout: log out, logs out, logging out, logged out, sign out, signs out, signing out, signed out, signout, logoff
signup: sign up, signs up, signing up
setup: set up, setting up, sets up
cleanup: clean up, cleaning up, cleans up
backup: back up, backing up, backs up, backups
rollback: roll back, rolling back, rolls back
rollout: roll out, rolling out, rolls out
timeout: time out, times out, timing out, timed out, timeouts
checkout: check out, checking out
lookup: look up, looking up, looks up
startup: start up, starting up
shutdown: shut down, shutting down, shuts down
fallback: fall back, falling back, falls back
enable: turn on, turns on, turning on, switch on, switches on, switching on
disable: turn off, turns off, turning off, switch off, switches off, switching off
optin: opt in, opting in
optout: opt out, opting out
remove: get rid of, getting rid of
replace: swap out
investigate: look into, looking into
speedup: speed up, speeding up, speeds up
database: data base
filename: file name
filesystem: file system
username: user name
hostname: host name
namespace: name space
codebase: code base
dataset: data set
datastore: data store
changelog: change log
frontend: front end
backend: back end
website: web site
webhook: web hook
middleware: middle ware
dropdown: drop down
popup: pop up
plugin: plug in
tooltip: tool tip
sidebar: side bar
toolbar: tool bar
navbar: nav bar
workflow: work flow
runtime: run time
realtime: real time
lifecycle: life cycle
healthcheck: health check
ratelimit: rate limit, rate limiting, rate limiter, rate limits, rate limited
endpoint: end point
checkbox: check box
typecheck: type check, type checking
linebreak: line break
multithread: multi thread
multitenant: multi tenant
opensource: open source
email: e mail
online: on line
offline: off line
"""

PHRASES: dict[str, str] = {other: phrase for phrase, others in lines_of(_PHRASES) for other in others}

#: Numbers that are written as words; "second" is one only where no number stands before it, "one" only where parts are
#: counted.
NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "twenty": "20", "hundred": "100", "thousand": "1000",
    "first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6", "seventh": "7",
    "eighth": "8", "ninth": "9", "tenth": "10",
}  # fmt: skip
#: Behind these words "one" and Roman numerals are numbers.
COUNTED = words_in(
    """
    part phase step stage chapter level tier round version sprint milestone day week volume iteration episode
    section option variant batch wave
    """
)
ROMAN = {
    "one": "1",
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
}
#: What may be written right behind a number, and the word that it stands for.
UNITS = {
    "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond",
    "min": "minute", "mins": "minute", "m": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "w": "week",
    "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte",
}  # fmt: skip
