"""The durable log: write-ahead segments, records, sealing, shipping."""
