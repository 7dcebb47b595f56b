"""Settings: read once, checked by name, and quiet about secrets."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from adapters import settings
from adapters.api_keys import UNLIMITED, Grant, RateLimit, rate_limit
from core.errors import SettingsError
from core.types import Limits


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every SEENIT_* variable of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("SEENIT_"):
            monkeypatch.delenv(name)


HUSH = "hush-hush-hush-hush"
"""A key that no message may contain."""
WEAK = "and at least 16 are needed: `openssl rand -hex 32` makes a good one"


LISTED = "not a JSON list of objects with key, tenant, role and, if wanted, name and rate_limit"


def digest(key: str) -> str:
    """Name a key as settings do."""
    return sha256(key.encode()).hexdigest()


HUSH_DIGEST = digest(HUSH).upper()


def test_the_default_lies_whole_under_the_data_folder(tmp_path: Path) -> None:
    """One variable moves everything."""
    read = settings.load(data=tmp_path)
    found = (read.data, read.blobs_url, read.index_url, read.broker_url)
    blobs, index = f"file://{tmp_path}/blobs", f"sqlite://{tmp_path}/index.sqlite"
    assert found == (tmp_path, blobs, index, "memory://")


def test_a_relative_folder_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later change of the working directory does not move the data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEENIT_DATA", "here")
    assert settings.load().data == tmp_path / "here"


def test_the_environment_is_read_and_a_doors_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--port` beats SEENIT_PORT; an option that was not given does not."""
    monkeypatch.setenv("SEENIT_PORT", "9000")
    assert [settings.load().port, settings.load(port=1).port, settings.load(port=None).port] == [
        9000,
        1,
        9000,
    ]


@pytest.mark.parametrize(
    ("mistyped", "nearest"),
    [
        ("SEENIT_MODLE", "SEENIT_MODEL"),
        ("SEENIT_APIKEYS", "SEENIT_API_KEYS"),
        ("SEENIT_BLOB_URL", "SEENIT_BLOBS_URL"),
    ],
)
def test_a_mistyped_name_is_an_error_that_names_the_nearest(
    mistyped: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that is silently ignored is worse than none."""
    monkeypatch.setenv(mistyped, "x")
    with pytest.raises(SettingsError) as told:
        settings.load()
    assert told.value.detail == f"{mistyped} is not a setting; the nearest one is {nearest}."


def test_names_of_tests_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEENIT_TEST_* is not ours."""
    monkeypatch.setenv("SEENIT_TEST_ANYTHING", "x")
    assert settings.load().port == 8000


def test_the_photos_of_benchmarks_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEENIT_PHOTOS is read by `make bench` alone, and may be set for good; one like it is not."""
    monkeypatch.setenv("SEENIT_PHOTOS", "/photos")
    assert settings.load().port == 8000
    monkeypatch.setenv("SEENIT_PHOTO", "/photos")
    with pytest.raises(SettingsError, match=r"^SEENIT_PHOTO is not a setting;"):
        settings.load()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass empty ones on."""
    monkeypatch.setenv("SEENIT_PORT", "")
    assert settings.load().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("MAX_BYTES", "-1"),
        ("SIMILAR_AT", "1.5"),
        ("DECISION_NEW", "perhaps"),
        ("DTYPE", "float8"),
        ("BATCH", "65"),
        ("DECODE_SECONDS", "0"),
        ("DECODE_MEMORY", "1MB"),
        ("BLOBS_URL", "ftp://host"),
        ("BLOBS_URL", "data/blobs"),
        ("INDEX_URL", "postgres://host"),
        ("BROKER_URL", "amqp://host"),
        ("PUBLIC_URL", "pictures.example.org"),
        ("PUBLIC_URL", "ftp://pictures.example.org"),
        ("PUBLIC_URL", "https://pictures.example.org/?a=b"),
        ("URL_SECRET", "short"),
    ],
)
def test_a_wrong_value_names_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One plain sentence, without a traceback of the validator."""
    monkeypatch.setenv(f"SEENIT_{name}", value)
    with pytest.raises(SettingsError, match=f"^SEENIT_{name}: [a-z]") as told:
        settings.load()
    assert "\n" not in told.value.detail


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PORT", "eighty", "must be a whole number, not 'eighty'"),
        ("PORT", "65536", "must be at most 65535, not 65536"),
        ("FEATURES", "maybe", "must be true or false, not 'maybe'"),
        ("DEVICE", "cudaa", "must be auto, cpu, cuda or mps, not 'cudaa' (did you mean cuda?)"),
        ("DECISION_NEW", "perhaps", "must be allow, review or block, not 'perhaps'"),
        (
            "BROKER_URL",
            f"rdis://:{HUSH}@host",
            "must be a URL that begins with memory://, redis:// or rediss:// (did you mean redis://?)",
        ),
        ("BROKER_URL", f"redis://host:{HUSH}", "the port must be a number between 1 and 65535"),
        ("URL_SECRET", HUSH, "must have at least 32 characters, not 19"),
    ],
)
def test_a_wrong_value_names_what_is_allowed_and_the_nearest(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is shown unless the setting may hold a secret."""
    monkeypatch.setenv(f"SEENIT_{name}", value)
    with pytest.raises(SettingsError) as refused:
        settings.load()
    assert refused.value.detail == f"SEENIT_{name}: {rule}."


def test_limits_are_those_of_the_settings() -> None:
    """Sizes may be written as people write them."""
    read = settings.load(
        max_bytes="1MiB",
        max_pixels=2,
        max_frames=3,
        decode_seconds=4,
        decode_memory="1GB",
        formats="HEIC, png",
    )
    assert read.limits == Limits(
        bytes=1024**2,
        pixels=2,
        frames=3,
        seconds=4.0,
        memory=1_000_000_000,
        formats=("png", "heic"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "the-first-of-two:shop:write, the-second-of-two:other-shop:admin,",
        (
            '[{"key":"the-first-of-two","tenant":"shop","role":"write"},'
            '{"key":"the-second-of-two","tenant":"other-shop","role":"admin"}]'
        ),
    ],
)
def test_keys_are_kept_by_their_digest(text: str) -> None:
    """Both ways of writing them mean the same."""
    assert settings.load(api_keys=text).keys == {
        digest("the-first-of-two"): Grant("shop", "write"),
        digest("the-second-of-two"): Grant("other-shop", "admin"),
    }


@pytest.mark.parametrize(
    "text",
    [
        f"# of the shop\n{HUSH}:shop:read:page\n\n  # the owner's\nsha256:{{owner}}:*:operator",
        f"{HUSH}:shop:read:page,sha256:{{owner}}:*:operator",
        (
            f'[{{{{"key":"{HUSH}","tenant":"shop","role":"read","name":"page"}}}},'
            f'{{{{"key":"sha256:{{owner}}","tenant":"*","role":"operator"}}}}]'
        ),
    ],
)
def test_a_key_may_have_a_name_and_be_written_as_its_hash(text: str) -> None:
    """One a line as well, with comments."""
    assert settings.load(api_keys=text.format(owner=digest("short").upper())).keys == {
        digest(HUSH): Grant("shop", "read", "page"),
        digest("short"): Grant("*", "operator"),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hush", "key 1 is not written KEY:tenant:role or KEY:tenant:role:name"),
        (f"{HUSH}:Shop:write", "the tenant of key 1 is not 1 to 64 of a-z, 0-9 and -"),
        (
            f"{HUSH}:b:write,{HUSH}!:shop:king",
            "the role of key 2 is not read, write, moderate, admin or operator",
        ),
        (f"{HUSH}:a:write,{HUSH}:b:write", "key 2 is there twice"),
        (":a:write", "key 1 is empty"),
        (",", "it is set and names no key: write KEY:tenant:role, or leave it unset"),
        ("[]", "it is set and names no key: write KEY:tenant:role, or leave it unset"),
        ("hush:a:write", f"key 1 has 4 characters, {WEAK}"),
        (f"{HUSH}:a:write,{HUSH[:15]}:b:admin", f"key 2 has 15 characters, {WEAK}"),
        (
            f'[{{"key":"{HUSH[:15]}","tenant":"a","role":"write"}}]',
            f"key 1 has 15 characters, {WEAK}",
        ),
        (
            f'[{{"key":"hush{" " * 20}","tenant":"a","role":"write"}}]',
            f"key 1 has 4 characters, {WEAK}",
        ),
        ('[{"key":"hush"}]', LISTED),
        ('["hush"]', LISTED),
        ("[hush", LISTED),
        (f'[{{"key":"{HUSH}","tenant":"a","role":"write","rol":""}}]', LISTED),
        (f"{HUSH}:*:admin", "key 1: the role operator and the tenant * go together only"),
        (f"{HUSH}:a:operator", "key 1: the role operator and the tenant * go together only"),
        (f"{HUSH}:a:read:a b", "the name of key 1 is not 1 to 64 of A-Z, a-z, 0-9, ., _ and -"),
        (f"sha256:{HUSH}:a:read", "the hash of key 1 is not sha256: and 64 hex digits"),
        (f"{HUSH}:a:read,sha256:{HUSH_DIGEST}:b:read", "key 2 is there twice"),
    ],
)
def test_unreadable_keys_are_refused_without_telling_them(text: str, reason: str) -> None:
    """An error message ends up in a log; a key must not."""
    with pytest.raises(SettingsError) as told:
        settings.load(api_keys=text)
    assert told.value.detail == f"SEENIT_API_KEYS: {reason}."
    assert "hush" not in told.value.detail


@pytest.mark.parametrize(
    "wrong",
    [
        f"http://u:{HUSH}@proxy:99999",
        f"http://u:{HUSH}@proxy:port",
        f"http://u:{HUSH}@proxy:3128/path",
        f"socks5://u:{HUSH}@proxy:1080",
        f"http://u:{HUSH}@",
        f"proxy:3128?{HUSH}",
    ],
)
def test_a_wrong_egress_proxy_is_named_without_its_password(wrong: str) -> None:
    """A right one is in no `repr` either."""
    with pytest.raises(SettingsError, match=r"SEENIT_EGRESS_PROXY.*http://HOST:PORT") as error:
        settings.load(egress_proxy=wrong)
    assert HUSH not in str(error.value)
    assert HUSH not in repr(settings.load(egress_proxy=f"https://u:{HUSH}@proxy"))


def test_egress_networks_are_networks() -> None:
    """A host with bits beyond its mask is a mistake, and named."""
    for wrong in ("10.0.0.1/8", "intranet", "10.0.0.0/33"):
        with pytest.raises(SettingsError, match=f"SEENIT_EGRESS_ALLOW.*{wrong}"):
            settings.load(egress_allow=f"::1,{wrong}")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/s", RateLimit(10, 10)),
        ("600/m", RateLimit(10, 600)),
        ("0.5/s", RateLimit(0.5, 1)),
        (" 10/s:50 ", RateLimit(10, 50)),
        ("none", UNLIMITED),
        ("", UNLIMITED),
    ],
)
def test_a_rate_limit_is_a_number_a_second_or_minute(text: str, limit: RateLimit) -> None:
    """With a burst, or the number itself; a key has its own in a JSON list."""
    assert rate_limit(settings.load(rate_limit=text).rate_limit) == limit
    one = {"key": HUSH, "tenant": "a", "role": "read", "rate_limit": text or None, "name": None}
    (grant,) = settings.load(api_keys=json.dumps([one])).keys.values()
    assert grant.limit == (limit if text else None)


@pytest.mark.parametrize(
    "wrong", ["10", "s", "-1/s", "10/h", "1e3/s", "0/s", "1/s:0", "10/s:", "٣/s"]
)
def test_a_rate_that_is_none_is_refused(wrong: str) -> None:
    """By the setting and for a key, whose place is named."""
    with pytest.raises(SettingsError, match="SEENIT_RATE_LIMIT: must "):
        settings.load(rate_limit=wrong)
    one = {"key": HUSH, "tenant": "a", "role": "read", "rate_limit": wrong}
    with pytest.raises(SettingsError, match="the rate_limit of key 1 must ") as refused:
        settings.load(api_keys=json.dumps([one]))
    assert "hush" not in refused.value.detail


def test_trusted_proxies_are_networks() -> None:
    """Addresses are networks of one; blanks and nothing between commas are overlooked."""
    assert settings.load().proxies == ()
    told = settings.load(trusted_proxy="127.0.0.1, 10.0.0.0/8,::1,").proxies
    assert [str(one) for one in told] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("wrong", ["*", "proxy", "10.0.0.1/8", "127.0.0.1:80", "10.0.0.0/33"])
def test_a_trusted_proxy_that_is_none_is_named(wrong: str) -> None:
    """No name is looked up, and no value trusts every address by mistake."""
    with pytest.raises(SettingsError, match="SEENIT_TRUSTED_PROXY") as told:
        settings.load(trusted_proxy=f"127.0.0.1,{wrong}")
    assert repr(wrong) in told.value.detail


def test_secrets_are_not_shown() -> None:
    """Neither a key nor a password in a URL."""
    shown = repr(
        settings.load(
            api_keys=f"{HUSH}:a:write", key="hush", blobs_url="s3://a:hush@b", url_secret="hush" * 8
        )
    )
    assert "hush" not in shown


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """Other machines cannot reach it."""
    settings.load(host=host).check_address()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_another_address_needs_a_key_or_a_clear_word(host: str) -> None:
    """A service open to all by mistake is refused."""
    with pytest.raises(SettingsError, match="SEENIT_ALLOW_UNAUTHENTICATED"):
        settings.load(host=host).check_address()
    settings.load(host=host, api_keys=f"{HUSH}:b:write").check_address()
    settings.load(host=host, allow_unauthenticated=True).check_address()


def test_the_settings_page_lists_every_setting() -> None:
    """Compare docs/settings.md with the table made of the settings."""
    told = Path(__file__).parents[3].joinpath("docs/settings.md").read_text(encoding="utf-8")
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
        for name, default, meaning in settings.table()
    ]
    assert [row for row in rows if row not in told] == []


def test_settings_cannot_be_changed_later() -> None:
    """They are read once."""
    with pytest.raises(ValueError, match="frozen"):
        settings.load().port = 1


@pytest.mark.parametrize(
    ("keys", "several"),
    [
        ("", False),
        ("the-long-key-of-a:a:write,the-operators-key:*:operator", False),
        ("the-long-key-of-a:a:write,the-long-key-of-b:b:read", True),
    ],
)
def test_an_operator_is_no_tenant_beside_another(keys: str, several: bool, tmp_path: Path) -> None:
    """A backlog is shared out to tenants alone; a file of keys may name more at any time."""
    assert settings.load(api_keys=keys).several_tenants is several
    file = tmp_path / "keys"
    assert settings.load(api_keys=keys, api_keys_file=file).several_tenants
