"""dockerfile.awk finds the here-documents that BuildKit's parser finds and no others, and labels that a cache spoils.

What is expected was compared with moby/buildkit v0.22.0, which Kaniko 1.24 parses Dockerfiles with.
"""

from __future__ import annotations

import subprocess
from importlib.resources import files

import pytest

from tests.support.container import busybox

PROGRAM = str(files("executor.pod") / "shell" / "dockerfile.awk")


def found(dockerfile: str) -> list[str]:
    """Return LINE INSTRUCTION of each."""
    done = subprocess.run(
        [busybox(), "awk", "-f", PROGRAM], input=dockerfile.encode(), capture_output=True, check=True, timeout=60
    )
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    "instruction",
    [
        "RUN <<EOF",
        "run << EOF",
        "  RUN\tcat <<EOF > /file",
        "RUN cat <<'EOF' | sh",
        'RUN cat <<"EOF"',
        "RUN cat <<\\EOF",
        'RUN cat <<E"O"F',
        "RUN cat 3<<EOF",
        "RUN <<-EOF",
        "RUN --network=none <<EOF",
        'RUN echo "quoted <<X" <<EOF',
        "RUN [ -f x ] && cat <<EOF",
        "RUN true && \\\n  # a comment\n\n  cat <<EOF",
        "RUN true   \\  \n<<EOF",
    ],
)
def test_a_run_with_one_is_found_by_its_first_line(instruction: str) -> None:
    assert found(f"FROM x\n{instruction}\nRUN <<no\nEOF\nRUN true\n") == ["2 RUN"]


@pytest.mark.parametrize(
    "instruction",
    [
        'RUN echo "<<EOF"',
        "RUN echo '<<EOF'",
        "RUN echo \\<<EOF",
        "RUN cat<<EOF",
        "RUN cat <<<EOF",
        "RUN echo it's <<EOF",
        'RUN ["sh", "-c", "cat", "<<EOF"]',
        'COPY ["<<EOF", "/x"]',
        "ENV A=<<EOF",
        "LABEL a <<EOF",
        "# RUN <<EOF",
        "CMD cat <<EOF",
        "RUN echo a < b",
        # One that never ends is no here-document but a mistake, which Kaniko names.
        "RUN <<NEVER",
        "RUN echo $((1 << 2))",
    ],
)
def test_what_is_none_for_buildkit_is_none_here(instruction: str) -> None:
    assert found(f"FROM x\n{instruction}\nEOF\n") == []


def test_what_stands_in_one_is_no_instruction() -> None:
    text = "FROM x\nCOPY <<a <<b /x/\nRUN <<c\n a\na\nRUN <<d\nb\nADD <<c /y\nc\nONBUILD RUN <<e\ne\n"
    assert found(text) == ["2 COPY", "8 ADD", "10 ONBUILD RUN"]


def test_only_with_a_minus_sign_may_tabs_stand_before_the_end() -> None:
    assert found("RUN <<-E\n\t\tE\nRUN <<E\n\tE\nE\nRUN <<'E F'\nE F\n") == ["1 RUN", "3 RUN", "6 RUN"]


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        ("# escape=`\n", ["3 RUN"]),
        ("#syntax=docker/dockerfile:1\n# ESCAPE = ` \n", ["4 RUN"]),
        # Not at the top, or after a comment that is none: no directive, and the instruction has ended.
        ("# a comment\n# escape=`\n", []),
        ("\n# escape=`\n", []),
    ],
)
def test_the_escape_directive_decides_where_an_instruction_goes_on(first: str, lines: list[str]) -> None:
    assert found(f"{first}FROM x\nRUN true && `\n  cat <<EOF\nEOF\n") == lines


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert found("\ufeffFROM x\r\nRUN a \\\r\n <<EOF\r\nb\r\nEOF\r\nCOPY <<E /x\r\nE\r\n") == ["2 RUN", "6 COPY"]


@pytest.mark.parametrize("text", ["", "\n", "\\", "RUN \\", "RUN <<", 'RUN "', "RUN <<E", "\0\n", "RUN <<'\n"])
def test_odd_ends_are_no_error(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("LABEL a=b c='d e' \"f g\"=h", ""),
        ("label a=b\\ c", ""),
        ('LABEL description="It\'s great"', "LABEL"),
        ('LABEL json="{\\"a\\": 1}"', "LABEL"),
        ("LABEL json='{\"a\": 1}'", "LABEL"),
        ("LABEL path='$HOME'", "LABEL"),
        ("LABEL path=\\$HOME", "LABEL"),
        ('LABEL path="C:\\dir"', "LABEL"),
        ('LABEL a=b \\\n  c="it\'s"', "LABEL"),
        ("LABEL version=$VERSION", "LABEL$"),
        ('LABEL version="${VERSION}"', "LABEL$"),
        ("LABEL a=$A b='$B'", "LABEL"),
    ],
)
def test_a_label_is_found_that_would_not_bear_to_be_resolved_twice(label: str, kind: str) -> None:
    assert found(f"FROM x\n{label}\nENV a='$b'\n") == ([f"2 {kind}"] if kind else [])


def test_flags_that_kaniko_takes_and_does_not_obey_are_found() -> None:
    run = "RUN --network=none --mount=type=secret,id=a cat <<E\nE\n"
    assert found(f"FROM x\n{run}ADD --checksum=sha256:0 http://x /\nRUN a --mount=b\n") == [
        "2 MOUNT",
        "2 RUN",
        "4 CHECKSUM",
    ]
