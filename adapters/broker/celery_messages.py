"""Celery's messages as they lie in Redis, written many at a time and read back for their ids.

A task sent by Celery costs 1 to 2 ms and four round trips; a hundred of these are one command.
They go to no exchange but straight to the queue: an exchange is a key in Redis, and an emptied
Redis has lost it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from uuid import uuid4

import msgspec
from celery import Celery

_encode = msgspec.json.encode


class _Headers(msgspec.Struct):
    id: str


class _Message(msgspec.Struct):
    headers: _Headers


_decoder = msgspec.json.Decoder(_Message)


class CeleryMessages:
    """Tasks in version 2 of Celery's protocol, in the envelope that kombu's Redis transport reads.

    Both are documented: "Message Protocol" of Celery, and kombu's virtual transports.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def task(
        self,
        queue: str,
        name: str,
        arguments: Sequence[object],
        task_id: str,
    ) -> bytes:
        """Make a message that is to be pushed to the left of the list `queue`.

        Its header `sent` says when it was made, in seconds since the epoch.
        """
        made = self._app.amqp.as_task_v2(
            task_id,
            name,
            list(arguments),
            ignore_result=True,
            argsrepr="",
            kwargsrepr="",
        )
        return _encode(
            {
                "body": base64.b64encode(_encode(made.body)).decode(),
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": {**made.headers, "sent": time.time()},
                "properties": {
                    **made.properties,
                    "delivery_mode": 2,
                    "delivery_info": {"exchange": "", "routing_key": queue},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": uuid4().hex,
                },
            }
        )


def task_id(message: str | bytes) -> str:
    """Of a message as it lies in the list, whoever sent it; empty for one that is none."""
    try:
        return _decoder.decode(message).headers.id
    except msgspec.MsgspecError:
        return ""
