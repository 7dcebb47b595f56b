"""Settings: read once by each entry point from `SEENIT_*` variables, and passed down from there."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapters import api_keys
from adapters.api_keys import Grant
from adapters.key_ring import KeyRing
from adapters.setting_errors import either, explained
from core.errors import SettingsError
from core.image_formats import BY_DEFAULT, FORMATS, parse
from core.types import Limits, Value
from core.validation import nearest

__all__ = ["Settings", "load", "names", "table"]

_PREFIX = "SEENIT_"
_OF_TESTS = "SEENIT_TEST_"
_OF_BENCHMARKS = "SEENIT_PHOTOS"
"""Photos that `make bench` measures; a service ignores the variable."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Settings(BaseSettings):
    """All settings, validated; entry points get them from `load`, tests name fields directly."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data: Path = Field(Path("data"), description="Folder of everything that is stored by default.")
    blobs_url: str = Field(
        default_factory=lambda read: _below(read, "blobs", "file"),
        description="Blob store and log: file:///folder, s3://bucket, gs://bucket, az://container.",
        repr=False,
    )
    index_url: str = Field(
        default_factory=lambda read: _below(read, "index.sqlite", "sqlite"),
        description="Index: sqlite:///file, or weaviate://HOST[:HTTP[:GRPC]],… with every node "
        "(weaviates:// over TLS).",
        repr=False,
    )
    index_key: SecretStr = Field(SecretStr(""), description="API key of Weaviate.")
    index_prefix: str = Field(
        "Seenit",
        pattern=r"^[A-Z][A-Za-z0-9]{0,31}$",
        description="Prefix of the names of Seenit's collections in Weaviate.",
    )
    index_consistency: Literal["one", "quorum", "all"] = Field(
        "quorum",
        description="Replicas of Weaviate that a read waits for: one, quorum or all. "
        "A write waits for all.",
    )
    index_replication: int = Field(
        1, ge=1, le=9, description="Copies of each shard in Weaviate, when a schema is created."
    )
    index_idle_hours: float = Field(
        0.0, ge=0, description="Hours after which Weaviate unloads an idle tenant; 0: never."
    )
    features: bool = Field(
        default=True,
        description="Find copies by local features; false where a visual model suffices.",
    )
    broker_url: str = Field(
        "memory://",
        description="Queue of jobs: memory://, inside the process, or redis://:PASSWORD@HOST:PORT/0.",
        repr=False,
    )
    backlog: int = Field(
        10_000, ge=1, description="Waiting jobs from which uploads are answered 503."
    )
    backlog_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of SEENIT_BACKLOG that each tenant's waiting jobs may take, "
        "if API keys name several.",
    )
    celery_events: bool = Field(
        default=True,
        description="Workers send Celery's events and answer its remote control (Redis only).",
    )
    query_seconds: float = Field(
        5.0, gt=0, description="Seconds the API waits for a worker's answer before 503."
    )
    sweep_seconds: float | None = Field(
        None, gt=0, description="Seconds between two sweeps; unset: 0.5 in one process, else 5."
    )
    lease_seconds: float = Field(
        15.0, ge=1, description="Seconds after which a silent worker loses its jobs."
    )
    flights: int | None = Field(
        None,
        ge=1,
        le=8,
        description="Batches processed at once; unset: 3 for a worker on a GPU, else 1.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of a worker's or beat's own /metrics; 0: none."
    )
    retain_bytes_days: float | None = Field(
        None, gt=0, description="Days after which a picture's bytes are purged; unset: never."
    )
    retain_records_days: float | None = Field(
        None, gt=0, description="Days after which a picture is deleted; unset: never."
    )
    durable: bool = Field(
        default=True,
        description="Flush to the disk before a 202, so that a power cut loses nothing.",
    )

    model: str = Field(
        "openai/clip-vit-base-patch32",
        description="Dual encoder: a Hugging Face id, a local folder, or none.",
        min_length=1,
    )
    caption_model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Sentence encoder of titles, descriptions and tags: "
        "a Hugging Face id, a local folder, or none.",
        min_length=1,
    )
    similar_at: float | None = Field(
        None, description="Least cosine of a similar picture; unset: the model's own."
    )
    device: Device = Field("auto", description="Where models run: auto, cpu, cuda or mps.")
    dtype: Dtype = Field(
        "auto", description="auto (bfloat16 where the chip has it), float32, bfloat16, float16."
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    connections: int = Field(
        2_000,
        ge=10,
        description="Connections open at once, at most half of the files the process may open; a "
        "further one closes the one that has waited longest for a request.",
    )
    connections_per_address: int = Field(
        500, ge=1, description="Those of one address that wait for a request, likewise."
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="KEY:tenant:role[:name],… or a JSON list of {key, tenant, role, name, "
        "rate_limit}; "
        "each key at least 16 characters, or sha256: and its hash in hex; "
        "roles: read, write, moderate, admin, and operator for the tenant *.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of further keys, one on a line or a JSON list, read again when it "
        "changes.",
    )
    rate_limit: str = Field(
        "",
        description="Requests of one key to one API process, such as 10/s, 600/m, or 10/s:50 for "
        "up to 50 at once; unset: no limit. A key's own is its rate_limit in a JSON list.",
    )
    url: str = Field(
        "",
        description="Address of the running service that commands use instead of the one of the "
        "data folder; a server ignores it.",
    )
    key: SecretStr = Field(
        SecretStr(""),
        description="Key that commands send to SEENIT_URL or `--url`; a server ignores it.",
    )
    allow_unauthenticated: bool = Field(
        default=False, description="Listen beyond loopback without keys."
    )

    trusted_proxy: str = Field(
        "",
        description="Addresses or networks of proxies, such as 127.0.0.1,10.0.0.0/8: their "
        "X-Forwarded-Proto and X-Forwarded-For count, and without keys only they may forward "
        "requests.",
    )

    egress_allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Networks beside the public Internet, such as 10.1.0.0/16, that addresses "
        "named by callers may lead to, on any port.",
    )
    egress_proxy: str = Field(
        "",
        description="Proxy of requests to addresses named by callers, such as "
        "http://USER:PASSWORD@HOST:PORT; unset: none, whatever HTTP_PROXY is.",
        repr=False,
    )

    public_url: str = Field(
        "",
        description="Base of the signed addresses of pictures, such as "
        "https://pictures.example.org; unset: the address of the request.",
    )
    url_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret that signs them, at least 32 characters; "
        "unset: made once and kept in SEENIT_DATA.",
    )

    formats: Annotated[tuple[str, ...], NoDecode] = Field(
        BY_DEFAULT,
        description=f"Formats that are decoded, out of {','.join(FORMATS)}; others are refused.",
    )
    max_files: int = Field(100, ge=1, le=100, description="Files in one request.")
    max_bytes: ByteSize = Field(ByteSize(32 * 1024**2), gt=0, description="Bytes of one file.")
    max_pixels: int = Field(100_000_000, gt=0, description="Pixels of one picture.")
    max_frames: int = Field(1_000, gt=0, description="Frames of one animation.")
    decode_seconds: float = Field(8.0, gt=0, description="Seconds one picture may take to decode.")
    decode_memory: ByteSize = Field(
        ByteSize(1_500_000_000),
        ge=256 * 1024**2,
        description="Address space of a decoding process, in bytes.",
    )
    decoders: int = Field(
        default_factory=lambda: min(4, os.cpu_count() or 1),
        ge=1,
        description="Decoding processes; default: one a core, at most 4.",
    )
    batch: int = Field(64, ge=1, le=64, description="Most jobs settled in one log entry.")
    checks_at_once: int = Field(
        default_factory=lambda read: 2 * read.get("decoders", 1),
        ge=1,
        description="Checks answered at the same time; default: two for each decoding process.",
    )
    operation_seconds: float = Field(
        10.0, gt=0, description="Seconds a delete or an edit waits to be settled before 503."
    )

    decision_new: Value = Field("allow", description="Decision on a new picture.")
    decision_similar: Value = Field("allow", description="Decision on a similar picture.")
    decision_variant: Value = Field(
        "allow",
        description="Decision on a variant: the layout or scene of an earlier picture with other "
        "content. It is at least `review` if that picture is blocked, or if its print is too small "
        "to compare.",
    )
    decision_changed: Value = Field(
        "review", description="Decision on a copy in which something was changed."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error."
    )
    log_format: Literal["console", "json"] = Field("console", description="console or json.")

    @field_validator("data", "api_keys_file", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        try:
            return None if path is None else path.expanduser().absolute()
        except RuntimeError:
            raise ValueError("the user whose home folder is named does not exist") from None

    @field_validator("blobs_url", "index_url", "broker_url", mode="after")
    @classmethod
    def _known(cls, url: str, info: ValidationInfo) -> str:
        schemes = _SCHEMES[info.field_name or ""]
        begin = f"{urlsplit(url).scheme}://"
        if begin not in schemes or "://" not in url:
            near = nearest(begin, schemes)
            raise ValueError(f"must be a URL that begins with {either(schemes)}{near}")
        if info.field_name == "broker_url":
            try:
                port = urlsplit(url).port
            except ValueError:  # its text may hold a part of the password
                port = 0
            if port == 0:
                raise ValueError("the port must be a number between 1 and 65535")
        return url

    @field_validator("public_url", "url", mode="after")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
            raise ValueError("must be a URL that begins with http:// or https://, without a query")
        return url.rstrip("/")

    @field_validator("trusted_proxy", mode="after")
    @classmethod
    def _networks(cls, text: str) -> str:
        _parse_networks(text)
        return text

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _reachable(cls, networks: str | Sequence[Network]) -> tuple[Network, ...]:
        return _parse_networks(networks) if isinstance(networks, str) else tuple(networks)

    @field_validator("egress_proxy", mode="after")
    @classmethod
    def _tunnel(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # its text may hold a part of the password
            named = False
        if url and (not named or parts.path.strip("/") or parts.query or parts.fragment):
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT, without a path")
        return url

    @field_validator("rate_limit", mode="after")
    @classmethod
    def _rate(cls, text: str) -> str:
        api_keys.rate_limit(text)
        return text

    @field_validator("formats", mode="before")
    @classmethod
    def _decodable(cls, formats: str | Sequence[str]) -> tuple[str, ...]:
        return parse(formats if isinstance(formats, str) else ",".join(formats))

    @field_validator("url_secret", mode="after")
    @classmethod
    def _long(cls, secret: SecretStr) -> SecretStr:
        length = len(secret.get_secret_value())
        if 0 < length < 32:  # noqa: PLR2004 - 128 bits in hex
            raise ValueError(f"must have at least 32 characters, not {length}")
        return secret

    @field_validator("similar_at", mode="after")
    @classmethod
    def _cosine(cls, value: float | None) -> float | None:
        if value is not None and not -1.0 <= value <= 1.0:
            raise ValueError(f"must be a cosine between -1 and 1, not {value:g}")
        return value

    @model_validator(mode="after")
    def _keys_are_readable(self) -> Self:
        api_keys.grants(self.api_keys.get_secret_value())
        return self

    @property
    def limits(self) -> Limits:
        """Limits on one picture: bytes, pixels, frames, and seconds and memory to decode it."""
        return Limits(
            bytes=int(self.max_bytes),
            pixels=self.max_pixels,
            frames=self.max_frames,
            seconds=self.decode_seconds,
            memory=int(self.decode_memory),
            formats=self.formats,
        )

    @property
    def keys(self) -> dict[str, Grant]:
        """Grants of SEENIT_API_KEYS by the SHA-256 of each key in hex."""
        return api_keys.grants(self.api_keys.get_secret_value())

    @property
    def several_tenants(self) -> bool:
        """Whether keys may open several tenants: a file can name others at any time."""
        tenants = {grant.tenant for grant in self.keys.values()} - {api_keys.EVERY_TENANT}
        return len(tenants) > 1 or self.api_keys_file is not None

    def key_ring(self) -> KeyRing:
        """Return these keys and those of the file. Raise SettingsError for one that is wrong."""
        return KeyRing(self.keys, self.api_keys_file)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Networks named by SEENIT_TRUSTED_PROXY."""
        return _parse_networks(self.trusted_proxy)

    def check_address(self) -> None:
        """Raise SettingsError if others can reach the address without a key, or for a bad file."""
        if self.key_ring().required or self.allow_unauthenticated or _is_loopback(self.host):
            return
        raise SettingsError(
            f"SEENIT_HOST={self.host} can be reached from other machines and no key is required: "
            "set SEENIT_API_KEYS or SEENIT_API_KEYS_FILE, or SEENIT_ALLOW_UNAUTHENTICATED=true to "
            "allow that."
        )


def load(**changes: object) -> Settings:
    """Return the settings of the environment, overridden by `changes` that are not None.

    Raise SettingsError for unknown names and wrong values. pydantic-settings ignores a variable
    that it does not know, so names are compared here.
    """
    unknown = [_unknown(name) for name in sorted(os.environ) if _is_unknown(name)]
    if unknown:
        raise SettingsError(" ".join(unknown))
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(explained(error, _PREFIX, Settings.model_fields)) from None


def names() -> list[str]:
    """Return the name of every variable, in the order of the fields."""
    return [_PREFIX + name.upper() for name in Settings.model_fields]


def table() -> list[tuple[str, str, str]]:
    """Return variable, default and meaning of every setting, for the documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = _DEFAULTS.get(name)
        if default is None:
            default = "" if field.default is None else str(field.default)
        rows.append((_PREFIX + name.upper(), default, field.description or ""))
    return rows


_SCHEMES = {
    "blobs_url": ("file://", "s3://", "gs://", "az://", "memory://"),
    "index_url": ("sqlite://", "weaviate://", "weaviates://"),
    "broker_url": ("memory://", "redis://", "rediss://"),
}
_DEFAULTS = {
    "data": "./data",
    "blobs_url": "SEENIT_DATA/blobs",
    "index_url": "SEENIT_DATA/index.sqlite",
    "api_keys": "",
    "key": "",
    "egress_allow": "",
    "index_key": "",
    "url_secret": "",
    "durable": "true",
    "formats": ",".join(BY_DEFAULT),
    "features": "true",
    "celery_events": "true",
    "allow_unauthenticated": "false",
    "max_bytes": "32MiB",
    "decode_memory": "1.5GB",
    "decoders": "cores, at most 4",
    "checks_at_once": "twice the decoders",
}


def _below(read: Mapping[str, Any], name: str, scheme: str) -> str:
    folder: Path = read.get("data", Path("data")).absolute()
    return (folder / name).as_uri().replace("file:", f"{scheme}:", 1)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_unknown(name: str) -> bool:
    name = name.upper()
    ours = name.startswith(_PREFIX) and not name.startswith(_OF_TESTS)
    return ours and name not in (*names(), _OF_BENCHMARKS)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.upper(), names(), n=1, cutoff=0.0)
    return f"{name} is not a setting; the nearest one is {near[0]}."


def _parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks and single addresses, separated by commas.

    Raise ValueError that names the first part that is neither.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(
                f"{part!r} is neither an address such as 127.0.0.1 nor a network such as 10.0.0.0/8"
            ) from None
    return tuple(found)
