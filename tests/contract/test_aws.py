"""Roles, STS and lifecycle rules, with a server that has them (moto) and the real cache registry."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from executor.cache import registry, sts
from executor.cache.use import Use
from tests.support import aws as server
from tests.support import cache_registry
from tests.support.cache_registry import serving
from tests.support.tenants import MINIMAL, tenant, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.contract.conftest import Attempt
    from tests.support.aws import Aws

BUCKET = "layers-of-all"
OBJECTS = f"arn:aws:s3:::{BUCKET}"
LAYER = b"layer" * 30_000
KEYS = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), server.KEYS, strict=True))
RULE = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with server.aws(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture
def aws(running: Aws) -> Aws:
    """A server with an empty bucket and nothing else."""
    running.forget()
    where = {"LocationConstraint": server.REGION}
    running.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    return running


class TestLifecycle:
    @pytest.fixture
    def settings(self, aws: Aws, tmp_path: Path) -> str:
        where = f"region = '{server.REGION}'\nendpoint = '{aws.url}'\npath_style = true\n"
        table = f"[cache]\nmode = 'read-write'\nbucket = '{BUCKET}'\nsecret = 's'\n{where}"
        return write_settings(tmp_path / "settings", tenant=MINIMAL + table)

    def report(self, attempt: Attempt, settings: str, *more: str) -> tuple[int, dict[str, Any]]:
        words = ("cache", "lifecycle", "tenant-a", "--settings", settings, "--output", "json", *more)
        done = attempt.stage(*words, **KEYS)
        return done.code, json.loads(done.out)["tenants"][0]

    def rules(self, aws: Aws) -> dict[str, dict[str, Any]]:
        found = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        return {rule["ID"]: rule for rule in found}

    def write(self, aws: Aws, *rules: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [*rules]})

    def test_one_rule_is_written_beside_those_of_others(self, attempt: Attempt, aws: Aws, settings: str) -> None:
        self.write(aws, RULE)
        assert self.report(attempt, settings)[1]["up_to_date"] is False
        assert self.rules(aws).keys() == {"logs"}
        code, report = self.report(attempt, settings, "--apply")
        assert (code, report["written"]) == (0, True)
        own = self.rules(aws)["kaniko-driver-tenant-a"]
        assert self.rules(aws).keys() == {"logs", "kaniko-driver-tenant-a"}
        assert own["Filter"] == {"Prefix": "layer-cache/tenant-a/"}
        assert own["Expiration"]["Days"] > 28
        assert self.report(attempt, settings)[1]["up_to_date"] is True

    @pytest.mark.parametrize(
        "other",
        [
            RULE | {"Filter": {"Prefix": ""}},
            RULE | {"Filter": {"Prefix": "layer-cache/"}},
            RULE | {"Filter": {"Prefix": "layer-cache/tenant-a/protected/"}, "Expiration": {"Date": "2030-01-01"}},
            RULE | {"Filter": {}, "Transitions": [{"Days": 10, "StorageClass": "GLACIER"}], "Expiration": {"Days": 99}},
        ],
        ids=["whole bucket", "too early", "on a day", "to a glacier"],
    )
    def test_nothing_is_written_where_a_rule_would_break_a_live_prefix(
        self, attempt: Attempt, aws: Aws, settings: str, other: dict[str, Any]
    ) -> None:
        self.write(aws, other)
        code, report = self.report(attempt, settings, "--apply")
        assert (code, report["written"]) == (1, False)
        assert report["in_the_way"]
        assert self.rules(aws).keys() == {"logs"}

    def test_old_versions_are_let_go_where_the_bucket_keeps_them(
        self, attempt: Attempt, aws: Aws, settings: str
    ) -> None:
        aws.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        assert self.report(attempt, settings, "--apply")[0] == 0
        assert self.rules(aws)["kaniko-driver-tenant-a"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


@pytest.fixture(scope="module")
def program() -> Path:
    """The cache registry."""
    return cache_registry.program()


class TestKeysOfRoles:
    """The cache registry with keys that are not its own; every request must be signed by them, and allowed to them."""

    OWN = (f"{OBJECTS}/layer-cache/tenant-a/*",)

    @pytest.fixture
    def role(self, aws: Aws) -> str:
        return aws.role("layer-cache", ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], [OBJECTS, *self.OWN])

    def stores(
        self, program: Path, aws: Aws, spool: Path, keys: Mapping[str, str], *, of: str = "tenant-a", unsigned: int = 0
    ) -> bool:
        """Push a layer by one cache registry and look for it by another; tells whether it is there.

        `unsigned`: so many requests of each are taken as they are, before those to S3.
        """
        settings = tenant(cache=self.table(aws)).cache
        text = registry.configuration(
            settings, Use(mode="read-write", prefix=f"layer-cache/{of}"), tenant=of, ca="", pulse="", idle=900
        )
        for part in ("one", "other"):
            configuration = json.loads(text) | {"listen": "127.0.0.1:0", "spool": str(spool / part)}
            aws.guard(after=unsigned)
            with serving(program, {"LAYER_CACHE": json.dumps(configuration), **keys}) as running:
                if part == "one":
                    running.push("key", LAYER)
                else:
                    return running.layer("key") == LAYER
        raise AssertionError

    def table(self, aws: Aws) -> dict[str, Any]:
        return {
            "mode": "read-write",
            "bucket": BUCKET,
            "region": server.REGION,
            "endpoint": aws.url,
            "path_style": True,
            "secret": "s",
        }

    def test_sts_gives_a_job_keys_that_the_server_takes(
        self, program: Path, aws: Aws, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        access, secret = aws.driver()
        aws.guard()
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", access)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        of_sts = {"credentials": "sts", "role": role, "sts_endpoint": aws.url}
        asking = tenant(cache=self.table(aws) | of_sts)
        assert sts.check(asking) == sts.Findings()
        given = sts.assume(asking, session="kaniko-job-7", seconds=3600, read_only=False)
        keys = {"AWS_ACCESS_KEY_ID": given.access, "AWS_SECRET_ACCESS_KEY": given.secret}
        assert self.stores(program, aws, tmp_path, keys | {"AWS_SESSION_TOKEN": given.token})
        assert not self.stores(program, aws, tmp_path, keys | {"AWS_SESSION_TOKEN": "of somebody else"})
        assert not self.stores(program, aws, tmp_path, keys | {"AWS_SESSION_TOKEN": given.token}, of="tenant-b")

    def test_a_projected_token_is_changed_for_keys_of_the_role(
        self, program: Path, aws: Aws, role: str, tmp_path: Path
    ) -> None:
        """As with IRSA: the registry itself asks STS, by the token that the kubelet has written."""
        token = tmp_path / "token"
        token.write_text("a token of the kubelet's")
        keys = {
            "AWS_ROLE_ARN": role,
            "AWS_ROLE_SESSION_NAME": "kaniko-job-7",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": aws.url,
        }
        # Nobody signs the request with the token; moto, which does not know that, looks at signatures after it.
        assert self.stores(program, aws, tmp_path, keys, unsigned=1)
        assert not self.stores(program, aws, tmp_path, keys, of="tenant-b", unsigned=1)

    def test_an_agent_on_the_node_gives_keys_for_a_token(
        self, program: Path, aws: Aws, role: str, tmp_path: Path
    ) -> None:
        """As with EKS Pod Identity, whose agent this one stands for."""
        given = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="pod", DurationSeconds=900)["Credentials"]
        (tmp_path / "token").write_text("a token of the kubelet's")
        with agent(given, "a token of the kubelet's") as address:
            keys = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": address,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            }
            assert self.stores(program, aws, tmp_path, keys)
            (tmp_path / "token").write_text("another one")
            assert not self.stores(program, aws, tmp_path, keys)


@contextmanager
def agent(given: dict[str, Any], token: str) -> Iterator[str]:
    """Answer as the agent does; source: the interface of container credentials in AWS' libraries."""
    answer = {
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "Token": given["SessionToken"],
        "Expiration": given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right = self.headers["Authorization"] == token
            body = json.dumps(answer).encode() if right else b"{}"
            self.send_response(200 if right else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/v1/credentials"
        running.shutdown()
        thread.join()
