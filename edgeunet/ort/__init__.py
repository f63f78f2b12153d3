"""All that is asked of onnxruntime. Only this room imports it, and nothing here knows a bundle.

Wheels since 1.29 send events about graphs and the machine to their maker, with a number for the
device. For that they keep a thread, a database in the home folder, and half a MiB that is taken
some seconds after the first frame. The library decides when it loads, so this must come before.
Whoever sets the variable to 0 gets the events.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
