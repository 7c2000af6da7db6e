"""The command line of the test bed, `scripts/bed`: words for people around `bed`, `cluster`, `nodes` and `status`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from testbed import bed, cluster, layout, nodes, programs, status
from testbed.errors import BedError
from testbed.paths import FilePath, callers_folder
from testbed.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

HELP = f"""
A real two-node Kubernetes cluster on this machine, with a registry and an S3 server, for tests, the demo and trying
things out. It needs Linux and root; it needs no Docker, no systemd, and pulls no image.

The first `up` builds everything from source and takes a quarter of an hour on two processors; what it built stays in
{layout.CACHE}, and later ones take ten to twenty seconds.

All of it lives in the network namespace {layout.NAMESPACE}: this machine's own interfaces, routes and packet filter
stay untouched, and nothing in the bed can be reached from outside. `enter` runs a command inside.

\b
Try:
  scripts/bed up
  scripts/bed kubectl get pods --all-namespaces
  scripts/bed enter curl -s http://{layout.REGISTRY}/v2/_catalog
  scripts/bed down

Settings, from the environment: KANIKO_BED_STATE (where the running cluster keeps its data), KANIKO_BED_CACHE (what was
built), KANIKO_BED_DEBIAN_MIRROR, and KANIKO_BED_NAME, by which a second bed can run beside the first.
"""


class PassOn(click.Command):
    """A command that takes every word after its name as it stands, options and `--` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words; the parser would eat some."""
        ctx.params["words"] = tuple(args)
        return []


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Choose a command."""


@main.command()
def up() -> None:
    """Bring the bed up, or what is missing of it.

    May be repeated at any time, also after it was interrupted: it goes on where it stopped, and takes less than a
    second when everything runs. Returns when both nodes take pods.
    """
    progress = Progress()
    bed.up(progress)
    progress.say(f"the bed is up: {len(layout.NODES)} nodes Ready, registry {layout.REGISTRY}, S3 {layout.S3_URL}")


@main.command()
@click.option("--purge", is_flag=True, help=f"Also delete the cluster's data ({layout.STATE}): pods, keys, buckets.")
@click.option("--cache", is_flag=True, help="With --purge: also delete what was built; the next `up` builds it again.")
def down(*, purge: bool, cache: bool) -> None:
    """Take the bed down: no process, mount, interface or control group stays.

    The data stays, so that the next `up` resumes the same cluster, unless --purge is given.
    """
    if cache and not purge:
        raise click.UsageError("--cache deletes what was built for the bed and goes with --purge")
    progress = Progress()
    left = bed.down(progress)
    if left:
        raise BedError(f"could not be removed: {', '.join(left)}")
    if purge:
        with progress.step(f"deleting {layout.STATE}{' and what was built' if cache else ''}"):
            bed.purge(built=cache)
    progress.say("the bed is down")


@main.command("status")
def show_status() -> None:
    """Show what runs. The exit code is 0 only when everything does and both nodes are Ready."""
    now = status.look()
    for part in now.parts:
        print(part.line)
    print(f"{'together':20}{'':12}{now.memory / status.MIB:6.0f} MiB")
    if now.trouble:
        print(now.trouble)
    if not now.healthy:
        sys.exit(1)


@main.command(cls=PassOn)
def kubectl(words: tuple[str, ...]) -> None:
    """Run kubectl as the cluster's administrator: `kubectl get pods -A`."""
    _become_inside(cluster.kubectl_command(*words))


@main.command(cls=PassOn)
def node(words: tuple[str, ...]) -> None:
    """Run a command in a node: `node node1 ctr -n k8s.io images ls`."""
    if not words or words[0].startswith("-"):
        raise click.UsageError(f"say which node ({', '.join(each.name for each in layout.NODES)}), and a command")
    _become((*nodes.enter_command(words[0]), *(words[1:] or ("sh",))))


@main.command(cls=PassOn)
def enter(words: tuple[str, ...]) -> None:
    """Run a command of this machine inside the bed's network namespace; a shell when none is given."""
    _become_inside((*layout.ENTER, *(words or (os.environ.get("SHELL", "sh"),))))


@main.command()
@click.argument("files", nargs=-1, required=True, type=FilePath(exists=True, dir_okay=False))
def load(files: tuple[Path, ...]) -> None:
    """Load image archives (as `docker save` or `skopeo copy` write them) into both nodes.

    Pods find them under the names in the archive, with `imagePullPolicy: IfNotPresent` or `Never`.
    """
    progress = Progress()
    for file in files:
        for each in layout.NODES:
            with progress.step(f"loading {file} into {each.name}"):
                nodes.load_file(each, file)


@main.command()
def env() -> None:
    """Print settings for a shell: `eval "$(scripts/bed env)"`.

    KUBECONFIG of the administrator, the built programs (kubectl, crane, …) on PATH, and BED_ENTER, which goes before
    a command that has to talk to the bed: `$BED_ENTER kubectl get nodes`.
    """
    folders = ":".join(str(program.path.parent) for program in programs.ALL)
    print(f"export KUBECONFIG='{layout.ADMIN_KUBECONFIG}'")
    print(f"export BED_ENTER='{' '.join(layout.ENTER)}'")
    print(f"export BED_REGISTRY='{layout.REGISTRY}' BED_S3='{layout.S3_URL}'")
    print(f"export PATH='{folders}':\"$PATH\"")


def _become_inside(command: tuple[str, ...]) -> NoReturn:
    if not layout.NAMESPACE_PATH.exists():
        raise BedError("the bed is down: `scripts/bed up` starts it")
    # Files that the command names are the person's.
    os.chdir(callers_folder())
    _become(command)


def _become(command: tuple[str, ...]) -> NoReturn:
    os.execvp(command[0], command)  # noqa: S606 - what the person asked for, word by word


def run() -> None:
    """Run the command line; errors meant for people are shown without a traceback."""
    try:
        main(prog_name="scripts/bed")
    except BedError as error:
        print(f"bed: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
