"""The board in a real browser: run by ``make browser-test``, where there is a Chromium."""
