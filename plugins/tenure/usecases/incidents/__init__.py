"""What others report to: incidents, failure cards, the outbox."""
