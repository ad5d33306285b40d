"""The public API's messages and stubs, generated from ``proto/coordinator/v1``; never edited."""
