"""Say how much memory a network needs, whole and within a byte limit.

    python examples/03_memory_in_a_notebook.py

The lines that begin with ``# %%`` are cells: editors run them as a notebook, where a report that
ends a cell is shown as tables. Needs the extra ``export``.
"""

# %%
from __future__ import annotations

import edgeunet

whole = edgeunet.memory("unetmm", size="480x640")
whole

# %%
planned = edgeunet.memory("unetmm", size="480x640", budget="32MiB")
planned

# %%
for name, report in (("whole frame", whole), ("in 32 MiB", planned)):
    print(f"{name}: {report.peak_live_bytes / 2**20:.1f} MiB alive at the peak")
for stage in planned.planned:
    where = "once" if stage.window is None else f"in {stage.window_count} windows of {stage.window}"
    print(f"  {stage.name} runs {where}")
