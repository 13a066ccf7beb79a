"""Data to learn from: folders of images, samples that stay in files, and digits of which one is rare."""

from skcnn._lazy import LazySamples
from skcnn.datasets._digits import load_rare_digit
from skcnn.datasets._folder import load_image_folder

__all__ = ["LazySamples", "load_image_folder", "load_rare_digit"]
