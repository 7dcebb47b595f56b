"""Benchmarks; numpy's products keep to one thread, so that a pass over memory means one thread's.

Set before numpy is first imported, for later it would not be heard.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
