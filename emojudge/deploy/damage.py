"""What the last scrub found damaged: no rollback goes there unaware, and no time is lost on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from emojudge import clock
from emojudge.deploy.export import Scrubbed
from emojudge.deploy.generation import Generation
from emojudge.deploy.places import DATA_MODE, mode_in
from emojudge.errors import DeployError
from emojudge.paths import write_durably

_NAME = "scrubbed.json"
_FORM: TypeAdapter[dict[int, str]] = TypeAdapter(dict[int, str])


def known_damage(root: Path) -> dict[int, str]:
    """What is wrong with generations, by number, as the last scrub found it."""
    try:
        return _FORM.validate_python(json.loads((root / _NAME).read_bytes())["damaged"])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as problem:
        raise DeployError(
            f"{root / _NAME} cannot be read. Remove it, and scrub again."
        ) from problem


def remember_damage(root: Path, found: Sequence[Scrubbed]) -> None:
    """Keep what a scrub found, until the next one. Raises StoreError."""
    damaged = {str(one.number): one.wrong for one in found if one.wrong and one.number}
    if not damaged and not (root / _NAME).exists():
        return
    content = json.dumps({"time": clock.stamp(), "damaged": damaged}, indent=1).encode() + b"\n"
    write_durably(root / _NAME, content, exact_mode=mode_in(DATA_MODE, root))


def require_undamaged(root: Path, generation: Generation) -> None:
    """Raise DeployError with the way out for a generation that the last scrub found damaged."""
    wrong = known_damage(root).get(generation.number)
    if wrong is not None:
        raise DeployError(
            f"Generation {generation.number} is damaged, as the last scrub found: {wrong}. Promote "
            "its model again, or restore another generation."
        )
