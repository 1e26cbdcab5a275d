"""Drills: a named fault in a sandbox copy, and how long until it is found, told and over."""
