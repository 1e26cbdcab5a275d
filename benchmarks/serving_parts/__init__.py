"""Parts of the comparison in `serving.py`."""
