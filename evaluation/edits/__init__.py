"""Named edits: the changes people make to a photo before they upload it again, and their truth.

Imported by the evaluation, its templates, benchmarks and tests.
"""

from evaluation.edits.canvas import jpeg
from evaluation.edits.registry import ALL_EDITS, EDITS, Edit

__all__ = ["ALL_EDITS", "EDITS", "Edit", "jpeg"]
