"""Spaces filled and changed by the holder's chores, on real stores and small real models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import wiring
from adapters.reindex import rebuild
from adapters.settings import Settings
from adapters.wiring import Services
from core import keys
from core.admin_tasks import AdminTask, AdminTaskReport
from core.errors import ConflictError, EmbedderUnavailableError, MissingError, SeenitError
from core.ingest.accept import Upload
from core.records import Fields, Operation
from tests.doubles import tiny_models
from tests.doubles.toy_embedder import ToyEmbedder
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo
from worker.admin_tasks import run_kind
from worker.embedded import EmbeddedEngine

TENANT = "default"


def nobody(done: int, total: int) -> None:
    """Ignore reports of progress."""
    del done, total


class Desk:
    """The parts of a service without its threads."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        read = Settings(data=folder / "data", durable=False, model="none", **settings)  # type: ignore[arg-type]
        self.services: Services = wiring.build(read, visual=ToyEmbedder())
        self.services.models.load()
        self._files = 0

    def send(self, data: bytes, **fields: object) -> Operation:
        """Upload a file and settle it."""
        self._files += 1
        path = self.folder / f"{self._files}"
        path.write_bytes(data)
        upload = Upload(
            path=path, filename=None, sha256=f"{self._files:064x}", md5="", bytes=len(data)
        )
        (job,) = self.services.acceptor.uploads(TENANT, [upload], Fields(**fields)).items  # type: ignore[arg-type]
        assert not isinstance(job, SeenitError)
        (done,) = self.services.ingest.run(TENANT, [job.job_id])
        assert done is not None
        return done

    def edit(self, image_id: str, **fields: object) -> Operation:
        """Edit a record and settle the edit."""
        told = Fields(**fields)  # type: ignore[arg-type]
        job = self.services.acceptor.operate(TENANT, "edit", image_id, fields=told)
        (done,) = self.services.ingest.run(TENANT, [job.job_id])
        assert done is not None
        return done

    def run(self, kind: str, **arguments: str) -> dict[str, object]:
        """Run an admin task, and return its result."""
        return run_kind(self.services, kind, arguments, nobody)

    def spaces(self, image_id: str) -> tuple[str, ...]:
        """Return the spaces in which the record lists vectors."""
        (state,) = self.services.index.read_states(TENANT, [image_id])
        assert state is not None
        return state.spaces


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield a desk with a toy visual model and a tiny sentence encoder."""
    made = Desk(tmp_path, caption_model=str(tiny_models.sentences(tmp_path / "sentences")))
    yield made
    made.services.close()


def test_what_is_said_gets_a_vector_at_upload_and_anew_at_an_edit(desk: Desk) -> None:
    """The old one is no longer found; an edit to nothing leaves none; a copy keeps its own."""
    first = desk.send(jpeg(photo(1), 90), title="a red cat").image_id
    copy = desk.send(jpeg(photo(1), 40), title="a blue dog").image_id
    caption = desk.services.caption.space.space_id
    visual = desk.services.visual.space.space_id
    assert desk.spaces(first) == (visual, caption)
    index = desk.services.index
    old = index.read_vectors(TENANT, caption, [first])[0]
    assert old is not None
    theirs = index.read_vectors(TENANT, caption, [copy])[0]
    assert theirs is not None
    assert index.read_vectors(TENANT, visual, [copy])[0] is None
    assert (old != theirs).any()
    desk.edit(first, title="the sky of a photo")
    new = index.read_vectors(TENANT, caption, [first])[0]
    assert new is not None
    assert (new != old).any()
    expected = desk.services.caption.embed_texts(["the sky of a photo"])[0]
    assert new == pytest.approx(expected, abs=1e-5)
    desk.edit(first, category="cats")
    assert desk.spaces(first) == (visual,)
    assert index.read_vectors(TENANT, caption, [first])[0] is None
    assert index.count_records(TENANT, [caption]).total.spaces[caption] == (1, 0, 0)


def test_a_second_model_is_added_filled_and_activated(desk: Desk, tmp_path: Path) -> None:
    """Uploads in between have both; a copy of an old picture stays one; a reindex knows it all."""
    services = desk.services
    old = services.visual.space.space_id
    before = [desk.send(jpeg(photo(n), 90)).image_id for n in range(5)]
    source = str(tiny_models.clip(tmp_path / "clip"))
    with pytest.raises(ConflictError, match="was not added"):
        desk.run("model-activate", model=source)
    new = str(desk.run("model-add", model=source)["space_id"])
    between = desk.send(jpeg(photo(9), 90)).image_id
    assert desk.spaces(between) == (old, new)
    assert services.models.space_id(TENANT, "visual") == old
    with pytest.raises(ConflictError, match="5 pictures or more lack"):
        desk.run("model-activate", model=source)
    filled = desk.run("backfill", space=new)["spaces"]
    assert filled == [{"tenant": TENANT, "space_id": new, "made": 5, "failed": 0, "missing": 0}]
    assert services.models.space_id(TENANT, "visual") == old
    assert services.reader.record(TENANT, before[0]).spaces["visual"] == old
    desk.run("model-activate", model=source)
    assert services.reader.record(TENANT, before[0]).spaces["visual"] == new
    assert services.models.space_id(TENANT, "visual") == new
    desk.run("model-activate", model=source)  # one that was cut off is said again
    with pytest.raises(ConflictError, match="active space already"):
        desk.run("model-add", model=source)
    after = desk.send(jpeg(photo(2), 40))
    assert after.states[0].verdict.original == before[2]
    assert after.states[0].spaces == (new,)
    rebuild(services, lambda *_: None)
    services.models.forget()
    assert services.models.space_id(TENANT, "visual") == new
    assert services.index.read_vectors(TENANT, new, [before[0]])[0] is not None
    listed = desk.run("model-list")["spaces"]
    assert [(one["space_id"], one["active"]) for one in listed if one["active"]] == [  # type: ignore[attr-defined]
        (new, True),
        (services.caption.space.space_id, True),
    ]


def test_a_backfill_goes_on_where_it_was_cut_off(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished vectors stay; pictures that cannot be embedded are reported and hold up no other."""
    ids = [desk.send(jpeg(photo(n), 90)).image_id for n in range(4)]
    source = str(tiny_models.clip(tmp_path / "clip"))
    new = str(desk.run("model-add", model=source)["space_id"])
    monkeypatch.setattr("core.embedding.backfill.BATCH", 1)
    embedder = desk.services.models.open_visual(source)
    whole, calls = type(embedder).embed_images, []

    def tired(self: object, images: list[object], **how: bool) -> object:
        calls.append(len(images))
        if len(calls) > 2:
            raise EmbedderUnavailableError("out of breath")
        return whole(self, images, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(type(embedder), "embed_images", tired)
        with pytest.raises(EmbedderUnavailableError):
            desk.run("backfill", space=new)
    assert [new in desk.spaces(one) for one in ids] == [True, True, False, False]
    desk.services.blobs.delete([keys.derived(TENANT, ids[3], "preview")])
    (told,) = desk.run("backfill", space=new)["spaces"]  # type: ignore[misc]
    assert (told["made"], told["failed"], told["missing"]) == (1, 1, 1)


def test_what_is_not_there_is_refused(desk: Desk, tmp_path: Path) -> None:
    """An unknown tenant, an unknown space, a model that cannot be loaded."""
    desk.send(jpeg(photo(1), 90))
    with pytest.raises(MissingError, match="no tenant"):
        desk.run("backfill", tenant="nobody")
    with pytest.raises(MissingError, match="space visual-00000000"):
        desk.run("backfill", space="visual-00000000")
    with pytest.raises(EmbedderUnavailableError):
        desk.run("model-add", model=str(tmp_path / "nowhere"))


def test_a_visual_vector_is_made_of_what_an_absent_model_left(tmp_path: Path) -> None:
    """Ingested without, filled with: the picture is found by it, and nothing decodes the upload."""
    read = Settings(data=tmp_path / "data", durable=False, model="none", caption_model="none")
    plain = wiring.build(read)
    desk = Desk.__new__(Desk)
    desk.folder, desk.services, desk._files = tmp_path, plain, 0
    image_id = desk.send(jpeg(photo(1), 90)).image_id
    assert desk.spaces(image_id) == ()
    plain.close()
    seeing = wiring.build(read, visual=ToyEmbedder())
    desk.services = seeing
    seeing.blobs.delete([keys.blob(TENANT, image_id)])
    (told,) = desk.run("backfill")["spaces"]  # type: ignore[misc]
    assert (told["made"], told["failed"]) == (1, 0)
    space = ToyEmbedder().space.space_id
    vector = ToyEmbedder().embed_images([photo(1)])[0]
    near = seeing.index.find_neighbours(TENANT, space, vector, limit=1)
    assert (near[0].image_id, near[0].similarity) == (image_id, pytest.approx(1, abs=1e-3))
    seeing.close()


def test_an_engine_that_is_stopped_leaves_its_task_to_the_next(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the end of a long one, and nothing that was made is lost."""
    ids = [desk.send(jpeg(photo(n), 90)).image_id for n in range(4)]
    source = str(tiny_models.clip(tmp_path / "clip"))
    new = str(desk.run("model-add", model=source)["space_id"])
    monkeypatch.setattr("core.embedding.backfill.BATCH", 1)
    embedder = desk.services.models.open_visual(source)
    whole, begun, go_on = type(embedder).embed_images, threading.Event(), threading.Event()

    def slow(self: object, images: list[object], **how: bool) -> object:
        begun.set()
        assert go_on.wait(30)
        return whole(self, images, **how)  # type: ignore[arg-type]

    task = desk.services.admin_tasks.request("backfill", {"space": new})
    with monkeypatch.context() as patch:
        patch.setattr(type(embedder), "embed_images", slow)
        engine = EmbeddedEngine(desk.services)
        engine.start()
        assert begun.wait(30)
        stopping = threading.Thread(target=engine.close)
        stopping.start()
        assert engine._stop.wait(30)
        go_on.set()
        stopping.join(30)
        assert not stopping.is_alive()
    assert sum(new in desk.spaces(one) for one in ids) == 1
    assert desk.services.admin_tasks.waiting() == [task]
    monkeypatch.undo()
    again = EmbeddedEngine(wiring.build(desk.services.settings, visual=ToyEmbedder()))
    again.start()
    report = until(lambda: _ended(desk, task))
    again.close()
    again._services.close()
    assert report.error is None
    assert all(new in desk.spaces(one) for one in ids)


def _ended(desk: Desk, task: AdminTask) -> AdminTaskReport | None:
    """Return the last report, None before the end."""
    report = desk.services.admin_tasks.read_report(task.task_id)
    return report if report.ended else None
