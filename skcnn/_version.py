"""The version, in the one place from which the package and its metadata take it, and where the guide is."""

__version__ = "0.1.0"
GUIDE = "https://skcnn.readthedocs.io/en/latest"
