"""How the payloads, results and other blobs of jobs are stored. What keeps the keys is given to it."""

from millstream_codec.codec import (
    PAYLOAD,
    RESULT,
    STEP,
    Codec,
    Compression,
    DecryptionFailure,
    ObserveCompression,
    ObserveFailure,
    unpacked,
)
from millstream_codec.encrypted_tenants import LOOKS_AGAIN_AFTER_S, AskedTenants, EncryptedTenants
from millstream_codec.envelope import MARK, CodecCode, content_of, is_coded, is_sealed, marked, unmarked
from millstream_codec.errors import (
    BlobTooLargeError,
    CodecError,
    DamagedBlobError,
    KeyConfigError,
    KeyLostError,
    UnknownCodecError,
)
from millstream_codec.keyring import LASTING, DataKeyStore, Keyring, StoredDataKey
from millstream_codec.providers import KeyProvider, LocalKeys, keys_of_folder, keys_of_text, provider_named
from millstream_codec.sealed import Sealed, read_sealed
from millstream_codec.sealing import DataKey, Place, kid_of

__all__ = [
    "LASTING",
    "LOOKS_AGAIN_AFTER_S",
    "MARK",
    "PAYLOAD",
    "RESULT",
    "STEP",
    "AskedTenants",
    "BlobTooLargeError",
    "Codec",
    "CodecCode",
    "CodecError",
    "Compression",
    "DamagedBlobError",
    "DataKey",
    "DataKeyStore",
    "DecryptionFailure",
    "EncryptedTenants",
    "KeyConfigError",
    "KeyLostError",
    "KeyProvider",
    "Keyring",
    "LocalKeys",
    "ObserveCompression",
    "ObserveFailure",
    "Place",
    "Sealed",
    "StoredDataKey",
    "UnknownCodecError",
    "content_of",
    "is_coded",
    "is_sealed",
    "keys_of_folder",
    "keys_of_text",
    "kid_of",
    "marked",
    "provider_named",
    "read_sealed",
    "unmarked",
    "unpacked",
]
