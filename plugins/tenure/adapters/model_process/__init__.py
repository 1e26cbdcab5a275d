"""Processes that hold one model each: forked from a warm one, confined, without credentials."""

from tenure.adapters.model_process.nursery import ModelProcess, Nursery
from tenure.adapters.model_process.pipe import Pipe

__all__ = ["ModelProcess", "Nursery", "Pipe"]
