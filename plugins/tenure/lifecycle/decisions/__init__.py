"""The decision log as such: keys and times, compaction, replay, batch scoring."""
