"""Main module of model processes on a machine that lacks two of the walls."""

import sys

from tenure.adapters.model_process import confinement
from tenure.usecases.serving import model_process

if __name__ == "__main__":
    confinement.read_only = lambda _folders: "the kernel has no Landlock"
    confinement.only_compute = lambda: "libseccomp.so.2 is not installed"  # type: ignore[attr-defined]
    model_process.main(int(sys.argv[1]))
