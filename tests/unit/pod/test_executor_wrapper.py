"""What stands at /kaniko/executor: the tenant's flags around the author's, the cache when it answers, merged logins.

Runs the wrapper with real busybox; the real executor is a program that writes down what it got.
"""

from __future__ import annotations

import http.server
import json
import random
import re
import shutil
import socket
import subprocess
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.container import busybox

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL = """\
#!/bin/sh
[ "$1" != version ] || [ -z "$VERSION" ] || { echo "Kaniko version :  $VERSION"; exit 0; }
printf '%s\\0' "$@" > "$RECORD/arguments"
cat /proc/$$/environ > "$RECORD/environment"
echo the real one
exit 7
"""


class Kaniko:
    """A build container's files, and calls of its executor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder / "tools"
        self.logins = folder / "logins"
        self.author = folder / "author"
        for made in (self.tools, self.logins, self.author):
            made.mkdir()
        (self.tools / "busybox").symlink_to(busybox())
        for program in ("executor", "logins.awk", "dockerfile.awk"):
            shutil.copy(str(files("executor.pod") / "shell" / program), self.tools)
        self.flags(default=[], cache=[], locked=[])
        (self.tools / "features").write_text("")
        self.real = folder / "real"
        self.real.write_text(REAL)
        self.real.chmod(0o755)
        self.stderr = ""

    def flags(self, **lists: list[str]) -> None:
        """Write the flag files as the tools container does."""
        for name, flags in lists.items():
            (self.tools / f"flags.{name}").write_text("".join(f"{flag}\n" for flag in flags))

    def call(self, *arguments: str, **environment: str) -> list[str]:
        """Call the wrapper; returns the arguments that the real executor got."""
        done = subprocess.run(
            [self.tools / "busybox", "sh", self.tools / "executor", *arguments],
            env={
                "PATH": "/usr/bin:/bin",
                "RECORD": str(self.folder),
                "KANIKO_DRIVER_TOOLS": str(self.tools),
                "KANIKO_DRIVER_LOGINS": str(self.logins),
                "KANIKO_DRIVER_EXECUTOR": str(self.real),
                "DOCKER_CONFIG": str(self.author),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.stderr = done.stderr
        assert (done.returncode, done.stdout) == (7, "the real one\n"), done.stderr
        *got, last = (self.folder / "arguments").read_text().split("\0")
        assert last == ""
        return got if arguments or got != [""] else []

    def environment(self) -> dict[str, str]:
        """Return the variables that the real executor got at the last call."""
        entries = (self.folder / "environment").read_text().split("\0")
        return dict(entry.split("=", 1) for entry in entries if entry)

    def merged(self) -> dict[str, object]:
        """Return the logins that the real executor saw at the last call."""
        folder = Path(self.environment()["DOCKER_CONFIG"])
        merged: dict[str, object] = json.loads((folder / "config.json").read_text())
        return merged


@pytest.fixture
def kaniko(tmp_path: Path) -> Kaniko:
    return Kaniko(tmp_path)


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


class Cache:
    """A cache registry that answers."""

    def __init__(self, port: int = 0) -> None:
        self.server = http.server.HTTPServer(("127.0.0.1", port), Registry)
        self.asked: list[str] = []
        self.server.asked = self.asked  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v2/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def cache() -> Iterator[Cache]:
    running = Cache()
    yield running
    running.close()


class TestFlags:
    def test_defaults_come_first_the_authors_next_the_locked_ones_last(self, kaniko: Kaniko) -> None:
        kaniko.flags(default=["--a=1", "--b=2"], locked=["--z=9", "--y=8"])
        got = kaniko.call("--context", "/builds", "--a=author", "--z=author")
        assert got == ["--a=1", "--b=2", "--context", "/builds", "--a=author", "--z=author", "--z=9", "--y=8"]
        assert kaniko.stderr == ""

    def test_the_authors_words_are_kept_exactly(self, kaniko: Kaniko) -> None:
        kaniko.flags(default=["--default"], locked=["--locked"])
        some = random.Random(11)
        pieces = [
            "",
            " ",
            "a",
            "--build-arg",
            "\n",
            "\t",
            "'",
            '"',
            "\\",
            "$(id)",
            "`id`",
            "$HOME",
            "*",
            "ä漢",
            "\\n",
            "--",
            "-",
        ]
        for _ in range(25):
            words = ["".join(some.choices(pieces, k=some.randrange(4))) for _ in range(some.randrange(6))]
            assert kaniko.call("--first", *words) == ["--default", "--first", *words, "--locked"]

    def test_the_operators_words_are_kept_exactly(self, kaniko: Kaniko) -> None:
        flags = ["--label=a b  c ", "--x=$(id)`id`$HOME", "--y='\"\\n\\", "--z=*", "  --w=ä"]
        kaniko.flags(default=flags, locked=flags)
        assert kaniko.call("--a") == [*flags, "--a", *flags]

    def test_the_real_one_is_found_where_kanikos_folder_was_moved(self, kaniko: Kaniko) -> None:
        kaniko.real = kaniko.real.rename(kaniko.tools / "executor.real")
        assert kaniko.call("--x", KANIKO_DRIVER_EXECUTOR="/kaniko/executor.real") == ["--x"]

    @pytest.mark.parametrize("arguments", [("version",), ("help", "--x"), ()])
    def test_what_is_no_build_passes_untouched(self, kaniko: Kaniko, arguments: tuple[str, ...]) -> None:
        kaniko.flags(default=["--default"], locked=["--locked"])
        assert kaniko.call(*arguments, DOCKER_AUTH_CONFIG="{}") == list(arguments)
        assert kaniko.environment()["DOCKER_AUTH_CONFIG"] == "{}"
        assert kaniko.environment()["DOCKER_CONFIG"] == str(kaniko.author)


class TestIgnored:
    """What the context's .dockerignore leaves out, Kaniko 1.24 leaves out of the keys of other stages, too."""

    LINE = "!^/kanik?"

    @pytest.fixture
    def context(self, tmp_path: Path) -> Path:
        folder = tmp_path / "context"
        (folder / "sub").mkdir(parents=True)
        (folder / ".dockerignore").write_text("*\n!src")
        (folder / "sub" / ".dockerignore").write_text("sub\n")
        return folder

    def read(self, kaniko: Kaniko) -> list[str] | None:
        path = kaniko.folder / "Dockerfile.dockerignore"
        return path.read_text().split() if path.exists() else None

    @pytest.mark.parametrize("form", ["--context={}", "--context {}", "-c {}", "-c={}", "-c{}", "--context=dir://{}"])
    def test_a_line_about_kanikos_own_folder_comes_last(self, kaniko: Kaniko, context: Path, form: str) -> None:
        kaniko.call("--x", *form.format(context).split())
        assert self.read(kaniko) == ["*", "!src", self.LINE]
        assert (context / ".dockerignore").read_text() == "*\n!src"

    def test_the_sub_path_counts_as_kaniko_counts_it(self, kaniko: Kaniko, context: Path) -> None:
        kaniko.call(f"--context=dir://{context}", "--context-sub-path=sub")
        assert self.read(kaniko) == ["sub", self.LINE]
        kaniko.call(f"--context={context}", "--context-sub-path", "sub")
        assert self.read(kaniko) == ["*", "!src", self.LINE]

    @pytest.mark.parametrize("other", ["tar://stdin", "git://host/x", "/none", ""])
    def test_another_context_of_a_later_call_knows_nothing_of_it(
        self, kaniko: Kaniko, context: Path, other: str
    ) -> None:
        kaniko.call(f"--context={context}")
        kaniko.call(f"--context={other}")
        assert self.read(kaniko) is None

    def test_what_lies_in_a_folder_that_is_left_out_anywhere_is_left_out_as_well(
        self, kaniko: Kaniko, context: Path
    ) -> None:
        lines = ["*.log", "# **/x", "**/tmp", "!**/kept/ ", "a/**/b", "c/**", "**/*", "**/.*.env"]
        (context / ".dockerignore").write_text("\r\n".join(lines))
        kaniko.call(f"--context={context}")
        added = {"**/tmp": "**/tmp/**", "!**/kept/": "!**/kept//**", "a/**/b": "a/**/b/**", "**/.*.env": "**/.*.env/**"}
        wanted = [part for line in map(str.strip, lines) for part in (line, added.get(line, ""))]
        written = (kaniko.folder / "Dockerfile.dockerignore").read_text().splitlines()
        assert [line for line in written if line] == [*filter(None, wanted), self.LINE]

    def test_a_dockerfile_with_an_ignore_file_of_its_own_goes_along_with_that(
        self, kaniko: Kaniko, context: Path
    ) -> None:
        (context / "app.Dockerfile").write_text("FROM x\n")
        (context / "app.Dockerfile.dockerignore").write_text("*\n!app\n")
        got = kaniko.call(f"--context={context}", "--dockerfile=app.Dockerfile")
        own = kaniko.folder / "Dockerfile.driver"
        assert got == [f"--context={context}", "--dockerfile=app.Dockerfile", f"--dockerfile={own}"]
        assert own.read_text() == "FROM x\n"
        assert (kaniko.folder / "Dockerfile.driver.dockerignore").read_text().split() == ["*", "!app", self.LINE]
        assert self.read(kaniko) is None
        assert kaniko.call(f"--context={context}") == [f"--context={context}"]
        assert not own.exists()

    def test_a_folder_of_kanikos_that_is_elsewhere_is_left_alone(self, kaniko: Kaniko, context: Path) -> None:
        kaniko.call(f"--context={context}", "--kaniko-dir=/k")
        assert self.read(kaniko) is None


class TestLabels:
    """With a cache Kaniko resolves them twice (GoogleContainerTools/kaniko issue 1644)."""

    def build(self, kaniko: Kaniko, cache: Cache, label: str, *words: str, **environment: str) -> bool:
        """Build with a label in the Dockerfile; returns whether the layer cache was used."""
        kaniko.flags(cache=["--cache=true"])
        folder = kaniko.folder / "labels"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(f"FROM x\nLABEL {label}\n")
        got = kaniko.call(f"--context={folder}", *words, KANIKO_DRIVER_CACHE_URL=cache.url, **environment)
        assert ("labels/Dockerfile:2: building without the layer cache" in kaniko.stderr) == ("--cache=true" not in got)
        return "--cache=true" in got

    def test_one_that_would_be_spoilt_is_built_without_the_cache(self, kaniko: Kaniko, cache: Cache) -> None:
        assert not self.build(kaniko, cache, 'a="It\'s"')
        assert self.build(kaniko, cache, 'a="It is"')

    @pytest.mark.parametrize("value", ["It's", 'a "b"', "a\\b", "$5"])
    def test_what_a_variable_brings_counts(self, kaniko: Kaniko, cache: Cache, value: str) -> None:
        for words in (["--build-arg", f"A={value}"], [f"--build-arg=A={value}"]):
            assert not self.build(kaniko, cache, "a=$A", *words)
        assert not self.build(kaniko, cache, "a=$A", "--build-arg", "A", A=value)
        assert self.build(kaniko, cache, "a=b", "--build-arg", f"A={value}")
        assert self.build(kaniko, cache, "a=$A", "--build-arg", "A=plain", "--label", f"b={value}")

    def test_a_build_that_does_not_use_our_cache_is_left_alone(self, kaniko: Kaniko, cache: Cache) -> None:
        (kaniko.folder / "Dockerfile").write_text("LABEL a='$b'\n")
        for word in ("--cache-repo=x", "--cache=false"):
            assert kaniko.call(word, KANIKO_DRIVER_CACHE_URL=cache.url) == [word]
        assert kaniko.call("--x") == ["--x"]
        assert kaniko.stderr == ""


class TestContext:
    def test_one_that_is_a_symbolic_link_is_named_by_what_it_leads_to(self, kaniko: Kaniko) -> None:
        (kaniko.folder / "real folder").mkdir()
        link = kaniko.folder / "link"
        link.symlink_to("real folder")
        kaniko.flags(locked=["--locked"])
        for word in (f"--context={link}", f"--context={link}/", f"-c=dir://{link}"):
            assert kaniko.call(word) == [word, f"--context={kaniko.folder}/real folder", "--locked"]


class TestHereDocuments:
    TEXT = "FROM x\nRUN <<EOF\necho\nEOF\nADD <<EOF /x\nEOF\n"

    @pytest.fixture
    def context(self, tmp_path: Path) -> Path:
        folder = tmp_path / "context"
        (folder / "sub").mkdir(parents=True)
        for name in ("Dockerfile", "sub/Dockerfile", "sub/other"):
            (folder / name).write_text(self.TEXT)
        return folder

    def lines(self, kaniko: Kaniko) -> list[str]:
        return [line.removeprefix("kaniko-driver: ").partition(": ")[0] for line in kaniko.stderr.splitlines()]

    def test_each_is_told_with_its_place_and_what_to_write_instead(self, kaniko: Kaniko, context: Path) -> None:
        kaniko.call(f"--context={context}")
        run, add = kaniko.stderr.splitlines()
        assert run.startswith("kaniko-driver: context/Dockerfile:2: Kaniko 1.24 leaves out the here-document")
        assert "of this RUN and does not fail" in run
        assert "Join the commands by &&" in run
        assert add.startswith("kaniko-driver: context/Dockerfile:5: ")
        assert "of this ADD: no file is made" in add

    @pytest.mark.parametrize(
        "words",
        ["-f sub/other", "-f=sub/other", "-fsub/other", "--dockerfile sub/other", "--dockerfile=sub/other"],
    )
    def test_the_dockerfile_is_the_one_that_kaniko_takes(self, kaniko: Kaniko, context: Path, words: str) -> None:
        kaniko.call(f"--context={context}", "-f", "none", *words.split())
        assert self.lines(kaniko) == ["context/sub/other:2", "context/sub/other:5"]
        kaniko.call(f"--context={context}", "-f", str(context / "sub/Dockerfile"))
        assert self.lines(kaniko)[0] == "context/sub/Dockerfile:2"
        kaniko.call(f"--context=dir://{context}", "--context-sub-path=sub", "-f", "other")
        assert self.lines(kaniko)[0] == "context/sub/other:2"

    @pytest.mark.parametrize(
        "words", ["-f none", "-f https://host/Dockerfile", "--context=git://host/x", "-f /dev/null"]
    )
    def test_one_that_is_not_there_is_kanikos_affair(self, kaniko: Kaniko, context: Path, words: str) -> None:
        kaniko.call(f"--context={context}", *words.split())
        assert kaniko.stderr == ""

    def test_a_wall_of_them_is_cut(self, kaniko: Kaniko, context: Path) -> None:
        (context / "Dockerfile").write_text("FROM x\n" + 50 * "RUN <<E\nE\n")
        kaniko.call(f"--context={context}")
        assert len(self.lines(kaniko)) == 5

    def test_mounts_and_checksums_are_told_once(self, kaniko: Kaniko, context: Path) -> None:
        run, add = "RUN --mount=type=cache,target=/c true\n", "ADD --checksum=sha256:0 http://x /\n"
        (context / "Dockerfile").write_text("FROM x\n" + 3 * (run + add) + self.TEXT)
        kaniko.call(f"--context={context}")
        assert self.lines(kaniko) == [f"context/Dockerfile:{line}" for line in (2, 3, 9, 12)]
        assert "mounts nothing for RUN --mount" in kaniko.stderr
        assert "does not look at the --checksum" in kaniko.stderr

    @pytest.mark.parametrize(("version", "told"), [("v1.24.0", 2), ("v1.9.0", 2), ("v1.25.0", 0), ("v1.28.3", 0)])
    def test_a_kaniko_that_knows_them_is_not_told_of(
        self, kaniko: Kaniko, context: Path, version: str, told: int
    ) -> None:
        kaniko.call(f"--context={context}", VERSION=version)
        assert len(self.lines(kaniko)) == told


class TestFeatures:
    def test_kaniko_gets_those_that_the_job_does_not_set_itself(self, kaniko: Kaniko) -> None:
        (kaniko.tools / "features").write_text("FF_KANIKO_A=true\nFF_KANIKO_B=true\nFF_KANIKO_C=false\n")
        kaniko.call("--x", FF_KANIKO_A="0", FF_KANIKO_B="")
        found = {name: on for name, on in kaniko.environment().items() if name.startswith("FF_")}
        assert found == {"FF_KANIKO_A": "0", "FF_KANIKO_B": "", "FF_KANIKO_C": "false"}

    def test_they_are_no_matter_for_what_is_no_build(self, kaniko: Kaniko) -> None:
        (kaniko.tools / "features").write_text("FF_KANIKO_A=true\n")
        kaniko.call("version")
        assert "FF_KANIKO_A" not in kaniko.environment()


class TestCache:
    FLAGS = ("--cache=true", "--cache-repo=127.0.0.1:5407/layers")

    @pytest.fixture(autouse=True)
    def flags(self, kaniko: Kaniko) -> None:
        kaniko.flags(default=["--default"], cache=list(self.FLAGS))

    def test_it_is_used_when_it_answers(self, kaniko: Kaniko, cache: Cache) -> None:
        got = kaniko.call("--context=/b", KANIKO_DRIVER_CACHE_URL=cache.url)
        assert got == ["--default", *self.FLAGS, "--context=/b"]
        assert cache.asked == ["/v2/"]
        assert kaniko.stderr == ""

    def test_a_tenant_without_one_is_not_held_up(self, kaniko: Kaniko) -> None:
        assert kaniko.call("--context=/b") == ["--default", "--context=/b"]
        assert kaniko.stderr == ""

    def test_one_that_is_still_starting_is_waited_for(self, kaniko: Kaniko) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        late: list[Cache] = []
        timer = threading.Timer(0.5, lambda: late.append(Cache(port)))
        timer.start()
        try:
            got = kaniko.call("--x", KANIKO_DRIVER_CACHE_URL=f"http://127.0.0.1:{port}/v2/")
        finally:
            timer.join()
            late[0].close()
        assert got == ["--default", *self.FLAGS, "--x"]

    def test_a_closed_port_is_given_up_in_time_with_one_line(self, kaniko: Kaniko) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.given_up(kaniko, f"http://127.0.0.1:{port}/v2/")

    def test_a_port_that_accepts_and_says_nothing_is_given_up_in_time_with_one_line(self, kaniko: Kaniko) -> None:
        with socket.create_server(("127.0.0.1", 0)) as hole:
            self.given_up(kaniko, f"http://127.0.0.1:{hole.getsockname()[1]}/v2/")

    def given_up(self, kaniko: Kaniko, url: str) -> None:
        got = kaniko.call("--x", KANIKO_DRIVER_CACHE_URL=url, KANIKO_DRIVER_CACHE_SECONDS="1")
        assert got == ["--default", "--x"]
        assert kaniko.stderr == "kaniko-driver: the layer cache did not answer within 1 s; building without it\n"

    @pytest.mark.parametrize("own", ["--cache=false", "--cache-repo=registry.example.com/cache", "--cache-repo"])
    def test_an_author_who_wants_another_or_none_is_not_held_up(self, kaniko: Kaniko, cache: Cache, own: str) -> None:
        got = kaniko.call("--context=/b", own, KANIKO_DRIVER_CACHE_URL=cache.url)
        assert got == ["--default", "--context=/b", own]
        assert cache.asked == []
        assert kaniko.stderr == ""

    @pytest.mark.parametrize(
        "own",
        [
            ("--single-snapshot",),
            ("--snapshot-mode=redo",),
            ("--snapshot-mode", "redo"),
            ("--snapshotMode=redo",),
            ("--use-new-run",),
            ("--ignore-path=/a", "--ignore-path", "/b"),
            ("--ignore-var-run=false",),
        ],
    )
    def test_flags_that_shape_layers_have_a_cache_of_their_own(
        self, kaniko: Kaniko, cache: Cache, own: tuple[str, ...]
    ) -> None:
        """Kaniko's keys leave them out: an image of other flags would be wrong, without a word."""
        repositories = [
            self.repository(kaniko.call("--context=/b", *flags, KANIKO_DRIVER_CACHE_URL=cache.url))
            for flags in (own, (*own, "--destination=x"), (*own, "--ignore-path=/c"))
        ]
        assert re.fullmatch(r"127\.0\.0\.1:5407/layers/[0-9a-f]{16}", repositories[0])
        assert repositories[1] == repositories[0] != repositories[2]

    def test_the_operators_flags_that_shape_layers_count_as_well(self, kaniko: Kaniko, cache: Cache) -> None:
        found = set()
        for lists in ({}, {"default": ["--snapshot-mode=redo"]}, {"locked": ["--ignore-path=/a"]}):
            kaniko.flags(**{"default": [], "locked": [], **lists})
            found.add(self.repository(kaniko.call("--x", KANIKO_DRIVER_CACHE_URL=cache.url)))
        assert len(found) == len(("none", "default", "locked"))

    def test_a_repository_that_the_operator_names_keeps_its_name(self, kaniko: Kaniko, cache: Cache) -> None:
        kaniko.flags(locked=["--cache-repo=registry.example.com/cache"])
        got = kaniko.call("--single-snapshot", KANIKO_DRIVER_CACHE_URL=cache.url)
        assert self.repository(got) == "registry.example.com/cache"

    def test_other_flags_share_one(self, kaniko: Kaniko, cache: Cache) -> None:
        own = ("--build-arg", "A=--single-snapshot", "--label=x=--ignore-path", "--target=--x", "--cleanup")
        assert self.repository(kaniko.call(*own, KANIKO_DRIVER_CACHE_URL=cache.url)) == "127.0.0.1:5407/layers"

    def repository(self, arguments: list[str]) -> str:
        return [flag for flag in arguments if flag.startswith("--cache-repo=")][-1].partition("=")[2]

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
    def test_the_jobs_proxy_is_not_asked_for_it(self, kaniko: Kaniko, cache: Cache, name: str) -> None:
        got = kaniko.call("--x", KANIKO_DRIVER_CACHE_URL=cache.url, **{name: "http://127.0.0.1:1"})
        assert got == ["--default", *self.FLAGS, "--x"]
        assert kaniko.environment()[name] == "http://127.0.0.1:1"

    def test_the_bound_is_four_seconds_where_nobody_says_otherwise(self) -> None:
        text = (files("executor.pod") / "shell" / "executor").read_text()
        assert "cache_seconds=${KANIKO_DRIVER_CACHE_SECONDS:-4}" in text


class TestLogins:
    def given(self, kaniko: Kaniko, **hosts: str) -> None:
        (kaniko.logins / "given.json").write_text(self.config(**hosts))

    def config(self, **hosts: str) -> str:
        return json.dumps({"auths": {host: {"auth": login} for host, login in hosts.items()}})

    def test_the_authors_file_wins_over_the_variable_over_what_was_given(self, kaniko: Kaniko) -> None:
        self.given(kaniko, a="given", b="given", c="given")
        (kaniko.author / "config.json").write_text(self.config(c="author", d="author"))
        kaniko.call("--x", DOCKER_AUTH_CONFIG=self.config(b="variable", c="variable", e="variable"))
        assert kaniko.merged() == json.loads(self.config(a="given", b="variable", c="author", d="author", e="variable"))

    def test_kaniko_reads_the_merged_file_and_nothing_before_it(self, kaniko: Kaniko) -> None:
        self.given(kaniko, a="given")
        kaniko.call("--x", DOCKER_AUTH_CONFIG=self.config(b="variable"))
        assert "DOCKER_AUTH_CONFIG" not in kaniko.environment()
        assert kaniko.environment()["DOCKER_CONFIG"] == str(kaniko.logins / "docker")

    def test_other_settings_of_the_author_are_kept(self, kaniko: Kaniko) -> None:
        self.given(kaniko, a="given")
        (kaniko.author / "config.json").write_text('{"credHelpers": {"x": "ecr-login"}}')
        kaniko.call("--x")
        assert kaniko.merged() == {"credHelpers": {"x": "ecr-login"}, "auths": {"a": {"auth": "given"}}}

    def test_a_second_call_sees_what_changed_since_the_first(self, kaniko: Kaniko) -> None:
        self.given(kaniko, a="given")
        kaniko.call("--x", DOCKER_AUTH_CONFIG=self.config(b="variable"))
        (kaniko.author / "config.json").write_text(self.config(c="author"))
        kaniko.call("--x")
        assert kaniko.merged() == json.loads(self.config(a="given", c="author"))

    def test_without_any_logins_kaniko_gets_an_empty_file(self, kaniko: Kaniko) -> None:
        kaniko.call("--x")
        assert kaniko.merged() == {"auths": {}}
        assert kaniko.stderr == ""

    @pytest.mark.parametrize(
        ("flags", "variables"),
        [(("--kaniko-dir=/k",), {}), (("--kaniko-dir", "/k"), {}), ((), {"KANIKO_DIR": "/k"})],
    )
    def test_they_move_with_kanikos_folder(
        self, kaniko: Kaniko, flags: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        """Kaniko copies its own folder to the other place, and then reads logins from there alone."""
        self.given(kaniko, a="given")
        kaniko.call("--x", DOCKER_AUTH_CONFIG=self.config(b="variable"))
        moved = kaniko.folder / ".docker" / "config.json"
        assert not moved.exists()
        kaniko.call("--x", *flags, DOCKER_AUTH_CONFIG=self.config(b="variable"), **variables)
        assert json.loads(moved.read_text()) == json.loads(self.config(a="given", b="variable"))
        assert moved.stat().st_mode & 0o077 == 0

    def test_nobody_else_in_the_image_can_read_them(self, kaniko: Kaniko) -> None:
        self.given(kaniko, a="given")
        kaniko.call("--x", DOCKER_AUTH_CONFIG=self.config(b="variable"))
        for path in (kaniko.logins / "docker" / "config.json", kaniko.logins / "variable.json"):
            assert path.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("broken", ["{", "[]", '{"auths": 5}', "s3cret", '{"auths": {"a": {"auth": "s3cret"}'])
    def test_a_broken_file_of_the_author_is_left_to_kaniko_with_one_line(self, kaniko: Kaniko, broken: str) -> None:
        self.given(kaniko, a="given")
        (kaniko.author / "config.json").write_text(broken)
        assert kaniko.call("--x") == ["--x"]
        assert kaniko.environment()["DOCKER_CONFIG"] == str(kaniko.author)
        assert kaniko.stderr == (
            f"kaniko-driver: registry logins could not be merged; Kaniko gets {kaniko.author}/config.json alone\n"
        )

    def test_a_broken_variable_hides_the_other_logins_no_more_than_it_must(self, kaniko: Kaniko) -> None:
        (kaniko.author / "config.json").write_text(self.config(c="author"))
        kaniko.call("--x", DOCKER_AUTH_CONFIG="no json")
        assert kaniko.environment()["DOCKER_CONFIG"] == str(kaniko.author)
        assert "could not be merged" in kaniko.stderr

    def test_a_container_without_a_place_for_logins_keeps_its_own(self, kaniko: Kaniko) -> None:
        kaniko.logins.rmdir()
        kaniko.call("--x", DOCKER_AUTH_CONFIG="{}")
        assert kaniko.environment()["DOCKER_AUTH_CONFIG"] == "{}"
        assert kaniko.environment()["DOCKER_CONFIG"] == str(kaniko.author)
