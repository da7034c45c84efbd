"""ESC-10, 400 field recordings of ten kinds of sound, fetched from the public ESC-50 repository.

K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from pipeline.datasets.esc10.github import download_esc10
from pipeline.datasets.esc10.layout import Esc10Error, Esc10Summary
from pipeline.datasets.esc10.local import unpack_esc10

__all__ = ["Esc10Error", "Esc10Summary", "download_esc10", "unpack_esc10"]
