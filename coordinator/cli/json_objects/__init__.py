"""The JSON objects that commands answer with; docs/json.md describes them, and they are stable.

Every object carries ``schema`` and ``fleet``; what is absent is null. Times are RFC 3339 in UTC.
"""
