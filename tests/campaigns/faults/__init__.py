"""Random faults for as long as one likes, and a checker that knows nothing of the code: ``make campaign-faults``."""
