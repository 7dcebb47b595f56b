"""Generated families of pictures that share a layout or a scene: different things in one dress.

Imported by the evaluation, benchmarks and tests.
"""

from evaluation.synthetic_templates.registry import FAMILIES, TEMPLATES, Family

__all__ = ["FAMILIES", "TEMPLATES", "Family"]
