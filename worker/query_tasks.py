"""Questions that the API puts to a worker, and what it answers: each a task of its own."""

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
    """A picture that lies in the store until it was looked at."""

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
    """What a worker knows; urgent at decoders and models, for somebody is waiting."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def check(self, arguments: object) -> CheckReply:
        """The verdict that a picture would get. Raise what `Checker.check` does."""
        asked = msgspec.convert(arguments, _PictureQuery)
        return CheckReply(*self._services.checker.check(asked.tenant, self._taken(asked)))

    def see(self, arguments: object) -> VectorsReply:
        """A picture's visual vector. Raise what `Perceiver.see` does."""
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
        """The spaces of models, or why there are none; one that is not open yet is opened."""
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
        """Remove a picture that was looked at: the API that asked may be gone."""
        asked = msgspec.convert(arguments, _PictureQuery)
        with suppress(StoreUnavailableError):  # then it is swept
            self._services.blobs.delete([keys.asked(asked.tenant, asked.asked_id)])

    def _taken(self, asked: _PictureQuery) -> bytes:
        try:
            return self._services.blobs.get(keys.asked(asked.tenant, asked.asked_id))
        except MissingError:
            raise WorkerUnavailableError("it is gone: nobody waits for it any more") from None

    def _embedder(self, kind: SpaceKind, source: str) -> TextEmbedder:
        services = self._services
        if source == OWN:
            return services.visual if kind == "visual" else services.caption
        models = services.models
        return models.open_visual(source) if kind == "visual" else models.open_caption(source)


def register_answers(celery: Celery, services: Services) -> None:
    """Have the tasks of the queue `query` on an application.

    They are acknowledged when taken, not when done: what a killed worker leaves nobody waits for
    any more, and another one need not run it.
    """
    replies = services.replies
    if replies is None:
        raise SettingsError("only a worker answers questions")
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
