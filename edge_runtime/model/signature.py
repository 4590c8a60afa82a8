"""Signed models: a device that is given a public key runs only what the owner of the private one has signed.

The signature is Ed25519's (RFC 8032) of the whole file, labels and manifest included: 64 bytes in ``MODEL.tflite.sig``
beside the model, as ``openssl pkeyutl -sign -rawin`` writes and ``-verify -rawin`` checks them. It says who signed
these bytes, not that they are the newest: an older model that was signed too is accepted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import SignatureError
from edge_runtime.model.file import read_model_content

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INSTALL = "pip install 'edge-image-sdk[signing]'"
_BYTES = 64


def signature_path(model: str | os.PathLike[str]) -> Path:
    """Where the signature of a model file lies: beside it, named like it."""
    return Path(f"{os.fspath(model)}.sig")


def read_signed_content(model: str | os.PathLike[str], key: str | os.PathLike[str]) -> bytes:
    """Reads a model file, once, and gives its bytes only if they are signed.

    Args:
        model: Of the ``.tflite`` file; its signature lies at `signature_path`.
        key: Of the public key that it must be signed with: Ed25519, PEM.

    Raises:
        ModelError: The file can't be read.
        SignatureError: There is no signature, it doesn't fit the bytes and the key, or that can't be found out.
    """
    public = _read_public_key(Path(key))
    content = read_model_content(model)
    path = signature_path(model)
    signature = _read_signature(path, Path(model))
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature, content)
    except InvalidSignature:
        raise SignatureError(
            f"Expected {model} as the owner of {key} signed it, but {path.name} doesn't fit: the model or its "
            "signature was changed, or another key signed it. Copy both files again from where they were signed."
        ) from None
    return content


def _read_signature(path: Path, model: Path) -> bytes:
    try:
        with path.open("rb") as file:
            signature = file.read(_BYTES + 1)
    except FileNotFoundError:
        raise SignatureError(
            f"Expected the signature of {model} in {path.name} beside it, there is none. Copy it too, or make it by: "
            f"edge-trainer sign {model.name} --key PRIVATE.pem"
        ) from None
    except OSError as error:
        raise SignatureError(f"Expected to read the signature in {path}, got: {error.strerror}.") from error
    if len(signature) != _BYTES:
        size = "more" if len(signature) > _BYTES else str(len(signature))
        raise SignatureError(f"Expected a signature of {_BYTES} bytes in {path}, got {size}. Copy it again.")
    return signature


def _read_public_key(path: Path) -> Ed25519PublicKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise SignatureError(f"Expected the package cryptography, which checks signatures. Run: {INSTALL}") from None
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SignatureError(f"Expected a public key at {path}, got: {error.strerror}. Check the path.") from error
    if b"PRIVATE KEY-----" in text:
        raise SignatureError(
            f"Expected a public key, but {path} holds a private one, which no device should have. Pass NAME.pub.pem."
        )
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(
            f"Expected an Ed25519 public key in PEM, got something else in {path}. "
            "Pass NAME.pub.pem, which edge-trainer sign --new-key NAME makes."
        )
    return key
