"""Signs models, so that devices which are given the public key run no others.

What a signature is and how a device checks it: `edge_runtime.model.signature`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.model.file import input_size, read_model_content
from edge_runtime.model.signature import INSTALL, signature_path
from trainer.errors import PackagesError, SigningError
from trainer.storage import write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key(name: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Makes a pair of Ed25519 keys; existing files are never replaced.

    Args:
        name: Of the files, without their endings.

    Returns:
        ``NAME.pem``, the private key (PKCS 8, PEM, without a passphrase), which only its owner may read; and
        ``NAME.pub.pem``, the public key, for the devices.

    Raises:
        SigningError: The files can't be written, or are there already.
        PackagesError: The package ``cryptography`` is missing.
    """
    _require_package()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = Path(f"{os.fspath(name)}.pem"), Path(f"{os.fspath(name)}.pub.pem")
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    _write_new(
        public, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo), permissions=0o644
    )
    try:
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write_new(private, secret, permissions=0o600)
    except SigningError:
        public.unlink()
        raise
    return private, public


def sign_model(model: str | os.PathLike[str], key: str | os.PathLike[str]) -> Path:
    """Signs a model file; an earlier signature is replaced.

    Args:
        model: Of the ``.tflite`` file. What changes it afterwards, if only a label, makes the signature worthless.
        key: Of the private key: Ed25519, PEM, without a passphrase.

    Returns:
        Where the signature is.

    Raises:
        ModelError: It is no whole image classifier: no device would run it.
        SigningError: The key can't be used.
        PackagesError: The package ``cryptography`` is missing.
        OutputFolderError: The signature can't be written.
    """
    private = _read_private_key(Path(key))
    input_size(model)  # it refuses what no device would open
    path = signature_path(model)
    write_bytes(path, private.sign(read_model_content(model)))
    return path


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    _require_package()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: object = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SigningError(f"Expected a private key at {path}, got: {error.strerror}. Check the path.") from error
    except TypeError:
        raise SigningError(
            f"Expected a private key without a passphrase, {path} has one. Take it off by: "
            f"openssl pkey -in {path} -out plain.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(
            f"Expected an Ed25519 private key in PEM, got something else in {path}. "
            "Make one by: edge-trainer sign --new-key NAME"
        )
    return key


def _write_new(path: Path, content: bytes, *, permissions: int) -> None:
    """Writes a file that wasn't there; never for a moment can others read it who may not."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except OSError:
            path.unlink()
            raise
    except FileExistsError:
        raise SigningError(f"Expected a new name for the keys, but {path} is there already. Choose another.") from None
    except OSError as error:
        raise SigningError(f"Expected to write {path}, got: {error.strerror}. Choose another folder.") from error


def _require_package() -> None:
    try:
        import cryptography.exceptions  # noqa: F401
    except ImportError:
        raise PackagesError(f"Expected the package cryptography, which makes signatures. Run: {INSTALL}") from None
