from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge_runtime.errors import ModelError
from edge_runtime.model.signature import read_signed_content, signature_path
from trainer.cli.main import main
from trainer.errors import PackagesError, SigningError
from trainer.export.signing import new_key, sign_model


def test_only_the_owner_may_read_the_private_key(tmp_path: Path) -> None:
    private, public = new_key(tmp_path / "door.v2")
    assert (private.name, public.name) == ("door.v2.pem", "door.v2.pub.pem")
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert public.read_text().startswith("-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("there", ["door.pem", "door.pub.pem"])
def test_keys_that_are_there_are_never_replaced(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(SigningError, match=r"already exists\. Choose another"):
        new_key(tmp_path / "door")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "precious")]


def test_a_folder_that_isnt_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="Choose another folder"):
        new_key(tmp_path / "none" / "door")


def test_signing_again_replaces_the_signature(tiny_int8: Path, tiny_fp32: Path, tmp_path: Path) -> None:
    private, public = new_key(tmp_path / "door")
    model = Path(shutil.copy(tiny_int8, tmp_path / "model.tflite"))
    first = sign_model(model, private).read_bytes()
    shutil.copy(tiny_fp32, model)
    assert sign_model(model, private).read_bytes() != first
    assert read_signed_content(model, public) == tiny_fp32.read_bytes()


def test_what_is_no_whole_model_is_not_signed(tiny_int8: Path, tmp_path: Path) -> None:
    private, _ = new_key(tmp_path / "door")
    for name, content in (("cut.tflite", tiny_int8.read_bytes()[:3000]), ("notes.txt", b"no model")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError):
            sign_model(tmp_path / name, private)
        assert not signature_path(tmp_path / name).exists()


def test_a_key_that_cannot_sign_is_told(tiny_int8: Path, tmp_path: Path) -> None:
    private, public = new_key(tmp_path / "door")
    other, locked = tmp_path / "x25519.pem", tmp_path / "locked.pem"
    other.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    own = load_pem_private_key(private.read_bytes(), None)
    locked.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for key in (public, other, tiny_int8):
        with pytest.raises(SigningError, match="is not an Ed25519 private key in PEM format"):
            sign_model(tiny_int8, key)
    with pytest.raises(SigningError, match="protected by a passphrase"):
        sign_model(tiny_int8, locked)
    with pytest.raises(SigningError, match="No such file"):
        sign_model(tiny_int8, tmp_path / "none.pem")


def test_without_the_package_the_command_is_named(
    tiny_int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    for make in (lambda: new_key(tmp_path / "door"), lambda: sign_model(tiny_int8, tmp_path / "door.pem")):
        with pytest.raises(PackagesError, match=r"Run: pip install 'edge-image-sdk\[signing\]'"):
            make()


def test_the_command_makes_a_key_and_signs(
    tiny_int8: Path, tiny_fp32: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [shutil.copy(path, tmp_path) for path in (tiny_int8, tiny_fp32)]
    assert main(["sign", str(models[0]), "--new-key", str(tmp_path / "door")]) == 0
    assert "Keep it secret" in capsys.readouterr().out
    assert main(["sign", *map(str, models), "--key", str(tmp_path / "door.pem")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"Signed {model}. Copy {model}.sig along with it." for model in models]
    for model in models:
        read_signed_content(model, tmp_path / "door.pub.pem")
    assert main(["sign", str(models[0]), "--key", str(tmp_path / "none.pem")]) == 1
    assert capsys.readouterr().err.startswith("edge-trainer: Cannot read the private key ")


@pytest.mark.parametrize(("arguments", "problem"), [([], "one of the arguments"), (["--key", "k.pem"], "MODEL")])
def test_the_command_says_what_is_missing(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["sign", *arguments])
    assert end.value.code == 2
    assert problem in capsys.readouterr().err
