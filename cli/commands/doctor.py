"""`seenit doctor`: checks of packages, settings, parts and models, with remedies."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.doctor_finding import DoctorFinding, checked, unwritable
from core.errors import SeenitError, SettingsError
from core.image_formats import FORMATS, titles

if TYPE_CHECKING:
    from adapters.settings import Settings

# Whatever a package is needed for is imported within its check: this command must also run, and
# name it, where the package is missing.
# ruff: noqa: PLC0415

_COLOURS = {"ok": "green", "absent": "yellow", "missing": "red"}
_ASKED = ("litestar", "celery", "opencv-python-headless", "pillow")
_MODELS = ("transformers", "torch")
_LOCK = "let the user of the service write it; or remove it while no service runs"


@click.command()
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL).")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
def command(data: str | None, model: str | None, *, as_json: bool) -> int:
    """Say what is installed, which device and models there are, and what is missing.

    Exits with 1 where something is missing that Seenit cannot run without.
    """
    findings = list(_look(data, model))
    if as_json:
        told = [finding.told() for finding in findings]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _print(findings)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def _look(data: str | None, model: str | None) -> Iterator[DoctorFinding]:
    yield from checked("python", _python)
    yield from checked("packages", _packages)
    yield from checked("sqlite", _database)
    try:
        from adapters import settings

        read = settings.load(data=data, model=model)
        read.check_address()
    except (SettingsError, ImportError) as error:
        says = error.detail if isinstance(error, SettingsError) else str(error)
        yield DoctorFinding(name="settings", state="missing", says=says)
        return
    yield from checked("settings", _settings)
    yield from checked("keys", partial(_keys, read))
    yield from checked("formats", partial(_formats, read.formats))
    yield from checked("decoder", partial(_decoder, read))
    yield from checked("data", partial(_folder, read.data), "--data")
    yield from checked("parts", partial(_parts, read))
    yield from checked("log", partial(_logs, read))
    yield from checked("models", partial(_models, read))
    yield from checked("calibration", partial(_calibration, read))


def _parts(read: Settings) -> Iterator[DoctorFinding]:
    from adapters.factories import shared
    from cli import doctor_remote

    over_redis = shared(read)
    yield from doctor_remote.look(read, shared=over_redis)
    if not over_redis:
        yield from checked("engine", partial(_engine, read.data), _LOCK)


def _logs(read: Settings) -> Iterator[DoctorFinding]:
    from cli import doctor_log

    yield from doctor_log.look(read)


def _models(read: Settings) -> Iterator[DoctorFinding]:
    from cli import doctor_models

    yield from checked("device", doctor_models.device)
    yield from checked("model", partial(doctor_models.visual, read.model), "SEENIT_MODEL")
    yield from checked(
        "caption model",
        partial(doctor_models.caption, read.caption_model),
        "SEENIT_CAPTION_MODEL",
    )


def _python() -> DoctorFinding:
    fits = (3, 11) <= sys.version_info < (3, 14)
    return DoctorFinding(
        name="python",
        state="ok" if fits else "missing",
        says=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        remedy="" if fits else "Python 3.11, 3.12 or 3.13",
    )


def _packages() -> DoctorFinding:
    lacking = [name for name in _required() if not _there(name)]
    if lacking:
        return DoctorFinding(
            name="packages", state="missing", says=f"no {', '.join(lacking)}", remedy="make setup"
        )
    return DoctorFinding(
        name="packages",
        state="ok",
        says=", ".join(
            f"{name} {_version(name)}"
            for name in ("seenit", *_ASKED, *_MODELS)
            if _version(name) is not None
        ),
    )


def _required() -> list[str]:
    """Return the packages that Seenit cannot run without."""
    try:
        asked = metadata.requires("seenit") or []
    except metadata.PackageNotFoundError:
        return list(_ASKED)
    names = (re.match(r"[A-Za-z0-9._-]+", one) for one in asked if "extra ==" not in one)
    return [found[0] for found in names if found]


def _there(name: str) -> bool:
    """Whether the package is installed and its modules can be found; none of it is run."""
    try:
        files = metadata.files(name) or ()
    except metadata.PackageNotFoundError:
        return False
    tops = {file.parts[0] for file in files if file.name == "__init__.py" and len(file.parts) > 1}
    modules = [top for top in tops if top.isidentifier()]
    try:
        return not modules or any(importlib.util.find_spec(top) for top in modules)
    except ImportError:
        return False


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _formats(read: Sequence[str]) -> Iterator[DoctorFinding]:
    from PIL import features

    heic = importlib.util.find_spec("pi_heif") is not None
    there = {
        "JPEG": features.check("jpg"),
        "PNG": features.check("zlib"),
        "WebP": features.check("webp"),
        "AVIF": features.check("avif"),
        "HEIC": heic,
        "TIFF": features.check("libtiff"),
    }
    lacking = [name for name, found in there.items() if name.lower() in read and not found]
    if lacking:
        says = f"no {', '.join(lacking)}"
        remedy = "make setup: the wheels of Pillow and pi-heif bring them"
        yield DoctorFinding(name="formats", state="absent", says=says, remedy=remedy)
    else:
        off = titles([name for name in FORMATS if name not in read])
        says = titles(read) + (f"; off by SEENIT_FORMATS: {off}" if off else "")
        yield DoctorFinding(name="formats", state="ok", says=says)
    if features.check("littlecms2"):
        yield DoctorFinding(name="colour", state="ok", says="ICC profiles are applied")
    else:
        says, remedy = "Pillow came without Little CMS", "make setup: Pillow's own wheel has it"
        yield DoctorFinding(name="colour", state="absent", says=says, remedy=remedy)


def _database() -> DoctorFinding:
    import sqlite3

    with closing(sqlite3.connect(":memory:")) as database:
        options = {row[0] for row in database.execute("PRAGMA compile_options")}
    fits = "ENABLE_FTS5" in options
    return DoctorFinding(
        name="sqlite",
        state="ok" if fits else "missing",
        says=f"{sqlite3.sqlite_version}, full-text search {'in it' if fits else 'left out'}",
        remedy="" if fits else "a Python whose SQLite was built with FTS5: Debian's is",
    )


def _settings() -> DoctorFinding:
    from adapters import settings

    given = [name for name in settings.names() if os.environ.get(name)]
    return DoctorFinding(name="settings", state="ok", says=", ".join(given) or "all by default")


def _keys(read: Settings) -> DoctorFinding:
    """Report how many keys of each role there are, and who can read the file of them."""
    from adapters.api_keys import in_words

    ring = read.key_ring()
    says = in_words(ring.current().values()) if ring.required else "none: loopback only"
    if read.allow_unauthenticated and not ring.required:
        says = "none: every address is answered"
    file = read.api_keys_file
    if file is None:
        return DoctorFinding(name="keys", state="ok", says=says)
    says = f"{says}; {file} is read again when it changes"
    text = file.read_text(encoding="utf-8-sig")
    hashed = text.count("sha256:") >= len(ring.current()) - len(read.keys)
    if file.stat().st_mode & 0o004 and not hashed:
        remedy = "chmod o-r, or write sha256: and the hashes in place of the keys"
        says = f"{says}; every user of this machine can read its keys"
        return DoctorFinding(name="keys", state="absent", says=says, remedy=remedy)
    return DoctorFinding(name="keys", state="ok", says=says)


def _decoder(read: Settings) -> DoctorFinding:
    from adapters.decoding.pool import lacking

    missing = lacking(read.limits)
    if missing:
        remedy = "a system that has them; else take pictures of trusted senders alone"
        says = f"not limited: {'; '.join(missing)}"
        return DoctorFinding(name="decoder", state="absent", says=says, remedy=remedy)
    return DoctorFinding(
        name="decoder", state="ok", says="no files, network, programs or other processes"
    )


def _folder(data: Path) -> DoctorFinding:
    from core.ingest.accept import FREE_BYTES

    if fault := unwritable(data):
        return DoctorFinding(name="data", state="missing", says=fault, remedy="--data")
    nearest = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    there = "holds data" if (data / "blobs").exists() else "empty so far"
    says = f"{data}, {there}, {free / 1e9:.1f} GB free"
    if free < 4 * FREE_BYTES:
        remedy = f"below {FREE_BYTES // 2**20} MB uploads are refused: make room"
        return DoctorFinding(name="data", state="absent", says=says, remedy=remedy)
    return DoctorFinding(name="data", state="ok", says=says)


def _engine(data: Path) -> DoctorFinding:
    from adapters.process_lock import EngineLock
    from cli.running_service import holder

    if not data.exists():
        return DoctorFinding(name="engine", state="ok", says="none has run here")
    EngineLock(data).taken()  # raises where the lock cannot be opened
    says = holder(data) or "no process holds the data folder"
    return DoctorFinding(name="engine", state="ok", says=says)


def _calibration(read: Settings) -> DoctorFinding:
    """Report the results of `seenit calibrate`, a line per way of asking each space."""
    from urllib.parse import unquote, urlsplit

    from adapters.blobs.opening import open_blobs
    from core.calibration.store import CalibrationStore

    where = urlsplit(read.blobs_url)
    try:
        there = where.scheme != "file" or Path(unquote(where.path)).exists()
        stored = list(CalibrationStore(open_blobs(read.blobs_url)).all()) if there else []
    except (SeenitError, ValueError) as error:
        return DoctorFinding(name="calibration", state="absent", says=f"the store is away: {error}")
    if not stored:
        return DoctorFinding(
            name="calibration",
            state="ok",
            says="none: by its similarity alone a picture is near enough or not",
            remedy="seenit calibrate, once pictures with titles or descriptions are stored",
        )
    lines = [
        f"{tenant} {one.space_id} of {one.made_at[:10]}, asked by {way}: stands out by "
        f"{cut.needed:.3f} ({one.rate:.0%} false answers"
        + ("" if cut.kept is None else f", {cut.kept:.0%} of the answers kept")
        + f"), close from {cut.bands.close:.2f}"
        for tenant, one in stored
        for way, cut in one.ways.items()
    ]
    return DoctorFinding(name="calibration", state="ok", says="\n".join(lines))


def _print(findings: list[DoctorFinding]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        for finding in findings:
            click.echo(f"{finding.name}: {finding.state}: {finding.says} {finding.remedy}".rstrip())
        return
    table = Table(header_style="bold")
    for name in ("what", "", "found", "to do"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        state = Text(finding.state, style=_COLOURS[finding.state])
        table.add_row(finding.name, state, Text(finding.says), Text(finding.remedy))
    Console().print(table)
