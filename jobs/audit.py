"""`lmac audit`: what is wrong with a run's dataset and its classifier."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from jobs.input_options import FROM_OPTIONS, InputOptions, reads_input
from jobs.messages import FAILED, FOUND, console, counted, errors, fail, for_people
from pipeline.storage.filesystem import display_url
from schemas.audit_tables import KINDS

if TYPE_CHECKING:
    from pipeline.audit.audit import Audit
    from pipeline.audit.findings import Finding

_BOUND = re.compile(r"([a-z_]+)\s*>\s*([0-9]*\.?[0-9]+)")
# Recordings named per finding.
_NAMED = 3
# Candidates printed per kind.
_CANDIDATES = 5
# Width of a table that goes to a file or another program, in characters.
_WIDTH = 100


@reads_input("uri_column", "audio_column", "segments")
def audit(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Output of `lmac explain`; path or s3:// URL.")],
    reading: InputOptions = FROM_OPTIONS,
    kinds: Annotated[
        str | None, typer.Option(help=f"Questions to ask, comma-separated. [default: all: {', '.join(KINDS)}]")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Metadata columns whose values form groups, comma-separated.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Metadata column that names each recording's split.")] = None,
    trained_on: Annotated[
        Literal["yes", "no", "unknown"] | None,
        typer.Option(help="Whether the classifier was trained on these recordings. [default: unknown]"),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Try candidates on audio: take cues out and put them in. Needs --input.")
    ] = False,
    input_url: Annotated[str | None, typer.Option("--input", help="The run's input, to read sound again.")] = None,
    explainer: Annotated[
        str | None, typer.Option(help="For --confirm: the explainer of the run. [default: the one saved with it]")
    ] = None,
    reviewed: Annotated[
        str | None, typer.Option(help="Marks saved from a report (clip_id, mark, label, note); see docs/audit.md.")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help=f"KIND>SHARE of recordings, or KIND>COUNT: exit with {FOUND} if exceeded; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of folds and samples. [default: 0]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Ask what is wrong with the dataset and the classifier of RUN; print findings, the weightiest first.

    They are written to RUN/audit/ as tables: findings, and the windows that each is about.
    """
    # Imported on use: scikit-learn takes as long to import as all else of a command's start.
    from pipeline.audit.audit import audit as audit_run

    bounds = [_bound(text) for text in fail_on or []]
    for text, kind, _ in bounds:
        if kinds is not None and kind not in (_words(kinds) or []):
            raise fail(
                f"--fail-on {text!r}: {kind} is not asked about: add it to --kinds {kinds}, or leave --kinds out"
            )
        if kind == "shortcut" and not confirm:
            raise fail(
                f"--fail-on {text!r}: only shortcuts confirmed on audio count: add --confirm and --input, "
                "or this can never fail"
            )
    with for_people(), Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        found = audit_run(
            run,
            step=lambda what, done, of: bar.update(task, description=what, completed=done, total=of),
            **{name: value for name, value in reading.items() if value is not None},
            kinds=_words(kinds),
            group_by=_words(group_by),
            split=split,
            trained_on=trained_on,
            confirm=confirm or None,
            input_url=input_url,
            explainer=explainer,
            reviewed=reviewed,
            seed=seed,
        )
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2, ensure_ascii=False))
    else:
        print_findings(run, found, reviewed is not None)
    exceeded = [_exceeds(found, *one) for one in bounds]
    if any(exceeded):
        raise typer.Exit(FOUND)
    if None in exceeded:
        raise typer.Exit(FAILED)


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] if text is not None else None


def _bound(text: str) -> tuple[str, str, float | int]:
    """Parse a condition into its text, kind and bound: a whole number counts recordings, a decimal is a share."""
    match = _BOUND.fullmatch(text.strip())
    if match is None or match[1] not in KINDS:
        raise fail(
            f"--fail-on {text!r}: write a kind, > and a share of recordings or a number of them, as in "
            f"'label_error>0.05' or 'duplicate>10'; the kinds are {', '.join(KINDS)}"
        )
    bound = int(match[2]) if match[2].isdecimal() else float(match[2])
    if isinstance(bound, float) and bound >= 1:
        raise fail(
            f"--fail-on {text!r}: no share exceeds 1, so this can never fail; a number of recordings has no point"
        )
    return text, match[1], bound


def _exceeds(found: Audit, text: str, kind: Any, bound: float | int) -> bool | None:
    """Whether a condition is exceeded, None if nothing could be judged; says so, and if not all could be judged."""
    judged, count = found.judged_by(kind), found.concerned(kind)
    exceeded = (count if isinstance(bound, int) else found.share(kind)) > bound
    if not (exceeded or judged):
        fail(f"--fail-on {text}: {kind} could judge none of {found.recordings} recordings: see its notes")
        return None
    words = f"--fail-on {text}: {count} of {found.recordings} recordings ({found.share(kind):.1%})"
    if judged < found.recordings:
        words += f", of which {judged} could be judged"
    if exceeded:
        fail(words)
    elif judged < found.recordings:
        errors.print(words, markup=False)
    return exceeded


def _as_json(found: Audit) -> dict[str, Any]:
    findings = [
        {"finding": one.id, **{name: value for name, value in vars(one).items() if name not in ("members", "effect")}}
        | {"effect": vars(one.effect) if one.effect else None}
        | {"members": [vars(member) for member in one.members]}
        for one in found.findings
    ]
    shares = {kind: found.share(kind) for kind in found.asked}
    return {
        "recordings": found.recordings,
        "asked": found.asked,
        "shares": shares,
        "judged": {kind: found.judged_by(kind) for kind in found.asked},
        "notes": found.notes,
        "findings": findings,
    }


def print_findings(run: str, found: Audit, reviewed: bool) -> None:
    """Print the findings of an audit as a table, and everything else in one line each."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("kind", no_wrap=True)
    shown.add_column("finding", ratio=1)
    shown.add_column("n", justify="right", no_wrap=True)
    shown.add_column("effect, 95%", no_wrap=True)
    shown.add_column("p", justify="right", no_wrap=True)
    shown.add_column("confirmed", no_wrap=True)
    candidates = [one for one in found.findings if one.candidate]
    typical = [one for one in found.findings if one.kind == "typical"]
    listed = [one for one in found.findings if one not in candidates and one not in typical]
    for one in listed:
        # A name from the input may look like markup.
        shown.add_row(*(escape(cell) for cell in _cells(one)))
        shown.add_row("", f"[dim]{escape(_first(one))}[/]")
    if listed:
        Console(highlight=False, width=console.width if console.is_terminal else _WIDTH).print(shown)
    for kind in dict.fromkeys(one.kind for one in candidates):
        some = [one for one in candidates if one.kind == kind]
        console.print(f"{kind}: {_candidates(some)}", markup=False)
        for one in some[:_CANDIDATES]:
            console.print(f"  {one.statement}", markup=False)
        if len(some) > _CANDIDATES:
            console.print(f"  and {len(some) - _CANDIDATES} more in the table of findings", markup=False)
    if typical:
        classes = "1 class" if len(typical) == 1 else f"{len(typical)} classes"
        console.print(f"typical: the members include recordings to listen to from {classes}", markup=False)
    for kind, notes in found.notes.items():
        for note in notes:
            console.print(f"{kind}: {note}", markup=False)
    asked = ", ".join(found.asked)
    console.print(
        f"{counted(len(listed), 'finding') if listed else 'no findings'} in {counted(found.recordings, 'recording')};"
        f" asked about: {asked}",
        markup=False,
    )
    tables = "findings, members and reviewed labels" if reviewed else "findings and members"
    console.print(f"{tables}: {display_url(run.rstrip('/'))}/audit", markup=False)


def _cells(one: Finding) -> tuple[str, ...]:
    effect = one.effect
    value = "" if effect is None else f"{effect.value:.2g}"
    if effect is not None and effect.low is not None and effect.high is not None:
        value += f" [{effect.low:.2g}, {effect.high:.2g}]"
    p = "" if one.p_adjusted is None else "<0.001" if one.p_adjusted < 0.001 else f"{one.p_adjusted:.3f}"
    confirmed = {True: "yes", False: "no", None: ""}[one.confirmed]
    return one.kind, one.statement, str(one.n), value, p, confirmed


def _first(one: Finding) -> str:
    """The names of the first recordings that a finding is about."""
    names = list(dict.fromkeys(member.key for member in one.members))
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _candidates(some: list[Finding]) -> str:
    """Say how many candidates there are, and what to do about them."""
    refuted = sum(one.confirmed is False for one in some)
    parts = [f"{refuted} tried on audio and not confirmed"] if refuted else []
    if untried := len(some) - refuted:
        parts.append(f"{untried} not tried on audio: pass --input" + " with --confirm" * (some[0].kind == "shortcut"))
    return f"{counted(len(some), 'candidate')}, of which " + ", ".join(parts)
