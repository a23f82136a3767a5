"""Commands, health checks and targets around the switch, with real processes and a real server."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from emojudge.deploy.hooks import Hooks
from emojudge.deploy.replacer import CoreModelReplacer
from emojudge.errors import DeployError
from tests.core_stores import (
    check_contract,
    current_model,
    promote,
    replacer,
    speaks,
    write_models,
)

EXAMPLE = Path(__file__).parents[1] / "examples" / "emojudge-shelf"


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return write_models(tmp_path)


def restarts(folder: Path) -> list[str]:
    return (folder / "restarts").read_text().split()


def test_hooks_run_in_their_order_and_know_the_generation(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    log = tmp_path / "log"
    told = "$EMOJUDGE_GENERATION $EMOJUDGE_MODEL_NAME $(readlink $EMOJUDGE_CURRENT)"
    core = replacer(
        tmp_path,
        hooks=Hooks(
            pre_command=f'echo "before {told}" >> {log}',
            restart_command=f'echo "after {told}" >> {log}; test -f "$EMOJUDGE_MODEL"',
            health_check=f'echo "health {told}" >> {log}',
        ),
    )
    core.adopt(models["F16"], "F16")
    promote(core, models["Q8"])
    lines = [line.rsplit("/", 1)[0] for line in log.read_text().splitlines()]
    assert [line.split("-")[0] for line in log.read_text().splitlines()[3:]] == [
        "before 2 Q8 generations/1",
        "after 2 Q8 generations/2",
        "health 2 Q8 generations/2",
    ]
    assert len(lines) == 6


def test_a_failing_pre_command_changes_nothing(tmp_path: Path, models: dict[str, Path]) -> None:
    replacer(tmp_path).adopt(models["F16"], "F16")
    core = replacer(tmp_path, hooks=Hooks(pre_command="echo no room on the GPU; exit 7"))
    with pytest.raises(DeployError, match=r"Nothing was changed: .*status 7: no room on the GPU"):
        promote(core, models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert [one.action for one in core.status().audit] == ["adopt"]
    assert core.list_backups() == []


def test_a_companion_that_is_not_well_gets_its_old_core_and_is_restarted_again(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    companion = tmp_path / "companion.json"
    companion.write_text('{"b": 1, "model_info": {"size_mb": 5, "own": 2}, "a": 3}')
    core = replacer(tmp_path, manifest=companion)
    core.adopt(models["F16"], "F16")
    before = companion.read_text()
    unwell = replacer(
        tmp_path,
        manifest=companion,
        hooks=Hooks(
            restart_command=f"echo $EMOJUDGE_GENERATION >> {tmp_path}/restarts",
            health_check="echo cannot open the model; false",
            health_seconds=0.6,
        ),
    )
    with pytest.raises(DeployError, match=r"taken back, .* Not healthy after .*cannot open the"):
        promote(unwell, models["Q8"])
    assert check_contract(tmp_path, companion)
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert companion.read_text() == before
    assert restarts(tmp_path) == ["2", "1"]
    last = core.status().audit[-1]
    assert (last.action, last.after) == ("undone", 1)
    assert last.reason is not None
    assert "promote of generation 2: Not healthy" in last.reason
    assert core.list_backups() == []


def test_a_health_check_is_tried_until_the_companion_is_up(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    tries = tmp_path / "tries"
    check = f"echo x >> {tries}; test $(wc -l < {tries}) -ge 4"
    core = replacer(tmp_path, hooks=Hooks(health_check=check, health_seconds=20))
    core.adopt(models["F16"], "F16")
    assert tries.read_text().count("x") == 4


def test_a_command_that_hangs_is_ended_at_its_deadline(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    replacer(tmp_path).adopt(models["F16"], "F16")
    core = replacer(tmp_path, hooks=Hooks(restart_command="sleep 60 & wait", command_seconds=0.3))
    with pytest.raises(DeployError, match=r"`sleep 60 & wait` was not done after"):
        promote(core, models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()


def test_a_service_that_a_command_leaves_in_the_background_is_not_waited_for(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = replacer(tmp_path, hooks=Hooks(restart_command=f"sleep 60 & echo $! > {tmp_path}/pid"))
    core.adopt(models["F16"], "F16")
    pid = (tmp_path / "pid").read_text().strip()
    subprocess.run(["kill", pid], check=True)


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """An address that answers with the statuses of a list, one after the other."""
    statuses: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if statuses else 503)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/health", statuses
        running.shutdown()


def test_a_health_check_by_address(
    tmp_path: Path, models: dict[str, Path], server: tuple[str, list[int]]
) -> None:
    address, statuses = server
    core = replacer(tmp_path, hooks=Hooks(health_check=address, health_seconds=10))
    statuses += [503, 500, 200]
    core.adopt(models["F16"], "F16")
    assert statuses == []
    soon = replacer(tmp_path, hooks=Hooks(health_check=address, health_seconds=0.5))
    with pytest.raises(DeployError, match=r"answered 503"):
        promote(soon, models["Q8"])
    nobody = Hooks(health_check="http://127.0.0.1:9/", health_seconds=0.5)
    with pytest.raises(DeployError, match=r"did not answer"):
        promote(replacer(tmp_path, hooks=nobody), models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()


class Mirrored(CoreModelReplacer):
    """Gives the core to a list too, which refuses one of them."""

    got: list[str]

    def deploy_to_custom_target(self, path: Path) -> None:
        super().deploy_to_custom_target(path)
        self.got.append(path.parent.name.split("-")[0])
        if self.got[-1] == "2":
            raise RuntimeError("the other machine is full")


def test_a_subclass_is_a_target_and_its_failure_takes_the_change_back(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    core = Mirrored(
        tmp_path / "core", tmp_path / "backups", who="ana", minimum_size_mb=0, try_model=speaks
    )
    core.got = []
    core.adopt(models["F16"], "F16")
    with pytest.raises(DeployError, match=r"taken back, .*the other machine is full"):
        promote(core, models["Q8"])
    assert current_model(tmp_path) == models["F16"].read_bytes()
    assert core.got == ["1", "2", "1"]


def test_the_example_target_is_installed_and_used(tmp_path: Path, models: dict[str, Path]) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "--target", str(site), str(EXAMPLE),
        ],
        check=True,
    )  # fmt: skip
    code = f"""
from pathlib import Path
from tests.core_stores import promote, replacer
core = replacer(Path({str(tmp_path)!r}), targets=("shelf",))
core.adopt(Path({str(models["F16"])!r}), "F16")
promote(core, Path({str(models["Q8"])!r}))
core.rollback()
"""
    shelf = tmp_path / "shelf"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"PYTHONPATH": f"{site}:{Path(__file__).parents[1]}", "EMOJUDGE_SHELF": str(shelf)},
    )
    assert (shelf / "model.gguf").read_bytes() == models["F16"].read_bytes()
    assert len((shelf / "log").read_text().splitlines()) == 3


def test_a_target_that_nobody_installed_is_named(tmp_path: Path, models: dict[str, Path]) -> None:
    core = replacer(tmp_path, targets=("shelves",))
    with pytest.raises(DeployError, match=r"names 'shelves', which no installed package brings"):
        core.adopt(models["F16"], "F16")
    assert core.status().current is None
    assert json.loads((tmp_path / "core" / "journal.json").read_text())["step"] == "idle"
