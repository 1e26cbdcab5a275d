"""Contracts, expectation suites, the data gate, privacy."""
