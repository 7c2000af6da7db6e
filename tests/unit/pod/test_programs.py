"""The commands that start the in-pod programs say exactly what the programs read."""

from __future__ import annotations

from hashlib import sha256

from executor.pod import programs

SUPERVISOR = ["/driver/tools/busybox", "sh", "/driver/tools/supervisor"]


def test_a_script_is_sent_with_its_length_and_digest() -> None:
    payload = b"{logins}echo hello\n"
    command = programs.run_command(
        stage="build_script-x", payload=payload, logins=8, shell="sh", output_limit=1000, umask="0022"
    )
    digest = sha256(payload).hexdigest()
    assert command == [*SUPERVISOR, "run", "build_script-x", "19", digest, "8", "sh", "1000", "0022", "0"]


def test_how_much_a_script_used_is_told_on_demand() -> None:
    given = {"stage": "s", "payload": b"", "logins": 0, "shell": "sh", "output_limit": 1, "umask": "0022"}
    assert programs.run_command(**given, measured=True) == [*programs.run_command(**given)[:-1], "1"]  # type: ignore[arg-type]


def test_a_script_is_followed_from_a_byte_on() -> None:
    assert programs.follow_command(stage="s", offset=7) == [*SUPERVISOR, "follow", "s", "7"]
    assert programs.follow_command(stage="s", offset=7, until_end_of_file=True) == [*SUPERVISOR, "drain", "s", "7"]


def test_a_script_is_stopped_with_a_grace() -> None:
    assert programs.stop_command(stage="s", grace=10, offset=7) == [*SUPERVISOR, "stop", "s", "10", "7"]


def test_no_script_of_an_author_appears_in_a_command_line() -> None:
    """Command lines are readable by every process of the node, and bounded by the kernel (MAX_ARG_STRLEN)."""
    payload = b"export PASSWORD=s3cret\n" * 100_000
    command = programs.run_command(stage="s", payload=payload, logins=0, shell="sh", output_limit=1, umask="0022")
    assert "s3cret" not in " ".join(command)


def test_the_install_command_carries_every_program_with_its_text() -> None:
    command = programs.install_command({"flags.default": "--a\n"})
    assert command[:3] == ["/bin/busybox", "sh", "-c"]
    assert command[5] == ""
    names, texts = command[6::2], command[7::2]
    assert names == ["supervisor", "executor", "logins.awk", "dockerfile.awk", "helper/gitlab-runner", "flags.default"]
    assert texts[0].startswith("#!/driver/tools/busybox sh\n")
    assert texts[-1] == "--a\n"


def test_no_word_of_a_command_is_longer_than_the_kernel_takes() -> None:
    # Linux MAX_ARG_STRLEN: 32 pages of 4 KiB.
    assert all(len(word.encode()) < 128 * 1024 for word in programs.install_command({}))
