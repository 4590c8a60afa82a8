"""Sign models, so that devices with the public key accept only models that you signed.

`edge_runtime.model.signature` describes the signature and how a device checks it.
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
    """Create an Ed25519 key pair for `sign_model`. Existing files are never replaced.

    Args:
        name: Path of the key files, without extension.

    Returns:
        Path of the private key, ``NAME.pem`` (PKCS #8, PEM, no passphrase, readable by its owner only), and of the
        public key for devices, ``NAME.pub.pem``.

    Raises:
        SigningError: A file cannot be written or already exists.
        PackagesError: The package ``cryptography`` is not installed.
    """
    _require_package()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = Path(f"{os.fspath(name)}.pem"), Path(f"{os.fspath(name)}.pub.pem")
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    shared = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, shared, permissions=0o644)
    try:
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write_new(private, secret, permissions=0o600)
    except SigningError:
        public.unlink()
        raise
    return private, public


def sign_model(model: str | os.PathLike[str], key: str | os.PathLike[str]) -> Path:
    """Sign a model file. Devices with the public key then accept only models that you signed.

    The signature covers the whole file: any later change, even of a label, invalidates it. An existing signature is
    replaced.

    Args:
        model: Path of the ``.tflite`` file.
        key: Path of the private key (Ed25519, PEM, no passphrase); `new_key` creates one.

    Returns:
        Path of the signature file, next to the model.

    Raises:
        ModelError: The file is not a complete image classifier, so no device would run it.
        SigningError: The key cannot be used.
        PackagesError: The package ``cryptography`` is not installed.
        OutputFolderError: The signature cannot be written.
    """
    private = _read_private_key(Path(key))
    input_size(model)  # refuses files that no device would open
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
        raise SigningError(f"Cannot read the private key {path}: {error.strerror}. Check the path.") from error
    except TypeError:
        raise SigningError(
            f"The private key {path} is protected by a passphrase. Remove it with: "
            f"openssl pkey -in {path} -out plain.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(
            f"{path} is not an Ed25519 private key in PEM format. Create one with: edge-trainer sign --new-key NAME"
        )
    return key


def _write_new(path: Path, content: bytes, *, permissions: int) -> None:
    """Create a file, with its permissions set before any content is written."""
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
        raise SigningError(f"The key file {path} already exists. Choose another name.") from None
    except OSError as error:
        raise SigningError(f"Cannot write {path}: {error.strerror}. Choose another folder.") from error


def _require_package() -> None:
    try:
        import cryptography.exceptions  # noqa: F401
    except ImportError:
        raise PackagesError(f"Signing needs the package cryptography. Run: {INSTALL}") from None
