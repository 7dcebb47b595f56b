"""Queries that the API sends to a worker, and their answers: a task for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from celery import Celery

from adapters.wiring import OWN, CheckReply, ModelReport, RPCServer, Services, VectorsReply
from core import keys
from core.errors import (
    EmbedderUnavailableError,
    MissingError,
    SettingsError,
    StoreUnavailableError,
    WorkerUnavailableError,
)
from core.ports import TextEmbedder
from core.task_names import CHECK_TASK, EMBED_TASK, SEE_TASK, SPACE_TASK
from core.types import SpaceKind


class _PictureQuery(msgspec.Struct, frozen=True):
    """A picture that stays in the blob store until it was processed."""

    tenant: str
    asked_id: str


class _TextsQuery(msgspec.Struct, frozen=True):
    """Texts for one model."""

    kind: SpaceKind
    source: str
    texts: list[str]


class _ModelsQuery(msgspec.Struct, frozen=True):
    """Models by their kind."""

    sources: dict[SpaceKind, str]


class QueryTasks:
    """Answers to queries; urgent at decoders and models, because a caller waits."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def check(self, arguments: object) -> CheckReply:
        """Return the verdict a picture would get. Raise what `Checker.check` does."""
        asked = msgspec.convert(arguments, _PictureQuery)
        return CheckReply(*self._services.checker.check(asked.tenant, self._taken(asked)))

    def see(self, arguments: object) -> VectorsReply:
        """Return a picture's visual vector. Raise what `FingerprintPipeline.see` does."""
        asked = msgspec.convert(arguments, _PictureQuery)
        space_id, vector = self._services.sight.see(asked.tenant, self._taken(asked))
        space = self._services.models.of(space_id)
        if space is None:
            raise EmbedderUnavailableError("the model was changed this very moment")
        return VectorsReply.of(space, vector[None, :])

    def embed(self, arguments: object) -> VectorsReply:
        """Vectors of texts. Raise EmbedderUnavailableError."""
        asked = msgspec.convert(arguments, _TextsQuery)
        embedder = self._embedder(asked.kind, asked.source)
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent)
        return VectorsReply.of(embedder.space, embedder.embed_texts(asked.texts, urgent=True))

    def space(self, arguments: object) -> dict[SpaceKind, ModelReport]:
        """Return the models' spaces, or why they are absent; open those that are not open."""
        asked = msgspec.convert(arguments, _ModelsQuery)
        told: dict[SpaceKind, ModelReport] = {}
        for kind, source in asked.sources.items():
            embedder = self._embedder(kind, source)
            absent = embedder.absent
            told[kind] = (
                ModelReport(embedder.space) if absent is None else ModelReport(absent=absent)
            )
        return told

    def done(self, arguments: Mapping[str, Any]) -> None:
        """Delete a picture that was processed: the API that sent it may be gone."""
        asked = msgspec.convert(arguments, _PictureQuery)
        with suppress(StoreUnavailableError):  # then it is swept
            self._services.blobs.delete([keys.asked(asked.tenant, asked.asked_id)])

    def _taken(self, asked: _PictureQuery) -> bytes:
        try:
            return self._services.blobs.get(keys.asked(asked.tenant, asked.asked_id))
        except MissingError:
            raise WorkerUnavailableError(
                "The picture of this query is gone: its caller stopped waiting."
            ) from None

    def _embedder(self, kind: SpaceKind, source: str) -> TextEmbedder:
        services = self._services
        if source == OWN:
            return services.visual if kind == "visual" else services.caption
        models = services.models
        return models.open_visual(source) if kind == "visual" else models.open_caption(source)


def register_answers(celery: Celery, services: Services) -> None:
    """Register the tasks of the queue `query` on an application.

    They are acknowledged when taken, not when done: a query whose worker was killed has no caller
    left, and no other worker need run it.
    """
    replies = services.replies
    if replies is None:
        raise SettingsError("only a worker answers queries: start `seenit worker`")
    answers = QueryTasks(services)
    calls: dict[str, Callable[[object], Any]] = {
        CHECK_TASK: answers.check,
        SEE_TASK: answers.see,
        EMBED_TASK: answers.embed,
        SPACE_TASK: answers.space,
    }
    for name, call in calls.items():
        celery.task(name=name, shared=False, acks_late=False, ignore_result=True)(
            _task(name, call, replies, answers)
        )


def _task(
    name: str, call: Callable[[object], Any], replies: RPCServer, answers: QueryTasks
) -> Callable[[str, float, dict[str, Any]], None]:
    kind = name.rpartition(".")[2]

    def run(reply_to: str, deadline: float, arguments: dict[str, Any]) -> None:
        replies.answer(kind, reply_to, deadline, lambda: call(arguments))
        if name in (CHECK_TASK, SEE_TASK):
            answers.done(arguments)

    return run
