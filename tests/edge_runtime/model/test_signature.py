"""A device that is given a key runs what was signed with it, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edge_runtime.model.signature
from edge_runtime.cli.main import main
from edge_runtime.errors import ModelError, SignatureError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.model.file import read_model_content
from edge_runtime.model.signature import read_signed_content, signature_path
from tests.support.tiny import TinyModels, picture
from trainer.export.signing import new_key, sign_model


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key(tmp_path_factory.mktemp("keys") / "door")[0]


@pytest.fixture
def key(private: Path) -> Path:
    return private.with_suffix(".pub.pem")


@pytest.fixture
def signed(tiny_int8: Path, private: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt, and its signature."""
    model = Path(shutil.copy(tiny_int8, tmp_path))
    sign_model(model, private)
    return model


def test_a_signed_model_gives_the_answers_of_an_unsigned_one(signed: Path, key: Path) -> None:
    with Classifier(signed, require_signature=key) as one, Classifier(signed) as other:
        assert one.raw_output(picture("red")).tolist() == other.raw_output(picture("red")).tolist()
        assert one.model == other.model
        assert one.backend == other.backend


def test_what_was_checked_is_what_runs(
    signed: Path, key: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_replace(path: Path) -> bytes:
        content = read_model_content(path)
        shutil.copy(tiny_models.fp32, path)
        return content

    with Classifier(signed) as classifier:
        expected = classifier.raw_output(picture("red"))
    monkeypatch.setattr(edge_runtime.model.signature, "read_model_content", read_and_replace)
    with Classifier(signed, require_signature=key) as classifier:
        assert signed.read_bytes() == tiny_models.fp32.read_bytes()
        assert classifier.model.is_quantized
        assert classifier.raw_output(picture("red")).tolist() == expected.tolist()
    with pytest.raises(SignatureError, match="does not match"):
        read_signed_content(signed, key)


@pytest.mark.parametrize("place", [0, 5000, -1])
def test_one_changed_bit_is_refused_wherever_it_is(signed: Path, key: Path, place: int) -> None:
    content = bytearray(signed.read_bytes())
    content[place] ^= 1
    signed.write_bytes(content)
    with pytest.raises(SignatureError, match=r"tiny_int8\.tflite\.sig does not match .*: the model or its"):
        Classifier(signed, require_signature=key)


def test_more_bytes_or_fewer_are_refused(signed: Path, key: Path) -> None:
    content = signed.read_bytes()
    for other in (content + b"\0", content[:-1], b""):
        signed.write_bytes(other)
        with pytest.raises(SignatureError, match="does not match"):
            read_signed_content(signed, key)


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    _, other = new_key(tmp_path / "other")
    with pytest.raises(SignatureError, match=r"does not match .* the key .*other\.pub\.pem: .* another key"):
        Classifier(signed, require_signature=other)


def test_a_signature_that_is_missing_or_no_signature_is_told(signed: Path, key: Path) -> None:
    signature = signature_path(signed)
    for content, size in ((b"x" * 63, "63"), (b"x" * 65, "more"), (b"", "0")):
        signature.write_bytes(content)
        with pytest.raises(SignatureError, match=rf"64 bytes in .*\.sig, got {size}\. Copy it again"):
            read_signed_content(signed, key)
    signature.unlink()
    with pytest.raises(SignatureError, match=r"not found next to .*\. Copy it there, or .*: edge-trainer sign"):
        read_signed_content(signed, key)
    signature.mkdir()
    with pytest.raises(SignatureError, match=r"signature file .*: Is a directory"):
        read_signed_content(signed, key)


def test_a_key_that_is_none_is_told(signed: Path, private: Path, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="is a private key"):
        read_signed_content(signed, private)
    with pytest.raises(SignatureError, match="No such file"):
        read_signed_content(signed, tmp_path / "none.pub.pem")
    with pytest.raises(SignatureError, match="is not an Ed25519 public key in PEM format"):
        read_signed_content(signed, signed)


def test_keys_of_other_kinds_are_told(signed: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    other = tmp_path / "x25519.pub.pem"
    public = X25519PrivateKey.generate().public_key()
    other.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(SignatureError, match="is not an Ed25519 public key"):
        read_signed_content(signed, other)


def test_a_signed_file_is_checked_as_any_other(private: Path, key: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    owner = load_pem_private_key(private.read_bytes(), password=None)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    signature_path(broken).write_bytes(owner.sign(broken.read_bytes()))  # type: ignore[union-attr,call-arg]
    with pytest.raises(ModelError, match="damaged"):
        Classifier(broken, require_signature=key)


def test_a_file_too_large_for_a_model_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.tflite"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError, match="at most 2 GiB"):
        read_model_content(large)


def test_without_the_package_the_command_is_named(signed: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(SignatureError, match=r"Run: pip install 'edge-image-sdk\[signing\]'"):
        read_signed_content(signed, key)


def test_other_processes_check_it_too(signed: Path, key: Path) -> None:
    with Classifier(signed, require_signature=key) as classifier:
        options = ClassifierOptions.from_dict(classifier.resolved_options.to_dict())
    signature_path(signed).unlink()
    with pytest.raises(SignatureError, match="not found next to"):
        Classifier.from_options(options)


@pytest.mark.parametrize("command", ["info", "verify", "classify", "run", "serve", "benchmark"])
def test_commands_refuse_what_isnt_signed(
    tiny_int8: Path, key: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["picture.jpg"] if command == "classify" else []
    assert main([command, str(tiny_int8), *more, "--require-signature", str(key)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge-runtime: Signature file ")
    assert len(err.splitlines()) == 1


def test_commands_take_what_is_signed(signed: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(signed), "--require-signature", str(key)]) == 0
    assert "verified: 2 golden samples" in capsys.readouterr().out


def test_the_doctor_says_what_isnt_signed(signed: Path, key: Path) -> None:
    from edge_runtime.device.doctor.model import check_model

    assert check_model(signed, require_signature=key).level == "ok"
    signature_path(signed).unlink()
    found = check_model(signed, require_signature=key)
    assert found.level == "problem"
    assert "not found next to" in found.found


def test_openssl_checks_it_and_makes_the_same(signed: Path, private: Path, key: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs Debian's openssl (make test-packages)")
    check = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key)]
    check += ["-sigfile", f"{signed}.sig", "-in", str(signed)]
    assert subprocess.run(check, capture_output=True, timeout=60).returncode == 0
    own = tmp_path / "openssl.sig"
    make = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(private), "-in", str(signed), "-out", str(own)]
    subprocess.run(make, check=True, timeout=60)
    assert own.read_bytes() == signature_path(signed).read_bytes()
    signed.write_bytes(signed.read_bytes() + b"\0")
    assert subprocess.run(check, capture_output=True, timeout=60).returncode != 0
