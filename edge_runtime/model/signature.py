"""Model signatures: a device with a public key runs only models signed with the matching private key.

A signature is 64 bytes in ``MODEL.tflite.sig`` next to the model: Ed25519 (RFC 8032) over the whole file, including
labels and manifest. It is compatible with ``openssl pkeyutl -sign -rawin`` and ``-verify -rawin``. It says who signed
the file, not that the file is the newest one: an older signed model is accepted as well.
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
    """Return the path of a model's signature file: the model's path followed by ``.sig``."""
    return Path(f"{os.fspath(model)}.sig")


def read_signed_content(model: str | os.PathLike[str], key: str | os.PathLike[str]) -> bytes:
    """Read a model file once and return its content if its signature is valid.

    Args:
        model: Path of the ``.tflite`` file; its signature is at `signature_path`.
        key: Path of the Ed25519 public key in PEM format.

    Raises:
        ModelError: The model file cannot be read.
        SignatureError: The signature is missing or invalid, or it cannot be checked.
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
            f"The signature {path.name} does not match {model} and the key {key}: the model or its signature was "
            "changed, or another key signed it. Copy both files again from where they were signed."
        ) from None
    return content


def _read_signature(path: Path, model: Path) -> bytes:
    try:
        with path.open("rb") as file:
            signature = file.read(_BYTES + 1)
    except FileNotFoundError:
        raise SignatureError(
            f"Signature file {path.name} not found next to {model}. Copy it there, or sign the model with: "
            f"edge-trainer sign {model.name} --key PRIVATE.pem"
        ) from None
    except OSError as error:
        raise SignatureError(f"Cannot read the signature file {path}: {error.strerror}.") from error
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
        raise SignatureError(f"Checking signatures needs the package cryptography. Run: {INSTALL}") from None
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SignatureError(f"Cannot read the public key {path}: {error.strerror}. Check the path.") from error
    if b"PRIVATE KEY-----" in text:
        raise SignatureError(
            f"{path} is a private key, which must stay off the device. Pass the public key, NAME.pub.pem."
        )
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(
            f"{path} is not an Ed25519 public key in PEM format. "
            "Pass NAME.pub.pem, which `edge-trainer sign --new-key NAME` creates."
        )
    return key
