"""Builds the address of Redis from settings: the URL, and the credentials and certificates beside it."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from millstream_runtime.errors import SettingsError
from millstream_runtime.settings.masking import mask_path
from millstream_runtime.settings.secret import revealed
from millstream_streams import RedisAddress, RedisTlsError, TlsFiles, parse_redis_url, tls_context

if TYPE_CHECKING:
    from millstream_runtime.settings.service_settings import ServiceSettings


def address_of(settings: "ServiceSettings") -> RedisAddress:
    """Return the address of Redis with credentials and certificates. The files of the certificates are read.

    Raises: RedisUrlError; SettingsError, for settings that contradict each other and for files that cannot be used.
    """
    address = parse_redis_url(settings.redis_url)
    files = TlsFiles(settings.redis_ca_file, settings.redis_cert_file, settings.redis_key_file)
    if problems := [*_doubled(settings, address), *_pointless(settings, address, files)]:
        raise SettingsError(problems)
    if address.tls:
        _check(files)
    return replace(
        address,
        username=settings.redis_username or address.username,
        password=revealed(settings.redis_password) or address.password,
        sentinel_username=settings.sentinel_username,
        sentinel_password=revealed(settings.sentinel_password),
        tls_files=files,
    )


def _doubled(settings: "ServiceSettings", address: RedisAddress) -> list[str]:
    both = {
        "username": settings.redis_username and address.username,
        "password": settings.redis_password and address.password,
    }
    return [
        f"MILLSTREAM_REDIS_{name.upper()} is set, and MILLSTREAM_REDIS_URL has a {name} too: keep one of them"
        for name, is_doubled in both.items()
        if is_doubled
    ]


def _pointless(settings: "ServiceSettings", address: RedisAddress, files: TlsFiles) -> list[str]:
    """Refuse settings without effect: the operator who sets them relies on one."""
    problems = []
    if not address.tls:
        problems += [
            f"MILLSTREAM_REDIS_{field.upper()} is set, and MILLSTREAM_REDIS_URL does not speak TLS: "
            "begin it with rediss://, rediss+sentinel:// or rediss+cluster://"
            for field, _ in files.given
        ]
    if address.mode != "sentinel":
        given = {"USERNAME": settings.sentinel_username, "PASSWORD": settings.sentinel_password}
        problems += [
            f"MILLSTREAM_SENTINEL_{name} is set, and MILLSTREAM_REDIS_URL names no Sentinel: "
            "begin it with redis+sentinel:// or rediss+sentinel://"
            for name, value in given.items()
            if value
        ]
    return problems


def _check(files: TlsFiles) -> None:
    try:
        tls_context(files)
    except RedisTlsError as error:
        path = dict(files.given)[error.field]
        raise SettingsError([f"MILLSTREAM_REDIS_{error.field.upper()}={mask_path(path)}: {error.why}"]) from None
