"""The one table of actions: bindings, footer, help, palette and keymap all come from it.

An action's id never changes, because people's keymaps name it. ``scope`` is the screen it belongs
to, or ``app`` for everywhere. A screen implements the action ``rate.submit`` as ``action_submit``.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from emojudge.errors import ConfigError

APP = "app"
CANDIDATES = "candidates"
RATE = "rate"
RESULTS = "results"
DEPLOY = "deploy"
SCREENS = (CANDIDATES, RATE, RESULTS, DEPLOY)
SCORES = "scores"
PAIRS = "pairs"
MODES = {RATE: (SCORES, PAIRS)}

_KEY_NAMES = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "enter": "⏎",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "colon": ":",
    "escape": "esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "shift+tab": "⇧tab",
}


@dataclass(frozen=True)
class Action:
    """One thing a person can do.

    ``call`` is the method's name and arguments without the ``action_`` prefix. ``footer`` is the
    label in the key line, or None to leave the action out of it; actions that share a footer
    label stand there once, with all their keys. ``mode`` is the mode of its screen in which it
    works; actions of different modes may share a key.
    """

    id: str
    keys: tuple[str, ...]
    call: str
    tooltip: str
    footer: str | None = None
    mode: str = ""

    @property
    def scope(self) -> str:
        """The screen it belongs to, or ``app``."""
        return self.id.partition(".")[0]


def key_label(key: str) -> str:
    """A key as people read it."""
    return _KEY_NAMES.get(key, key.upper() if key[0] == "f" and key[1:].isdigit() else key)


ACTIONS: tuple[Action, ...] = (
    Action("app.help", ("question_mark", "f1"), "help", "What every key here does", "help"),
    Action("app.candidates", ("f2",), "show('candidates')", "Candidates and their progress"),
    Action("app.rate", ("f3",), "show('rate')", "Rate responses, blind"),
    Action("app.results", ("f4",), "show('results')", "Ranking, agreement, judges"),
    Action("app.deploy", ("f5",), "show('deploy')", "Promote and roll back"),
    Action("app.next", ("tab",), "next_screen(1)", "The next screen"),
    Action("app.previous", ("shift+tab",), "next_screen(-1)", "The previous screen"),
    Action("app.settings", ("comma",), "settings", "Theme, reading speed, breaks"),
    Action("app.palette", ("ctrl+p", "colon"), "command_palette", "Find an action by its name"),
    Action("app.quit", ("q",), "quit", "Leave; nothing is lost", "quit"),
    Action("candidates.start", ("s",), "start", "Generate and judge everything", "start"),
    Action("candidates.pause", ("p",), "pause", "Finish the prompt in hand, then stop", "pause"),
    Action("candidates.stop", ("x",), "stop", "Stop now; texts under way are dropped", "stop"),
    Action("candidates.discover", ("d",), "discover", "Look for candidates again", "discover"),
    *(
        Action(
            f"rate.score.{value}",
            (str(value),),
            f"score({value})",
            f"Score {value} of 5 and move on",
            "score",
            SCORES,
        )
        for value in range(1, 6)
    ),
    Action(
        "rate.left_better",
        ("left_square_bracket",),
        "vote('left')",
        "The left response is better",
        "left better",
        PAIRS,
    ),
    Action("rate.tie", ("space",), "vote('tie')", "Neither is better", "tie", PAIRS),
    Action(
        "rate.right_better",
        ("right_square_bracket",),
        "vote('right')",
        "The right response is better",
        "right better",
        PAIRS,
    ),
    Action("rate.left", ("left", "h"), "pane(-1)", "The pane to the left", "move"),
    Action("rate.down", ("down", "j"), "criterion(1)", "The criterion below", "move", SCORES),
    Action("rate.up", ("up", "k"), "criterion(-1)", "The criterion above", "move", SCORES),
    Action("rate.right", ("right", "l"), "pane(1)", "The pane to the right", "move"),
    Action("rate.reveal", ("space",), "reveal", "Show all text that is there", "all text", SCORES),
    Action(
        "rate.reveal_pair", ("enter",), "show_all", "Show all text that is there", "all text", PAIRS
    ),
    Action("rate.submit", ("enter",), "submit", "Store the item and go on", "submit", SCORES),
    Action(
        "rate.ahead",
        ("b",),
        "put_ahead",
        "Of equal totals, this one is better",
        "better",
        SCORES,
    ),
    Action("rate.undo", ("u",), "undo", "Take back the last step, item after item", "undo"),
    Action("rate.comment", ("c",), "comment", "A comment on the focused pane", "comment"),
    Action("rate.comment_item", ("C",), "comment_item", "A comment on the whole item"),
    Action("rate.flag", ("f",), "flag", "Flag the focused response, with a reason", "flag"),
    Action("rate.skip", ("s",), "skip", "Leave this item, with a reason", "skip"),
    Action(
        "rate.to_pairs", ("v",), "to_pairs", "Quick votes on pairs of responses", "pairs", SCORES
    ),
    Action("rate.to_scores", ("v",), "to_scores", "Back to scores", "scores", PAIRS),
    Action("rate.prompt", ("o",), "open_prompt", "More room for the prompt, or less again"),
    Action("rate.scroll_down", ("pagedown", "ctrl+d"), "scroll_text(1)", "All responses down"),
    Action("rate.scroll_up", ("pageup", "ctrl+u"), "scroll_text(-1)", "All responses up"),
    Action("rate.scroll_own_down", ("J",), "scroll_own(1)", "The focused response alone, down"),
    Action("rate.scroll_own_up", ("K",), "scroll_own(-1)", "The focused response alone, up"),
    Action("rate.faster", ("plus",), "reveal_speed(1)", "Show words faster"),
    Action("rate.slower", ("minus",), "reveal_speed(-1)", "Show words more slowly"),
    Action("results.left", ("left", "h"), "choose(-1)", "The disagreement before", "disagreement"),
    Action("results.right", ("right", "l"), "choose(1)", "The next disagreement", "disagreement"),
    Action(
        "results.open", ("enter",), "open_item", "Read the marked item, letters lifted", "read it"
    ),
    Action("results.write", ("w",), "write", "Write the report files", "write report"),
    Action("results.up", ("up", "k"), "scroll_lines(-1)", "Scroll up", "scroll"),
    Action("results.down", ("down", "j"), "scroll_lines(1)", "Scroll down", "scroll"),
    Action("results.page_up", ("pageup",), "scroll_pages(-1)", "A page up"),
    Action("results.page_down", ("pagedown", "space"), "scroll_pages(1)", "A page down"),
    Action("results.next", ("n",), "section(1)", "The next section"),
    Action("results.previous", ("p",), "section(-1)", "The section before"),
    Action("deploy.left", ("left", "h"), "choose(-1)", "The candidate before", "candidate"),
    Action("deploy.right", ("right", "l"), "choose(1)", "The next candidate", "candidate"),
    Action("deploy.promote", ("p",), "promote", "Make the chosen candidate the core", "promote"),
    Action("deploy.rollback", ("r",), "rollback", "Back to the core before", "roll back"),
    Action("deploy.pin", ("b",), "pin", "Keep the present core as a backup", "pin"),
    Action("deploy.evidence", ("v",), "evidence", "What each gate rests on", "evidence"),
    Action("deploy.log", ("a",), "log", "The audit: every change of the core, in full", "audit"),
    Action("deploy.up", ("up", "k"), "mark(-1)", "The generation above", "history"),
    Action("deploy.down", ("down", "j"), "mark(1)", "The generation below", "history"),
    Action(
        "deploy.restore", ("enter",), "restore", "Make the marked generation current", "restore"
    ),
)

_BY_ID = {action.id: action for action in ACTIONS}


def actions_of(scope: str) -> list[Action]:
    """The actions of one screen, or of the app."""
    return [action for action in ACTIONS if action.scope == scope]


def keys_of(action: Action, keymap: Mapping[str, str]) -> list[str]:
    """An action's keys, after the person's keymap."""
    mapped = keymap.get(action.id)
    return [key.strip() for key in mapped.split(",")] if mapped else list(action.keys)


def shown_key(action_id: str, keymap: Mapping[str, str]) -> str:
    """The first key of an action as it is printed, after the person's keymap."""
    return key_label(keys_of(_BY_ID[action_id], keymap)[0])


def footer_entries(
    scope: str,
    keymap: Mapping[str, str],
    *,
    mode: str = "",
    without: Collection[str] = (),
) -> list[tuple[str, str]]:
    """(keys, label) pairs for the key line of a screen, then those of the app.

    ``without`` are ids of actions that would do nothing now.
    """
    entries: dict[str, list[str]] = {}
    for action in [*actions_of(scope), *actions_of(APP)]:
        if action.footer and action.id not in without and action.mode in ("", mode):
            key = key_label(keys_of(action, keymap)[0])
            entries.setdefault(action.footer, []).append(key)
    return [(_join(keys), label) for label, keys in entries.items()]


def _join(keys: list[str]) -> str:
    """``1 2 3 4 5`` becomes ``1–5``; arrows stand together."""
    if len(keys) > 2 and all(key.isdecimal() for key in keys):
        return f"{keys[0]}–{keys[-1]}"
    return "".join(keys)


def check_keymap(keymap: Mapping[str, str]) -> None:
    """Refuse unknown actions, and keys that would do two things on one screen.

    ``keymap`` maps action ids to comma-separated keys. Raises ConfigError naming both actions.
    """
    for action_id in keymap:
        if action_id not in _BY_ID:
            near = difflib.get_close_matches(action_id, _BY_ID, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"settings.toml: keymap names no action {action_id!r}.{hint}")
    for scope in SCREENS:
        own = [*actions_of(APP), *actions_of(scope)]
        for mode in MODES.get(scope, ("",)):
            _check_keys((one for one in own if one.mode in ("", mode)), keymap)


def _key_name(key: str) -> str:
    """A key under its one name: ``?`` and ``question_mark`` are the same."""
    if len(key) == 1 and not key.isalnum():
        return unicodedata.name(key, key).lower().replace(" ", "_").replace("-", "_")
    return key


def _check_keys(actions: Iterable[Action], keymap: Mapping[str, str]) -> None:
    owner: dict[str, str] = {}
    for action in actions:
        for key in map(_key_name, keys_of(action, keymap)):
            if key in owner:
                raise ConfigError(
                    f"settings.toml: the key {key!r} would mean both {owner[key]} and "
                    f"{action.id}. Give one of them another key."
                )
            owner[key] = action.id
