"""Keys for one job: for one tenant's folder, as long as the job, and never the reason that a build fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from executor.cache import sts
from executor.cache.bucket import BucketFailed
from tests.support.tenants import CACHE, tenant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.settings.model import Tenant

ROLE = "arn:aws:iam::123456789012:role/layer-cache"
GIVEN = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAGIVEN</AccessKeyId><SecretAccessKey>given-secret</SecretAccessKey><SessionToken>given-token</SessionToken>
<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
REFUSED = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>"


class Sts:
    """A server of STS that gives everybody the same keys, or refuses."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer = (200, GIVEN)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append({key: values[0] for key, values in parse_qs(body).items()})
                status, text = outer.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    """The server, and static keys to ask it with."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAASKER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "asker")
    running = Sts()
    yield running
    running.close()


def asking(server: Sts, **more: Any) -> Tenant:
    cache = CACHE | {"credentials": "sts", "role": ROLE, "sts_endpoint": server.url} | more
    return tenant(cache=cache, timeouts={"schedule": "10m", "start": "10m", "after_job": "20m"})


def test_keys_are_for_the_tenants_folder_and_last_as_long_as_the_job_and_its_wait(server: Sts) -> None:
    keys = sts.assume(asking(server), session="kaniko-job-7/a b", seconds=3600, read_only=False)
    assert (keys.access, keys.secret, keys.token) == ("ASIAGIVEN", "given-secret", "given-token")
    assert "given-secret" not in repr(keys)
    (asked,) = server.asked
    assert (asked["RoleArn"], asked["RoleSessionName"]) == (ROLE, "kaniko-job-7-a-b")
    assert asked["DurationSeconds"] == str(3600 + 1800)
    objects, listing = json.loads(asked["Policy"])["Statement"]
    assert objects["Resource"] == "arn:aws:s3:::layers/layer-cache/tenant-a/*"
    assert set(objects["Action"]) == {"s3:GetObject", "s3:PutObject"}
    assert listing["Condition"]["StringLike"]["s3:prefix"] == ["layer-cache/tenant-a", "layer-cache/tenant-a/*"]


def test_keys_of_a_job_that_may_only_read_cannot_write(server: Sts) -> None:
    sts.assume(asking(server), session="kaniko-job-7", seconds=60, read_only=True)
    (asked,) = server.asked
    assert json.loads(asked["Policy"])["Statement"][0]["Action"] == ["s3:GetObject"]
    assert int(asked["DurationSeconds"]) >= 900


def test_the_policy_is_as_long_as_sts_takes_and_of_the_roles_part_of_aws(server: Sts) -> None:
    long = {"bucket": "b" * 63, "prefix": "p" * 200, "role": "arn:aws-cn:iam::1:role/r"}
    text = sts.policy(asking(server, **long).cache, "p" * 200 + "/" + "t" * 40, read_only=False)
    assert len(text) <= 2048
    assert "arn:aws-cn:s3:::" in text


@pytest.mark.parametrize("seconds", [43_201, 10**6])
def test_a_job_that_outlasts_all_keys_gets_none(server: Sts, seconds: int) -> None:
    with pytest.raises(BucketFailed, match="last as long as this job"):
        sts.assume(asking(server), session="kaniko-job-7", seconds=seconds, read_only=False)
    assert server.asked == []


def test_role_chaining_gives_an_hour_at_the_most(server: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-a-role")
    sts.assume(asking(server), session="kaniko-job-7", seconds=3000, read_only=False)
    assert server.asked[0]["DurationSeconds"] == "3600"
    with pytest.raises(BucketFailed) as refused:
        sts.assume(asking(server), session="kaniko-job-7", seconds=3601, read_only=False)
    assert "role chaining" in refused.value.why


def test_doctor_hears_of_role_chaining_before_a_long_job_does(server: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sts.check(asking(server)) == sts.Findings()
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-a-role")
    found = sts.check(asking(server))
    assert found.problem == ""
    assert "role chaining" in found.warnings[0]


def test_a_refusal_is_told_in_stss_own_words(server: Sts) -> None:
    server.answer = (403, REFUSED)
    with pytest.raises(BucketFailed) as refused:
        sts.assume(asking(server), session="kaniko-job-7", seconds=60, read_only=False)
    assert refused.value.why == "AccessDenied: not yours"
    assert sts.check(asking(server)).problem == "STS refused keys for the layer cache. AccessDenied: not yours"


def test_a_server_that_is_down_is_told_at_once(server: Sts) -> None:
    down = asking(server)
    server.close()
    with pytest.raises(BucketFailed, match="could not be asked"):
        sts.assume(down, session="kaniko-job-7", seconds=60, read_only=False)


def test_nobody_to_ask_as_is_told(server: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketFailed, match="no keys to ask STS"):
        sts.assume(asking(server, sts_profile="nobody"), session="kaniko-job-7", seconds=60, read_only=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(BucketFailed, match="no keys to ask STS"):
        sts.assume(asking(server), session="kaniko-job-7", seconds=60, read_only=False)
