"""What a device needs works with the base dependencies alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edgeunet.cli.verbs import VERBS
from edgeunet.recipes import recipe_names
from tests.house.bare import RUN_BARE
from tests.house.source import PACKAGE, module_paths

# Files, or folders with a slash, that a heavy package is needed to import. Every other module
# must import without any.
HEAVY = (
    "camera/chain.py",
    "camera/finishing.py",
    "camera/sensor.py",
    "camera/night.py",
    "models/",
    "train/",
    "convert/",
    "graph/",
    "foreign/",
    "qat/",
    "ort/",
    "calibration/calibrators.py",
    "calibration/histograms.py",
    "calibration/ranges.py",
    "calibration/sensitivity_plot.py",
    "planning/cuts.py",
    "planning/frame_plan.py",
    "planning/savings.py",
    "planning/window_choices.py",
    "planning/requested_plan.py",
    "planning/planner.py",
    "planning/processor_memory.py",
    "planning/relay_choices.py",
    "analysis/memory_plot.py",
    "imitation/prediction.py",
    "planning/tuning.py",
    "noise_profile/matching.py",
    "noise_profile/curves_plot.py",
    "evaluate/evaluation.py",
    "evaluate/interval.py",
    "evaluate/forms_report.py",
    "evaluate/gain_chart.py",
    "evaluate/report_document.py",
    "evaluate/report_measures.py",
    "evaluate/report_page.py",
    "evaluate/ssim.py",
    "evaluate/torch_backend.py",
    "stream/camera_clip.py",
    "stream/comparison.py",
    "images/opencv_file.py",
    "images/pillow_file.py",
    "media/opencv.py",
    "stream/photo_clip.py",
    "media/sinks/opencv_video_sink.py",
    "media/sources/opencv_video_source.py",
    "media/sinks/images.py",
    "media/gstreamer_binding.py",
    "media/live/gstreamer.py",
    "media/sinks/gstreamer_sink.py",
    "stream/preview/pictures.py",
    "stream/preview/web_server.py",
    "stream/service/metrics_page.py",
    "stream/many/dask_cluster.py",
    "media/live/opencv_input.py",
    "media/live/stream_decoder.py",
)
LIGHT_ALL_THE_SAME = (
    "foreign/__init__.py",
    "foreign/contract_text.py",
    "graph/__init__.py",
    "graph/integer.py",
    "graph/summary.py",
    "ort/__init__.py",
)

_MAIN = "from edgeunet.cli import main\nsys.exit(main())\n"


def _bare(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN_BARE + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _light_modules() -> list[str]:
    names = []
    for path in module_paths():
        relative = path.relative_to(PACKAGE).as_posix()
        heavy = relative.startswith(HEAVY) and relative not in LIGHT_ALL_THE_SAME
        if not heavy and relative != "__main__.py":
            module = f"edgeunet/{relative}".removesuffix(".py").removesuffix("/__init__")
            names.append(module.replace("/", "."))
    return names


def test_light_modules_import() -> None:
    code = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    done = _bare(code, *_light_modules())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help(verb: str | None) -> None:
    """Help needs no NumPy either, because a slow board takes seconds to load it."""
    without_numpy = 'HEAVY.add("numpy")\n'
    done = _bare(without_numpy + _MAIN, *([verb] if verb else []), "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: edgeunet" in done.stdout


def test_help_of_every_verb_imports_no_numpy() -> None:
    """``test_help`` would not see an import whose failure is caught."""
    code = (
        "import typer\n"
        "from edgeunet.cli import verbs\n"
        "from edgeunet.cli.app import app\n"
        "verbs.register(app)\n"
        "assert typer.main.get_command(app).commands\n"
        "print('numpy' in sys.modules)\n"
    )
    done = _bare(code)
    assert done.stdout == "False\n", done.stderr


def test_models_lists_recipes_and_leaves_the_counts_out() -> None:
    done = _bare(_MAIN, "models", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(recipe_names())
    assert all(row["params"] is None and row["macs_per_pixel"] is None for row in rows)


def test_a_verb_that_needs_a_package_names_the_extra() -> None:
    done = _bare(_MAIN, "export", "--model", "unetmm")
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: exporting needs the package")
    assert hint == 'hint: pip install "edgeunet[export]"'
