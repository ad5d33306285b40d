"""How well, and how fast, topics are found that name the same work: ``make eval-topics``."""
