"""Main module of model processes that believe in walls which they do not have."""

import sys

from tenure.adapters.model_process import confinement
from tenure.usecases.serving import model_process

if __name__ == "__main__":
    confinement.read_only = lambda _folders: ""
    confinement.only_compute = lambda: ""  # type: ignore[attr-defined]
    confinement.without_rights = lambda: ""
    model_process.main(int(sys.argv[1]))
