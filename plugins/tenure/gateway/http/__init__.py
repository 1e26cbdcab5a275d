"""Requests in, answers out: endpoints, bodies, draining."""
