"""Makes the codec of a service from its settings."""

from millstream_codec import Codec, KeyConfigError, KeyProvider, Keyring, keys_of_folder, keys_of_text, provider_named
from millstream_runtime.errors import SettingsError
from millstream_runtime.settings.service_settings import ServiceSettings
from millstream_telemetry import CodecMetrics


def codec_of(settings: ServiceSettings, metrics: CodecMetrics | None = None) -> Codec:
    """Return a new codec, for one broker. Raises: SettingsError, when its keys cannot be used."""
    provider = provider_of(settings)
    if settings.encrypt == "all" and provider is None:
        raise SettingsError(["MILLSTREAM_ENCRYPT=all takes keys: set MILLSTREAM_ENCRYPTION_KEYS or its companions"])
    return Codec(
        settings.compression,
        observe=metrics.observe_compression if metrics else None,
        observe_failure=metrics.count_failure if metrics else None,
        keyring=None if provider is None else Keyring(provider),
        encrypts_all=settings.encrypt == "all",
    )


def provider_of(settings: ServiceSettings) -> KeyProvider | None:
    """Return what wraps data keys; None where no setting names it. Raises: SettingsError."""
    try:
        if settings.encryption_provider is not None:
            return provider_named(settings.encryption_provider)
        if settings.encryption_keys_folder is not None:
            return keys_of_folder(settings.encryption_keys_folder)
        if settings.encryption_keys is not None:
            return keys_of_text(settings.encryption_keys.reveal())
    except KeyConfigError as error:
        raise SettingsError([f"the keys of encryption cannot be used: {error}"]) from None
    return None
