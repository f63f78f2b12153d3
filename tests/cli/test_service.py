"""The unit that ``edgeunet service`` writes, and what a run tells systemd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgeunet.run.executor import Executor
from edgeunet.specs import Array, Image
from edgeunet.stream import RunOptions, run_pipeline
from edgeunet.stream.run_summary import RunStatus
from edgeunet.stream.service.notifications import SystemdNotifier
from tests.bundle.tiny import tiny_bundle
from tests.cli.command import edgeunet

CONFIG = """
source = "rtsp://me:s3cret@10.0.0.7/live"
bundle = "tiny.bundle"
sinks = ["recordings/", "clips/out.mkv"]
event = "green > 2% for 1s"
event-images = "events"
reconnect = "forever"
timeout = 20
preview-at = "127.0.0.1:8780"
resume = "kept/door.memory"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    tiny_bundle(tmp_path)
    path = tmp_path / "camera 1.toml"
    path.write_text(CONFIG)
    return path


def unit(config: Path, *words: str) -> str:
    ran = edgeunet("service", "show", "--config", config, "--user", "daemon", *words)
    assert ran.code == 0, ran.err
    return ran.out


def test_a_dollar_sign_in_a_name_is_doubled_in_the_command_only(config: Path) -> None:
    folder = config.parent / "a$b"
    folder.mkdir()
    tiny_bundle(folder)
    text = unit(config.rename(folder / config.name))
    assert f"WorkingDirectory={folder}\n" in text
    assert f'--config "{config.parent}/a$$b/{config.name}"' in text


def test_names_that_a_unit_cannot_hold(config: Path) -> None:
    for name in (os.fsdecode(b"l\xdf.toml"), "two\nlines.toml"):
        odd = config.rename(config.parent / name)
        ran = edgeunet("service", "show", "--config", odd, "--user", "daemon", "--name", "a")
        assert ran.code == 2
        assert "a systemd unit cannot hold the name" in ran.failure[0]
        assert ran.failure[1] == "rename the file or its folder"
        config = odd


def test_the_unit_says_what_it_should(config: Path) -> None:
    text = unit(config, "--name", "edgeunet-camera")
    lines = text.splitlines()
    folders = ("recordings", "clips", "events", "kept")
    written = " ".join(f'"{config.parent}/{folder}"' for folder in folders)
    for line in (
        "Type=notify",
        "User=daemon",
        "WatchdogSec=60",
        "Restart=always",
        "RestartPreventExitStatus=2",
        "SuccessExitStatus=143",
        "WatchdogSignal=SIGTERM",
        "NoNewPrivileges=yes",
        f"WorkingDirectory={config.parent}",
        f"ReadWritePaths={written}",
        f"RequiresMountsFor={written}",
    ):
        assert line in lines
    assert f'run --config "{config}" --json-lines' in text
    assert "s3cret" not in text
    (limit,) = (line for line in lines if line.startswith("MemoryMax="))
    assert 512 * 2**20 < int(limit.partition("=")[2]) < 600 * 2**20


def test_folders_are_made_before_the_start_and_only_where_there_are_none(config: Path) -> None:
    (line,) = (line for line in unit(config).splitlines() if line.startswith("ExecStartPre="))
    (config.parent / "clips").mkdir(mode=0o700)
    command = line.partition("=+")[2].replace("$$", "$")
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", command], check=True, timeout=20)
    owner = {path.name: path.owner() for path in config.parent.iterdir() if path.is_dir()}
    # Where nobody is root, nothing can be given to somebody else.
    assert owner["recordings"] == owner["events"] == "daemon"
    assert (config.parent / "clips").stat().st_mode & 0o777 == 0o700


def test_a_unit_of_another_configuration_is_not_overwritten(config: Path, tmp_path: Path) -> None:
    words = ("--user", "daemon", "--units", tmp_path)
    for _ in range(2):
        assert edgeunet("service", "install", "--config", config, *words).code == 0
    other = tmp_path / "garden" / config.name
    other.parent.mkdir()
    tiny_bundle(other.parent)
    other.write_text(CONFIG)
    before = (tmp_path / "edgeunet-camera-1.service").read_text()
    ran = edgeunet("service", "install", "--config", other, *words)
    assert ran.failure == (
        f"{tmp_path}/edgeunet-camera-1.service is there, and runs something else than {other}",
        "give this one a name of its own with --name",
    )
    assert (tmp_path / "edgeunet-camera-1.service").read_text() == before
    assert edgeunet("service", "install", "--config", other, *words, "--name", "b").code == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(config: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    words = ("--user", "daemon", "--name", "edgeunet-camera", "--units", units)
    ran = edgeunet("service", "install", "--config", config, *words)
    assert ran.code == 0, ran.err
    assert "systemctl enable --now edgeunet-camera" in ran.err
    done = subprocess.run(
        ["systemd-analyze", "verify", str(units / "edgeunet-camera.service")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "edgeunet" in line]
    assert ours == []


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (None, (), "cannot be read: No such file or directory"),
        ("source =", (), "is no TOML"),
        ("bundle = 'tiny.bundle'", (), "names no source"),
        ("source = 'csi://0'", (), "names no bundle"),
        ("source = 'csi://0'\nbundle = 'absent'", (), "there is no bundle folder"),
        ("sorce = 'csi://0'", (), "has 'sorce', which edgeunet run does not take"),
        ("source = {a = 1}", (), "has a value for 'source' that is no text, number"),
        (f"{CONFIG}segment = '10 minutes'", (), "'10 minutes' is not a duration"),
        (f"{CONFIG}keep = '20GB'\nsegment = '1h'", (), "neither a size nor an age"),
        (f"{CONFIG}frames = 1.5", (), "Invalid value for '--frames'"),
        (f"{CONFIG}frames = true", (), "has true or false for 'frames'"),
        (f"{CONFIG}view = 'labls'", (), "there is no view 'labls'"),
        (f"{CONFIG}json = true", (), "a service cannot have 'json'"),
        (f"{CONFIG}event-post = 'ftp://x'", (), "no address that events can be posted to"),
        (CONFIG.replace("green", "gren"), (), "has no class 'gren'"),
        (CONFIG.replace("= 20", "= 0"), (), "0 is not a time to wait for a frame"),
        (CONFIG.replace('"forever"', '"ever"'), (), "'ever' is not a time for reconnecting"),
        (CONFIG, ("--user", "root"), "does not run as root"),
        (CONFIG, ("--user", "no such user"), "there is no user 'no such user'"),
        (CONFIG, ("--name", "a/b"), "'a/b' is no name for a unit"),
    ],
)
def test_what_cannot_be_a_service(
    config: Path, text: str | None, words: tuple[str, ...], message: str
) -> None:
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    user = () if "--user" in words else ("--user", "daemon")
    ran = edgeunet("service", "show", "--config", config, *user, *words)
    assert message in ran.failure[0]


def test_an_action_that_is_none(config: Path) -> None:
    ran = edgeunet("service", "instal", "--config", config)
    assert ran.failure == (
        "edgeunet service does not know 'instal'",
        "did you mean 'install'? use one of: install, show",
    )


def test_a_run_takes_its_options_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path).path
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "run.toml"
    config.write_text(f'source = "test://?frames=3"\nbundle = "{bundle}"\nsinks = ["out/"]\n')
    ran = edgeunet("run", "--config", config, "--json")
    assert ran.code == 0, ran.err
    assert '"frames": 3' in ran.out
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    # What the command line says goes before the file.
    ran = edgeunet("run", "test://?frames=2", "none", "--config", config, "--json")
    assert '"frames": 2' in ran.out


def test_one_text_stands_for_a_list_and_a_number_for_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_bundle(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "run.toml"
    text = 'bundle = "tiny.bundle"\nsinks = "out/"\nevent = "green > 90%"\n'
    config.write_text(f'{text}source = "test://?frames=3"\n')
    ran = edgeunet("run", "--config", config)
    assert ran.code == 0, ran.err
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    config.write_text(f"{text}source = 0\n")
    assert "Description=edgeunet: 0\n" in unit(config)
    config.write_text(f"{text}source = 0\npreview = true\nstrength = true\n")
    ran = edgeunet("run", "--config", config)
    assert ran.failure == (
        f"the configuration '{config}' has true or false for 'strength', which takes a text or a "
        "number",
        "write it as on the command line, a text in quotes",
    )


def test_a_hang_is_answered_by_a_missing_watchdog_and_a_named_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(address))
    manager.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setattr("edgeunet.stream.activity.HANG_S", 0.5)
    monkeypatch.setattr("edgeunet.stream.pipeline._WATCH_S", 0.1)
    monkeypatch.setattr("edgeunet.stream.pipeline._LAST_CHANCE_S", 0.2)
    release, hanging = threading.Event(), threading.Event()
    original = Executor.run

    def run(self: Executor, image: Image, into: Mapping[str, Array]) -> object:
        if hanging.is_set():
            release.wait(30)
        return original(self, image, into)

    monkeypatch.setattr(Executor, "run", run)
    notifier = SystemdNotifier()
    stopped = threading.Event()

    def tell(status: RunStatus) -> None:
        notifier.tell(status)
        if stopped.is_set():
            raise KeyboardInterrupt

    source = "test://?size=48x64&frames=0&fps=30&live=1"
    options = RunOptions(source, tiny_bundle(tmp_path).path)
    thread = threading.Thread(target=lambda: run_pipeline(options, on_status=tell), daemon=True)
    thread.start()
    first = manager.recv(4096).decode()
    while "READY=1" not in first:
        first = manager.recv(4096).decode()
    assert "WATCHDOG=1" in first
    hanging.set()
    deadline_s = time.monotonic() + 20
    message = ""
    while "hangs" not in message and time.monotonic() < deadline_s:
        message = manager.recv(4096).decode()
    assert "STATUS=the network hangs" in message
    assert "WATCHDOG=1" not in message
    stopped.set()
    release.set()
    thread.join(20)
    notifier.stopping()
    while message != "STOPPING=1":
        message = manager.recv(4096).decode()
    manager.close()


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    before = len(list(Path("/proc/self/fd").iterdir()))
    SystemdNotifier().stopping()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
