"""From a landed file to a published snapshot, and what stewards do about suites."""
