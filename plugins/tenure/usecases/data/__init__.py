"""From a landed file to a published snapshot."""
