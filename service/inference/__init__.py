"""The inference room: only here ONNX Runtime is used.

Left to itself that library keeps an identifier of the machine in the home folder and reports its use to
its maker. Nothing leaves here but what is configured, so it is told not to, before it is loaded.
"""

import os

os.putenv("ORT_DISABLE_TELEMETRY", "1")
