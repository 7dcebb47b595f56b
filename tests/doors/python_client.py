"""A program on the client that openapi-python-client made: python_client.py URL KEY PICTURE.

It runs in that client's environment, beside the package seenit_client, and prints a word for each
step that went well.
"""

# ruff: noqa: T201 - a program of its own

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import seenit_client
from seenit_client import AuthenticatedClient
from seenit_client.api.images import check_image, get_image, get_image_content, upload_images
from seenit_client.api.jobs import get_job
from seenit_client.api.rag import build_context
from seenit_client.api.search import search_images
from seenit_client.models import (
    CheckForm,
    JobStatus,
    Problem,
    PromptBody,
    PromptForm,
    SearchBody,
    SearchForm,
    UploadForm,
    VerdictKind,
)
from seenit_client.types import File

SECONDS = 60.0


def main(url: str, key: str, picture: bytes) -> None:
    """Walk the main ways; any step that fails ends the program."""
    for module in pkgutil.walk_packages(seenit_client.__path__, "seenit_client."):
        importlib.import_module(module.name)
    print("imported")
    client = AuthenticatedClient(base_url=url, token=key)

    form = UploadForm(file=[_file(picture)], title="A dog in a sunny park", tags=["dog", "park"])
    accepted = upload_images.sync(client=client, body=form, idempotency_key="doors-1")
    image_id = accepted.items[0].image_id
    print("uploaded")

    job = get_job.sync(image_id, client=client)
    deadline = time.monotonic() + SECONDS
    while job.status not in (JobStatus.DONE, JobStatus.FAILED) and time.monotonic() < deadline:
        time.sleep(0.1)
        job = get_job.sync(image_id, client=client)
    assert job.verdict.kind == VerdictKind.NEW, job
    record = get_image.sync(image_id, client=client)
    assert (record.image_id, record.tags) == (image_id, ["dog", "park"])
    checked = check_image.sync(client=client, body=CheckForm(file=_file(picture)))
    assert (checked.verdict.kind, checked.verdict.original.image_id) == ("exact", image_id)
    print("settled")

    for body in (SearchBody(text="dog in a park", limit=5), SearchForm(text="dog in a park")):
        hits = search_images.sync(client=client, body=body).hits
        assert [hit.image.image_id for hit in hits] == [image_id]
    print("found")

    question = "Where is the dog?"
    for body in (PromptBody(query=question, limit=1), PromptForm(query=question)):
        prompt = build_context.sync(client=client, body=body)
        assert [citation.image_id for citation in prompt.citations] == [image_id], prompt
    print("told")

    read = get_image_content.sync(image_id, client=client)
    assert read.payload.read() == picture
    unknown = get_image_content.sync("01900000-0000-7000-8000-000000000000", client=client)
    assert isinstance(unknown, Problem)
    assert unknown.type_ == "/problems/not-found"
    print("read")


def _file(data: bytes) -> File:
    return File(payload=BytesIO(data), file_name="dog.jpg", mime_type="image/jpeg")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes())
