"""What stewards do about suites: preview and suggest, propose and answer."""
