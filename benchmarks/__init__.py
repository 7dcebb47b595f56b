"""Benchmarks; numpy's products run on one thread, so that a pass over memory is one thread's.

The variable is set before numpy is first imported, as it has no effect later.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
