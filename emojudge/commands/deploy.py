"""``emojudge deploy …``: adopt, replace, back up and roll back the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emojudge.commands.options import ConfigOption, JsonOption, existing, load, result
from emojudge.say import say

if TYPE_CHECKING:
    from emojudge.deploy.generation import Generation
    from emojudge.deploy.progress import Progress
    from emojudge.deploy.replacer import CoreModelReplacer
    from emojudge.deploy.status import Status

    Change = Callable[[CoreModelReplacer], Generation]

deploy_app = typer.Typer(
    help="Adopt, replace, back up and roll back the core.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="A GGUF file; of a split model its first.")
]


def _status_here() -> Status | None:
    """The core store of the study in this folder, for the shell's completion."""
    from emojudge.config_file import load_config
    from emojudge.errors import EmojudgeError
    from emojudge.pipeline.deploying import replacer_for

    try:
        return replacer_for(load_config(Path())).status()
    except EmojudgeError:
        # Nobody can be told while a shell completes.
        return None


def known_backups(incomplete: str) -> list[str]:
    """Backups that begin so."""
    status = _status_here()
    names = [one.backup_id for one in status.backups] if status is not None else []
    return [one for one in names if one.startswith(incomplete)]


def known_generations(incomplete: str) -> list[str]:
    """Backups, and numbers of generations, that begin so."""
    status = _status_here()
    numbers = [str(one.number) for one in status.generations] if status is not None else []
    return [one for one in numbers if one.startswith(incomplete)] + known_backups(incomplete)


def _replacer(config: Path) -> CoreModelReplacer:
    from emojudge.pipeline.deploying import replacer_for

    return replacer_for(load(config))


def _steps() -> Progress:
    from emojudge.deploy.progress import Lines

    return Lines(say)


@deploy_app.command("validate")
def deploy_validate(
    path: PathArgument, config: ConfigOption = Path(), as_json: JsonOption = False
) -> None:
    """What a model would be refused for; changes nothing.

    Its weights and a trial in the sandbox included. Exit status 1 if it would be refused.
    """
    from emojudge.deploy.gates import OUTSIDE_A_STUDY

    gates = _replacer(config).validate(existing(path), _steps()) + OUTSIDE_A_STUDY
    lines = [f"{gate.status.mark} {gate.name}: {gate.reason}" for gate in gates]
    result([gate.model_dump(mode="json") for gate in gates], as_json, lines)
    if any(gate.integrity and gate.status == "fail" for gate in gates):
        raise typer.Exit(1)


def _core_is_now(config: Path, as_json: bool, change: Change) -> None:
    """Change the core and print which it is; one that is what was wanted already is printed, too.

    Raises what the change raises.
    """
    from emojudge.errors import AlreadyTheCore
    from emojudge.text import visible_line

    replacer = _replacer(config)
    try:
        core = change(replacer)
        changed, word = True, "now"
    except AlreadyTheCore as so:
        current = replacer.status().current
        if current is None or current.number != so.generation:
            raise
        core, changed, word = current, False, "already"
    said = (
        f"The core is {word} generation {core.number}, {visible_line(core.manifest.name)}: "
        f"{core.manifest.model_path}"
    )
    value = {
        "changed": changed,
        "generation": core.number,
        "name": core.manifest.name,
        "model_path": core.manifest.model_path,
        "sha256": core.manifest.sha256,
    }
    result(value, as_json, [said])


@deploy_app.command("adopt")
def deploy_adopt(
    path: PathArgument, config: ConfigOption = Path(), as_json: JsonOption = False
) -> None:
    """Take over the core in use as the first generation."""
    from emojudge.deploy.generation import name_beside

    model = existing(path)
    name = name_beside(model)
    _core_is_now(config, as_json, lambda store: store.adopt(model, name, _steps()))


@deploy_app.command("replace")
def deploy_replace(
    path: PathArgument,
    config: ConfigOption = Path(),
    force: Annotated[
        str | None, typer.Option("--force", help="Your reason to override judgement gates.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model the core."""
    from emojudge.deploy.building import Incoming
    from emojudge.deploy.generation import name_beside

    incoming = Incoming(path=existing(path), name=name_beside(path))

    def replace(store: CoreModelReplacer) -> Generation:
        return store.replace(incoming, force=force, progress=_steps())

    _core_is_now(config, as_json, replace)


@deploy_app.command("backup")
def deploy_backup(
    config: ConfigOption = Path(),
    label: Annotated[str, typer.Option("--label", help="What to call it.")] = "by hand",
    as_json: JsonOption = False,
) -> None:
    """Pin the current core."""
    backup = _replacer(config).backup(label)
    said = f"{backup.backup_id} keeps generation {backup.generation}."
    result(backup.model_dump(mode="json"), as_json, [said])


ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the audit.")]


@deploy_app.command("restore")
def deploy_restore(
    backup: Annotated[
        str,
        typer.Argument(
            metavar="BACKUP",
            help="A backup's name or label, or a generation's number.",
            autocompletion=known_generations,
        ),
    ],
    config: ConfigOption = Path(),
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an earlier generation the core again."""
    _core_is_now(config, as_json, lambda store: store.restore_named(backup, reason=reason))


@deploy_app.command("rollback")
def deploy_rollback(
    config: ConfigOption = Path(), reason: ReasonOption = None, as_json: JsonOption = False
) -> None:
    """Go back to the core before the last change."""
    _core_is_now(config, as_json, lambda store: store.rollback(reason=reason))


@deploy_app.command("recover")
def deploy_recover(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """End what a crash interrupted, and say what was done."""
    said = _replacer(config).recover()
    result({"done": said}, as_json, [said or "nothing was interrupted"])


@deploy_app.command("remove-backup")
def deploy_remove_backup(
    backup: Annotated[
        str,
        typer.Argument(
            metavar="BACKUP", help="A backup's name or label.", autocompletion=known_backups
        ),
    ],
    config: ConfigOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take a backup away.

    The next promotion clears away what nothing keeps any more.
    """
    removed = _replacer(config).remove_backup(backup)
    said = f"{removed.backup_id} keeps generation {removed.generation} no more."
    result(removed.model_dump(mode="json"), as_json, [said])


@deploy_app.command("list-backups")
def deploy_list_backups(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """All backups, newest first."""
    from emojudge.commands.deploy_text import describe_backups

    value, lines = describe_backups(_replacer(config).list_backups())
    result(value, as_json, lines)


@deploy_app.command("export")
def deploy_export(
    backup: Annotated[
        str,
        typer.Argument(
            metavar="BACKUP",
            help="A backup's name or label, or `current`.",
            autocompletion=known_backups,
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    config: ConfigOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Copy a backup's model and manifest to another place."""
    copies = [str(one) for one in _replacer(config).export(backup, folder, _steps())]
    result({"files": copies}, as_json, [f"{backup} is now also {', '.join(copies)}."])


@deploy_app.command("scrub")
def deploy_scrub(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """Hash every generation again.

    Exit status 1 if one is not what was written.
    """
    from emojudge.commands.deploy_text import describe_scrubbed

    found = _replacer(config).scrub(_steps())
    value, lines = describe_scrubbed(found)
    result(value, as_json, lines)
    if any(one.wrong for one in found):
        raise typer.Exit(1)


@deploy_app.command("audit")
def deploy_audit(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """Every change of the core, and whether their chain holds.

    Exit status 1 if somebody changed the audit.
    """
    from emojudge.commands.deploy_text import describe_audit

    replacer = _replacer(config)
    wrong = replacer.verify_audit()
    value, lines = describe_audit(replacer.layout.audit_log, wrong)
    result(value, as_json, lines)
    if wrong:
        raise typer.Exit(1)


@deploy_app.command("status")
def deploy_status(config: ConfigOption = Path(), as_json: JsonOption = False) -> None:
    """The core now, and what it can go back to."""
    from emojudge.commands.deploy_text import describe_status

    value, lines = describe_status(_replacer(config).status())
    result(value, as_json, lines)
