from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_runtime.cli.main import main
from edge_runtime.device.systemd_unit import MARK, ServiceUnit, quote
from edge_runtime.errors import OutputError, ServiceError

# Run by root, the tests use another user; otherwise the current one.
USER = "daemon" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def unit(**changes: object) -> ServiceUnit:
    values: dict[str, object] = {
        "name": "door",
        "command": ("/usr/bin/env", "run", "model.tflite"),
        "folder": Path("/srv"),
        "user": USER,
    }
    return ServiceUnit(**{**values, **changes})  # type: ignore[arg-type]


def lines_of(text: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.fixture(scope="module")
def systemd_words() -> Callable[[str], list[str]]:
    """systemd's own parser of command lines, from its shared library."""
    found = sorted(Path("/usr/lib").glob("**/systemd/libsystemd-shared-*.so"))
    if not found:
        pytest.skip("needs systemd, which isn't installed")
    library = ctypes.CDLL(str(found[-1]))
    unquote_and_unescape = 1 << 1 | 1 << 5
    no_specifiers = (ctypes.c_char * 256)()

    def words(line: str) -> list[str]:
        rest, read = ctypes.c_char_p(line.encode()), []
        while True:
            word, plain = ctypes.c_char_p(), ctypes.c_char_p()
            status = library.extract_first_word(ctypes.byref(rest), ctypes.byref(word), None, unquote_and_unescape)
            assert status >= 0, f"systemd can't read {line!r}"
            if status == 0:
                return read
            size = ctypes.c_size_t(1 << 20)
            assert library.specifier_printf(word, size, no_specifiers, None, None, ctypes.byref(plain)) >= 0
            read.append((plain.value or b"").decode())

    return words


class TestQuoting:
    @given(words=st.lists(NAMES, max_size=4))
    @example(words=["50% of $HOME", "%n", "a\\", 'say "hi"', "it's", ";", "", "a\nb\tc", "é ü", "\x85\u2028", "\x7f"])
    def test_systemd_reads_what_was_written(self, systemd_words: Callable[[str], list[str]], words: list[str]) -> None:
        line = " ".join(map(quote, words))
        assert line.isprintable()  # so no line break, which would end it
        assert systemd_words(line) == words

    @pytest.mark.parametrize(
        ("word", "written"),
        [
            ("--to=/srv/a_b-1.jsonl", "--to=/srv/a_b-1.jsonl"),
            ("two words", '"two words"'),
            ("", '""'),
            (";", '";"'),
            ("100%", '"100%%"'),
            ('a"b\\c', '"a\\"b\\\\c"'),
            ("a\nb", '"a\\x0ab"'),
        ],
    )
    def test_is_what_the_manual_says(self, word: str, written: str) -> None:
        assert quote(word) == written

    def test_dollars_stay_since_the_colon_switches_variables_off(self) -> None:
        text = unit(command=("/usr/bin/env", "$HOME")).text()
        assert lines_of(text, "ExecStart") == [':/usr/bin/env "$HOME"']


class TestUnit:
    def test_runs_as_a_user_watched_and_with_limits(self) -> None:
        text = unit(groups=("video",)).text()
        for key, value in (
            ("User", USER),
            ("SupplementaryGroups", "video"),
            ("Type", "notify"),
            ("WatchdogSec", "30"),
            ("Restart", "on-failure"),
            ("StartLimitBurst", "20"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("PrivateTmp", "yes"),
            ("ReadWritePaths", "/srv"),
            ("WantedBy", "multi-user.target"),
            ("StandardOutput", "null"),
        ):
            assert lines_of(text, key) == [value]

    @pytest.mark.parametrize("switch", ["PrivateDevices", "ProtectClock", "DevicePolicy", "DeviceAllow"])
    def test_leaves_the_cameras_in_reach(self, switch: str) -> None:
        assert lines_of(unit().text(), switch) == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"folder": Path("/tmp/here")},
            {"writable": (Path("/var/tmp"),)},
            {"command": ("/usr/bin/env", "--to=/tmp/out")},
            {"command": ("/tmp/venv/bin/python",)},
        ],
    )
    def test_shares_the_temporary_folder_where_it_is_used(self, changes: dict[str, object]) -> None:
        assert lines_of(unit(**changes).text(), "PrivateTmp") == []

    def test_waits_for_the_network_where_it_is_used(self) -> None:
        assert lines_of(unit().text(), "Wants") == []
        camera = unit(command=("/usr/bin/env", "--source", "rtsp://camera/1"))
        assert lines_of(camera.text(), "Wants") == ["network-online.target"]

    def test_for_ones_own_manager_names_no_user_and_fences_with_what_that_may(self) -> None:
        text = unit(user=None).text()
        for key in ("User", "ProtectSystem", "ReadWritePaths", "CacheDirectory"):
            assert lines_of(text, key) == []
        assert lines_of(text, "WantedBy") == ["default.target"]

    @pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-x", "door.service", "a@b", "x" * 200])
    def test_refuses_names_that_are_none(self, name: str) -> None:
        with pytest.raises(ServiceError, match="Invalid service name"):
            unit(name=name)

    @pytest.mark.parametrize(
        "changes",
        [
            {"folder": Path("here")},
            {"folder": Path("/srv/../etc")},
            {"folder": Path("/srv/a\nUser=root")},
            {"folder": Path("/srv/a\\")},
            {"writable": (Path("/srv/b "),)},
            {"command": ("env",)},
        ],
    )
    def test_refuses_paths_that_a_unit_cannot_hold(self, changes: dict[str, object]) -> None:
        with pytest.raises(ServiceError, match="cannot use the path"):
            unit(**changes)

    @pytest.mark.parametrize("mark", ["'", '"', "\\"])
    def test_refuses_programs_that_systemd_refuses(self, mark: str) -> None:
        with pytest.raises(ServiceError, match="systemd cannot run"):
            unit(command=(f"/srv/a{mark}b/python",))

    @pytest.mark.parametrize("user", ["root", "0"])
    def test_refuses_root(self, user: str) -> None:
        with pytest.raises(ServiceError, match="must not run as root"):
            unit(user=user)

    def test_writes_over_its_own_file_only(self, tmp_path: Path) -> None:
        target = tmp_path / "units" / "door.service"
        unit().write(target)
        unit(groups=("video",)).write(target)
        assert "SupplementaryGroups=video" in target.read_text()
        target.write_text("[Service]\nExecStart=/usr/sbin/sshd\n")
        with pytest.raises(ServiceError, match="not written by edge-runtime"):
            unit().write(target)
        assert "sshd" in target.read_text()
        with pytest.raises(OutputError, match="with sudo"):
            unit().write(target / "below" / "a file")

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd, which isn't installed")
    @pytest.mark.parametrize("kind", ["system", "user"])
    def test_systemd_finds_nothing_to_say_against_it(self, tmp_path: Path, kind: str) -> None:
        folder, place = tmp_path / 'a folder, 50% "odd" $HOME \\ of mine', tmp_path / "a 50% $HOME"
        folder.mkdir()
        place.mkdir()
        (place / "python 3").symlink_to(sys.executable)
        odd = (str(place / "python 3"), "-c", "a;\nb % $c", ";")
        plain = (sys.executable, "http://x")
        for number, made in enumerate(
            (
                unit(folder=folder, command=odd, writable=(place,)),
                unit(folder=tmp_path, command=plain, groups=("video",), journal_results=True),
            )
        ):
            target = tmp_path / f"door{number}.service"
            (made if kind == "system" else replace(made, user=None, groups=())).write(target)
            command = ["systemd-analyze", "verify", "--man=no", f"--{kind}", str(target)]
            environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
            about_it = [line for line in done.stderr.splitlines() if "door" in line]
            assert (done.returncode, about_it) == (0, []), done.stderr


class TestCommand:
    @pytest.fixture(autouse=True)
    def _in_a_folder_with_a_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "model 1.tflite").write_bytes(b"a model")
        monkeypatch.chdir(tmp_path)

    def test_prints_the_unit_with_absolute_paths(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], systemd_words: Callable[[str], list[str]]
    ) -> None:
        (tmp_path / "out").mkdir()
        arguments = ["--name", "door", "--user", USER, "--to", "-", "out/../model 1.tflite"]
        options = ["--source", "clip 50%.mp4", "--to", "out/door.jsonl"]
        assert main(["install-service", *arguments, "--", *options]) == 0
        text = capsys.readouterr().out
        assert text.startswith(MARK)
        (command,) = lines_of(text, "ExecStart")
        python = str(Path(sys.executable).absolute())
        expected = [python, "-m", "edge_runtime", "run", str(tmp_path / "model 1.tflite"), *options]
        assert systemd_words(command.removeprefix(":")) == expected
        assert lines_of(text, "WorkingDirectory") == [str(tmp_path)]
        assert lines_of(text, "ReadWritePaths") == [f"{tmp_path} {tmp_path / 'out'}"]
        assert main(["install-service", *arguments, *options]) == 0  # the dashes may be left out
        assert capsys.readouterr().out == text

    def test_writes_a_file_and_says_what_comes_next(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "units" / "cam.service"
        arguments = ["--name", "cam", "--user", USER, "--to", str(target), "model 1.tflite"]
        assert main(["install-service", *arguments]) == 0
        out = capsys.readouterr().out
        assert f"sudo cp {target} /etc/systemd/system/cam.service" in out
        assert "sudo systemctl enable --now cam" in out
        assert target.read_text().startswith(MARK)

    def test_for_ones_own_manager(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
        assert main(["install-service", "--user-unit", "model 1.tflite"]) == 0
        assert "systemctl --user enable --now edge-runtime" in capsys.readouterr().out
        assert (tmp_path / "settings/systemd/user/edge-runtime.service").exists()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--user", "root", "model 1.tflite"], "must not run as root"),
            (["--user", "no-such-user", "model 1.tflite"], "sudo useradd"),
            (["--user", USER, "none.tflite"], "none.tflite not found"),
            (["--user", USER, "--name", "a/b", "model 1.tflite"], "Invalid service name"),
            (["--user", USER, "--writable", "nowhere", "model 1.tflite"], "Create it first"),
            (["--user", USER, "model 1.tflite", "--to", "nowhere/x.jsonl"], "Create it first"),
        ],
    )
    def test_says_in_a_line_what_is_wrong(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["install-service", "--to", "-", *arguments]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert words in line

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to name somebody else")
    @pytest.mark.parametrize("sudo_user", [None, "root"])
    def test_root_alone_is_asked_for_a_user(
        self, sudo_user: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("SUDO_USER", raising=False)
        if sudo_user:
            monkeypatch.setenv("SUDO_USER", sudo_user)
        assert main(["install-service", "--to", "-", "model 1.tflite"]) == 1
        assert "--user" in capsys.readouterr().err
        monkeypatch.setenv("SUDO_USER", USER)
        assert main(["install-service", "--to", "-", "model 1.tflite"]) == 0
        assert lines_of(capsys.readouterr().out, "User") == [USER]

    def test_options_that_run_does_not_take_are_told_now(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as end:
            main(["install-service", "--user", USER, "model 1.tflite", "--no-such-option"])
        assert end.value.code == 2
        assert "--no-such-option" in capsys.readouterr().err
