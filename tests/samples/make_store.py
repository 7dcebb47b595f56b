"""A small store as a release leaves it: run this in a checkout of the release.

`python -m tests.samples.make_store OUT.tar.xz` uploads made pictures with the code around it and
packs the data folder; tests/samples/store_952f3cd.tar.xz is named by its commit.
"""

from __future__ import annotations

import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from adapters import wiring
from adapters.settings import Settings
from adapters.wiring import Services
from core.errors import SeenitError
from core.ingest.accept import Upload
from core.records import Fields, JobKind
from tests.doubles.toy_embedder import ToyEmbedder
from tests.samples.pictures import jpeg, photo, png

TENANT = "default"


def settings(folder: Path, **more: str) -> Settings:
    """Return the settings that the store is made and opened with."""
    return Settings(data=folder, durable=False, model="none", caption_model="none", **more)  # type: ignore[arg-type]


class Maker:
    """A service that settles one job after another."""

    def __init__(self, services: Services, folder: Path) -> None:
        self._services = services
        self._folder = folder
        self._files = 0

    def upload(self, data: bytes, *, keep: bool = True, **fields: object) -> str:
        """Upload a file, settle it, and return its id."""
        self._files += 1
        path = self._folder / f"{self._files}"  # the store takes over the file
        path.write_bytes(data)
        sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
        upload = Upload(path=path, filename=None, sha256=sha256, md5=md5, bytes=len(data))
        told = Fields(**fields)  # type: ignore[arg-type]
        sent = self._services.acceptor.uploads(TENANT, [upload], told, keep_bytes=keep)
        (job,) = sent.items
        assert not isinstance(job, SeenitError)
        self._services.ingest.run(TENANT, [job.job_id])
        return job.image_id

    def operate(self, kind: JobKind, image_id: str, **more: object) -> None:
        """Change a picture, and settle the change."""
        job = self._services.acceptor.operate(TENANT, kind, image_id, **more)  # type: ignore[arg-type]
        self._services.ingest.run(TENANT, [job.job_id])


def drawing() -> Image.Image:
    """Draw in white on a transparent ground."""
    drawn = photo(5).resize((128, 96)).convert("L").point(lambda grey: 255 * (grey > 128))
    white = Image.new("RGBA", drawn.size, "white")
    white.putalpha(drawn)
    return white


def fill(maker: Maker) -> None:
    """Upload an original and its copies, a blocked PNG, a drawing, and pictures that are gone."""
    small = photo(1).resize((192, 144))
    maker.upload(jpeg(small, 85), external_id="original", title="a house")
    maker.upload(jpeg(small, 40), external_id="copy")
    maker.upload(jpeg(small, 85), external_id="same", keep=False)
    blocked = maker.upload(png(photo(2).resize((160, 120)).quantize(32)), external_id="blocked")
    maker.operate("decide", blocked, value="block")
    maker.upload(png(drawing()), external_id="drawing")
    purged = maker.upload(jpeg(photo(3).resize((160, 120)), 60), external_id="purged")
    maker.operate("purge", purged)
    deleted = maker.upload(jpeg(photo(4).resize((96, 72)), 60), external_id="deleted")
    maker.operate("delete", deleted)


def main(out: str) -> None:
    """Make the store, and pack it."""
    with tempfile.TemporaryDirectory() as held:
        data = Path(held) / "data"
        services = wiring.build(settings(data), visual=ToyEmbedder())
        services.models.load()
        fill(Maker(services, Path(held)))
        services.close()
        (data / "url.secret").unlink()
        with tarfile.open(out, "w:xz") as archive:
            archive.add(data, arcname="data")


if __name__ == "__main__":
    main(sys.argv[1])
