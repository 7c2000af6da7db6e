"""An image is the same whatever the layer cache held: files, modes, owners, links, attributes and configuration."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from testbed import kaniko_log, layer_cache, layout
from testbed.gitserver import commit
from testbed.joblog import plain
from testbed.jobs import JobSpec
from tests.support.image_content import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.image_content import Files

    from .conftest import Author

TENANT = layout.TENANTS[0]
LIBRARY = f"{layout.REGISTRY}/library"
BUSYBOX, DEBIAN = f"{LIBRARY}/busybox:1", f"{LIBRARY}/debian:bookworm"
IMAGE = f"{layout.REGISTRY}/content/image"
EXECUTOR = '/kaniko/executor --context "$CI_PROJECT_DIR" --cleanup'
"""Several builds in one pod: each begins and ends with an empty root."""
# No VOLUME in them: Kaniko makes its folder only where it caches.

STAGES = f"""\
ARG BASE={BUSYBOX}
FROM ${{BASE}} AS tools
RUN mkdir -p /out/bin && echo tool > /out/bin/tool && chmod 4755 /out/bin/tool
RUN ln -s tool /out/bin/alias && ln /out/bin/tool /out/bin/twin
FROM ${{BASE}} AS data
COPY data /srv/0
RUN for n in 1 2 3; do head -c 100000 /dev/zero | tr '\\0' $n > /srv/$n; done
FROM scratch AS unused
COPY data /unused
FROM ${{BASE}}
LABEL "one label"="a value with spaces" other=2
COPY --from=tools /out/bin /usr/local/bin/
COPY --from=data --chown=7:8 /srv/1 /srv/2 /srv/
COPY --from={BUSYBOX} /etc/passwd /etc/passwd.other
ENV WHERE=/srv MORE="$WHERE/more"
WORKDIR $WHERE
HEALTHCHECK --interval=5s CMD test -e /srv/1
EXPOSE 8080/tcp
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/tool"]
CMD ["--help"]
"""
FILES = f"""\
FROM {BUSYBOX} AS seen
COPY . /context
RUN find /context | sort > /listing && ! grep left-out /listing
FROM {DEBIAN}
RUN rm -rf /usr/share/doc /etc/issue && mkdir /usr/share/doc && echo new > /usr/share/doc/new
RUN mkdir /gone && echo a > /gone/a && rm -r /gone
RUN true
RUN rm /usr/share/doc/new && ln -s /etc/hostname /usr/share/doc/new
COPY data /usr/share/doc/data
RUN rm /usr/share/doc/data
COPY --from=seen /listing /listing
ADD archive.tar /archive
RUN echo "app:x:1000:1000::/home/app:/bin/sh" >> /etc/passwd && mkdir -p /home/app && chown 1000:1000 /home/app
USER app
WORKDIR /home/app
RUN id -u > who && mkdir deep && umask 077 && echo secret > deep/file
USER root
RUN chmod 2770 /home/app/deep && touch -d "2001-01-01 00:00" /old
SHELL ["/bin/sh", "-e", "-c"]
RUN false || echo the shell is another > /shell
RUN head -c 60000000 /dev/zero > /zeros && for n in $(seq 500); do echo $n > /srv/$n; done
USER 1000:1000
"""
ARGUMENTS = f"""\
FROM {BUSYBOX}
ARG VERSION=none
ARG TOKEN
ENV VERSION=${{VERSION}}-env
RUN echo "$VERSION" > /version
RUN test -n "$TOKEN" && echo "${{#TOKEN}}" > /length
ONBUILD RUN echo triggered > /triggered
ONBUILD COPY data /triggered-data
"""
CHILD = f"FROM {IMAGE}:none\nRUN cat /version /triggered > /both\n"

CHANGING = f"""\
FROM {BUSYBOX} AS build
COPY data /data
RUN mkdir /out && cp /data /out/data
FROM {BUSYBOX}
ARG A
ARG OWNER
COPY $A /source/
COPY data /target/$A
COPY --chown=$OWNER data /owned
COPY folder /folder
COPY --from=build /out/data /final
RUN cp /final /made-of-it
WORKDIR /work/$A
COPY data here
RUN mkdir -p /cache && cp here /cache/data
"""
SHAPED = f"""\
FROM {BUSYBOX}
RUN mkdir /kept /ignored && echo 1 > /kept/1 && echo 1 > /ignored/1
RUN echo aaa > /same && touch -d "2001-01-01 00:00" /same
RUN echo bbb > /same && touch -d "2001-01-01 00:00" /same
"""


@pytest.fixture(autouse=True)
def _empty(_bed: None) -> Iterator[None]:
    layer_cache.empty(TENANT)
    yield
    layer_cache.empty(TENANT)


@pytest.mark.parametrize(
    ("dockerfile", "flags"),
    [(STAGES, ""), (FILES, ""), (ARGUMENTS, "--build-arg VERSION=7 --build-arg TOKEN=s3cret"), (CHILD, "")],
    ids=["stages", "files", "arguments", "child"],
)
def test_an_image_from_a_full_cache_is_the_one_built_without_any(author: Author, dockerfile: str, flags: str) -> None:
    # Kaniko takes brackets in the path of a context for a pattern.
    author = replace(author, project="group/content")
    put(author, Dockerfile=dockerfile, data="some data\n", **{".dockerignore": "*.log\n.git\n!kept.log\n**/tmp\n"})
    put(author, **{"a.log": "", "kept.log": "", "a/b/tmp/left-out": ""})
    with tarfile.open(author.files / "archive.tar", "w") as archive:
        archive.add(author.files / "data", arcname="inside/data")
    kinds = {"none": "--cache=false", "cold": "", "warm": ""}
    log = builds(author, *(f"{EXECUTOR} {flags} {own} --destination {IMAGE}:{kind}" for kind, own in kinds.items()))
    assert "s3cret" not in log.replace("TOKEN=s3cret", "")
    assert kaniko_log.hits(log.rpartition("$ /kaniko/executor")[2]) == kaniko_log.cacheable(dockerfile)
    for kind in ("cold", "warm"):
        assert different(content(f"{IMAGE}:none"), content(f"{IMAGE}:{kind}")) == {}


@pytest.mark.parametrize("ignore_file", [".dockerignore", "Dockerfile.dockerignore"])
def test_what_has_changed_is_never_taken_from_the_cache(author: Author, ignore_file: str) -> None:
    """Each of these has a key that leaves the change out, were layers of COPY kept (Kaniko 1.24)."""
    author = replace(author, project="group/changing")
    put(author, Dockerfile=CHANGING, data="before\n", one="1", two="1", **{"folder/name": "x"})
    put(author, **{ignore_file: "*\n!data\n!one\n!two\n!folder\n"})
    builds(author, f"{EXECUTOR} --build-arg A=one --build-arg OWNER=1000 --destination {IMAGE}:before")
    (author.files / "folder" / "name").rename(author.files / "folder" / "other-name")
    put(author, data="after\n")
    second = f"{EXECUTOR} --build-arg A=two --build-arg OWNER=2000 --destination {IMAGE}"
    builds(author, f"{second}:warm", f"{second}:none --cache=false")
    files = content(f"{IMAGE}:warm")[0]
    assert {"/source/two", "/target/two", "/work/two/here", "/folder/other-name", "/cache/data"} <= files.keys()
    assert different(content(f"{IMAGE}:none"), content(f"{IMAGE}:warm")) == {}


def test_what_kaniko_would_spoil_without_a_word_is_right_or_told(author: Author) -> None:
    """With a cache it resolves quotes of labels twice: the first would be {a: 1}, the second an error."""
    author = replace(author, project="group/spoilt")
    text = f'FROM {BUSYBOX}\nLABEL json=\'{{"a": 1}}\'\nLABEL text="It\'s"\nRUN <<EOF\ntouch /x\nEOF\n'
    put(author, Dockerfile=text)
    log = builds(author, f"{EXECUTOR} --destination {IMAGE}:spoilt")
    files, configuration = content(f"{IMAGE}:spoilt")
    assert configuration["Labels"] == {"json": '{"a": 1}', "text": "It's"}
    assert "Dockerfile:2: building without the layer cache" in log
    assert "/x" not in files
    assert "Dockerfile:4: Kaniko 1.24 leaves out the here-document (<<) of this RUN" in log


def test_flags_that_shape_layers_never_meet_layers_of_other_flags(author: Author) -> None:
    """Kaniko's keys leave them out: with one cache for all, each of these images lacks files or has old ones."""
    put(author, Dockerfile=SHAPED)
    # What is ignored is not cleaned up either, so that one comes last.
    flags = {"plain": "", "timed": "--snapshot-mode=time", "ignoring": "--ignore-path=/ignored"}
    last = "--single-snapshot"
    builds(author, *(f"{EXECUTOR} {own} --destination {IMAGE}:{kind}" for kind, own in flags.items()))
    log = builds(author, f"{EXECUTOR} --destination {IMAGE}:again", f"{EXECUTOR} {last} --destination {IMAGE}:single")
    assert kaniko_log.hits(log) == kaniko_log.cacheable(SHAPED)
    plain = content(f"{IMAGE}:plain")
    assert different(plain, content(f"{IMAGE}:again")) == different(plain, content(f"{IMAGE}:single")) == {}
    assert {"/ignored", "/ignored/1"} == different(plain, content(f"{IMAGE}:ignoring")).keys()
    # Of two files of one time, this way of looking takes the first.
    assert {"/same"} == different(plain, content(f"{IMAGE}:timed")).keys()


def put(author: Author, **files: str) -> None:
    """Write files."""
    for name, text in files.items():
        path = author.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def builds(author: Author, *script: str) -> str:
    """Run a job that must succeed; returns its log."""
    commit(author.coordinator.repository(author.project), author.files)
    result = author.submits(JobSpec(TENANT.name, script=script)).wait()
    log = plain(result.trace)
    assert result.state == "success", log
    return log


def different(one: tuple[Files, dict[str, Any]], other: tuple[Files, dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return what two images do not have in common."""
    first, second = ({**files, "configuration": (config,)} for files, config in (one, other))
    paths = first.keys() | second.keys()
    return {path: (first.get(path), second.get(path)) for path in paths if first.get(path) != second.get(path)}
