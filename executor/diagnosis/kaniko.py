"""A hint under Kaniko's own last lines, for failures of Kaniko that people meet again and again.

Pure. The texts are those of Kaniko 1.24 and its forks, and of go-containerregistry, which they carry; each was provoked
with the real one (tests/unit/diagnosis/data/kaniko). What a RUN instruction printed is the author's own affair, and
gets a hint only where its words leave no doubt.
"""

from __future__ import annotations

from executor.categories import Category
from executor.diagnosis.model import OPERATOR
from executor.values import dataclass


@dataclass(frozen=True)
class Hint:
    """What to do about a failure of Kaniko."""

    category: str
    text: str


_PUSH = ("error checking push permissions", "failed to push to destination", "error pushing image")
_BASE = ("unable to complete operation after", "error building image: get ")
_REFUSED = ("unauthorized", "denied", "authentication required", "403 forbidden", "401 ")
_UNREACHABLE = (
    "no such host",
    "connection refused",
    "i/o timeout",
    "no route to host",
    "server misbehaving",
    "connection reset",
    "deadline exceeded",
)

_NOT_IN_CONTEXT = (
    "A file that COPY or ADD names is not in the build context. Is it committed or made by an earlier step, is "
    "--context the right folder, does .dockerignore leave it out?"
)

# Each row: words of which one must stand in a line, further ones of which one must stand in it too, and the hint. The
# first row wins.
_TABLE: tuple[tuple[tuple[str, ...], tuple[str, ...], str, str], ...] = (
    (
        ("toomanyrequests", "429 too many requests"),
        (*_PUSH, *_BASE, "extracting fs from image"),
        Category.KANIKO_RATE_LIMITED,
        (
            "The registry allows no more pulls for now. Log in to it (DOCKER_AUTH_CONFIG), or run the job again later; "
            f"{OPERATOR} can set a mirror."
        ),
    ),
    (
        ("image not found on any configured mapped registries",),
        (),
        Category.KANIKO_BASE_IMAGE_NOT_FOUND,
        (
            "None of the mirrors that the image of a FROM instruction is taken from has given it, and this runner asks "
            f"no other registry. The warnings above say why: correct the image's name, or ask {OPERATOR} to look at "
            "the mirror and its login."
        ),
    ),
    (
        ("x509:", "tls: "),
        (*_PUSH, *_BASE),
        Category.KANIKO_TLS,
        (
            "Kaniko does not trust the registry's certificate. Give it the authority with "
            f"--registry-certificate HOST=FILE, or ask {OPERATOR} to set it for all jobs."
        ),
    ),
    (
        _PUSH,
        _REFUSED,
        Category.KANIKO_PUSH_DENIED,
        (
            "The registry refuses the push. Is --destination right, and does the job log in to that registry with the "
            "right to push (DOCKER_AUTH_CONFIG, /kaniko/.docker/config.json)? GitLab's own registry needs no login."
        ),
    ),
    (
        (*_PUSH, *_BASE),
        _UNREACHABLE,
        Category.KANIKO_REGISTRY_UNREACHABLE,
        (
            "The registry cannot be reached from the job pod. Is its name right? If so, "
            f"{OPERATOR} must allow the way to it ([network]) or look at the registry."
        ),
    ),
    (
        ("blob_unknown", "blob unknown"),
        ("extracting fs from image", "error pushing image", "failed to push"),
        Category.KANIKO_LOST_CACHE_LAYER,
        (
            "The layer cache names a layer that it no longer has. Run the job again with --cache=false; if it stays, "
            f"{OPERATOR} must look at the cache's storage."
        ),
    ),
    (
        _BASE,
        ("manifest_unknown", "manifest unknown", "name_unknown", "404 not found"),
        Category.KANIKO_BASE_IMAGE_NOT_FOUND,
        "The image that FROM or COPY --from names does not exist: correct its name or tag in the Dockerfile.",
    ),
    (
        _BASE,
        _REFUSED,
        Category.KANIKO_BASE_IMAGE_DENIED,
        (
            "The registry refuses the image that FROM or COPY --from names, or has none of this name. For a private "
            "one the job must log in to its registry (DOCKER_AUTH_CONFIG, /kaniko/.docker/config.json); a stage must "
            "have its name (AS) above."
        ),
    ),
    (
        ("no space left on device", "disk quota exceeded"),
        (),
        Category.KANIKO_DISK_FULL,
        (
            "The disk is full. Kaniko needs two to three times the size of the image: use fewer or smaller layers, set "
            f"KUBERNETES_EPHEMERAL_STORAGE_LIMIT where the tenant allows it, or ask {OPERATOR} for more."
        ),
    ),
    (
        ("timed out snapshotting fs",),
        (),
        Category.KANIKO_SNAPSHOT_TIMEOUT,
        (
            "Looking through the file system took longer than SNAPSHOT_TIMEOUT_DURATION allows. Fewer files or "
            "--snapshot-mode=redo make it faster; the variable makes it patient."
        ),
    ),
    (
        ("starting command: fork/exec ",),
        ("no such file or directory",),
        Category.KANIKO_NO_SHELL,
        (
            "The image has no such shell or program: RUN needs the shell that SHELL or the image names. Use exec form, "
            'RUN ["program", "argument"], with a program that is in the image.'
        ),
    ),
    (
        ("exec format error",),
        (),
        Category.KANIKO_NO_SHELL,
        "A program in the image is for another kind of processor: check the platform of the FROM image.",
    ),
    (
        ("resolving dockerfile path", "resolving source context", "please specify a path to the build context"),
        (),
        Category.KANIKO_NO_SUCH_FILE,
        (
            "Kaniko finds no Dockerfile or no build context: --context is a folder, usually $CI_PROJECT_DIR, and "
            "--dockerfile a path below it."
        ),
    ),
    (
        ("resolved envs is empty",),
        (),
        Category.KANIKO_DOCKERFILE,
        (
            "COPY and ADD need a file of the build context or of a stage: this Kaniko takes no here-document (<<), and "
            "a variable that names the file must not be empty."
        ),
    ),
    # Where Kaniko unpacks a context that is an archive or git.
    (("failed to get fileinfo for /kaniko/buildcontext",), (), Category.KANIKO_NO_SUCH_FILE, _NOT_IN_CONTEXT),
    (
        # Where it keeps what it takes along from stages and images.
        ("failed to get fileinfo for /kaniko/",),
        (),
        Category.KANIKO_NO_SUCH_FILE,
        (
            "A file that COPY --from names is not in that stage or image. Its path begins behind the word after "
            "/kaniko/ in the line above, which is the stage's number or the image's name."
        ),
    ),
    (
        ("failed to get fileinfo for", "failed to get files used from context", "copy failed"),
        (),
        Category.KANIKO_NO_SUCH_FILE,
        _NOT_IN_CONTEXT,
    ),
    (
        ("downloading remote source file",),
        (),
        Category.KANIKO_DOWNLOAD_FAILED,
        (
            "ADD could not fetch its address. Is it right, and does it need no login? If so, "
            f"{OPERATOR} must allow the way to it ([network])."
        ),
    ),
    (
        ("path does not lead to local tar archive",),
        (),
        Category.KANIKO_DOCKERFILE,
        (
            "Kaniko unpacks archives that ADD names only as plain tar, gzip or bzip2. Use COPY and unpack the file in "
            "a RUN, or pack it anew."
        ),
    ),
    (
        ("could not parse reference",),
        (),
        Category.KANIKO_DOCKERFILE,
        (
            "FROM, or COPY --from, names no image or stage that could exist. Where it is an ARG: that needs a default "
            "above FROM, or a --build-arg that is not empty."
        ),
    ),
    (
        ("getting tag for destination", "is not a valid target build stage"),
        (),
        Category.KANIKO_FLAGS,
        (
            "--destination must be an image's name, in lower case and without spaces (is a variable in it empty?), and "
            "--target a stage of the Dockerfile."
        ),
    ),
    (
        ("dockerfile parse error",),
        ("unknown flag:",),
        Category.KANIKO_DOCKERFILE,
        (
            "This Kaniko knows no such flag of the instruction in that line: it is one of newer Dockerfiles. Do "
            "without it; for --exclude, .dockerignore may serve."
        ),
    ),
    (
        ("getting permissions from chmod",),
        (),
        Category.KANIKO_DOCKERFILE,
        (
            "--chmod takes a number such as 0755, and of that the last three digits: use RUN chmod for u+x and its "
            "like, and for setuid, setgid and sticky bits."
        ),
    ),
    (
        ("could not save file: copying file",),
        ("/proc/", "/sys/", "/dev/"),
        Category.KANIKO_DOCKERFILE,
        (
            "COPY --from of a whole stage (/) would take along what is mounted there, such as /proc: name its folders "
            "(COPY --from=build /usr /usr), or begin the stage with FROM build."
        ),
    ),
    (
        ("unexpected end of statement while looking for matching",),
        (),
        Category.KANIKO_DOCKERFILE,
        "A quote or brace of the instruction that the line quotes is not closed.",
    ),
    (
        ("parsing dockerfile", "dockerfile parse error"),
        (),
        Category.KANIKO_DOCKERFILE,
        "The Dockerfile has a mistake; the line above names where.",
    ),
    (
        (
            "unknown flag:",
            "unknown shorthand flag",
            'invalid argument "',
            "you must provide --destination",
            "cache flags invalid",
        ),
        (),
        Category.KANIKO_FLAGS,
        (
            "Kaniko does not accept its arguments: the line that begins with Error, above its list of flags, says "
            "which. Flags differ between versions of Kaniko; `/kaniko/executor version` prints the one that runs."
        ),
    ),
    (
        ("operation not permitted",),
        (": chown /", ": chmod /", ": lchown /", ": mknod /", "setxattr"),
        Category.KANIKO_NOT_PERMITTED,
        f"The container lacks a capability that the image needs: {OPERATOR} must look at [pod] of the tenant.",
    ),
)


def hint(tail: str) -> Hint | None:
    """Return what is known of a failure by the last lines of a script that called Kaniko; None for a new one."""
    lines = tail.lower().splitlines()
    for some, more, category, text in _TABLE:
        if any(_has(line, some) and (not more or _has(line, more)) for line in lines):
            return Hint(category, text)
    return None


def _has(line: str, words: tuple[str, ...]) -> bool:
    return any(word in line for word in words)
