"""The server. What stands here must happen before anything else is imported.

Nothing that is imported may report home: see `telemetry.offline`. And NumPy's products are too
small to share between threads: BLAS's own would wait for work in a loop, on the cores that the
models need.
"""

import os

from pellucid_server.telemetry.offline import stay_offline

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
stay_offline()
