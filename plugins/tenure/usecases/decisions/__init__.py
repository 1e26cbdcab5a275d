"""The decision log: segments, replay, erasure, reviews, batch scoring, outcomes."""
