"""The whole life of one model on real data, driven from outside as its users would."""
