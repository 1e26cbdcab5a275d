"""How good a trained version is, for whom, at what cost, and whether it can be made again."""
