"""Other places that get the core: an object store, another machine, ``ollama create``.

A package names a target in its metadata:

    [project.entry-points."emojudge.deploy_targets"]
    shelf = "my_package:Shelf"

and a study in its config, ``replacement_config.targets``: an installed package changes nothing by
itself. Or subclass CoreModelReplacer and override ``deploy_to_custom_target``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from emojudge.errors import ConfigError, DeployError, EmojudgeError

GROUP = "emojudge.deploy_targets"


class DeployTarget(Protocol):
    """What an entry point makes when it is called without arguments."""

    def deploy(self, model: Path) -> None:
        """Serve this model from now on; whatever is raised takes the whole change back.

        Called again with the model before when a change is taken back, so it must be able to
        go back to a model that it was given before.
        """
        ...


def make_target(name: str) -> DeployTarget:
    """A target by the name of its entry point. Raises ConfigError."""
    known = {one.name: one for one in entry_points(group=GROUP)}
    if name not in known:
        there = ", ".join(sorted(known)) or "none is installed"
        raise ConfigError(
            f"replacement_config.targets names {name!r}, which no installed package brings "
            f"({there}). Install its package, or take the name out of the config."
        )
    try:
        target: DeployTarget = known[name].load()()
    except Exception as problem:
        raise ConfigError(
            f"The deploy target {name!r} ({known[name].value}) cannot be made: "
            f"{type(problem).__name__}: {problem}. Mend it, or take it out of the config."
        ) from problem
    if not callable(getattr(target, "deploy", None)):
        raise ConfigError(f"The deploy target {name!r} needs a method `deploy(model)`.")
    return target


def tell(give: Callable[[Path], None], model: Path) -> None:
    """Give targets a model. Raises DeployError whatever somebody else's code raises."""
    try:
        give(model)
    except EmojudgeError:
        raise
    except Exception as problem:
        raise DeployError(
            f"A deploy target failed: {type(problem).__name__}: {problem}"
        ) from problem
