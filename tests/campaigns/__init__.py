"""Long runs that measure, one module each: ``python -m tests.campaigns.NAME``, or ``make campaign-NAME``."""
