"""Which pods are left over, judged by what they carry, and deleted only as they were seen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from executor.cluster import leftovers
from executor.cluster.api import Api
from executor.errors import ClusterRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.job import Connection
    from tests.support.api_server import ApiServer, Exchange

NOW = 1_800_000_000.0


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


def pod(
    name: str = "p", *, due: float | str | None = 0, deleted: float | None = None, attempt: str = ""
) -> dict[str, Any]:
    """Metadata of a pod that is due, or was deleted, so many seconds from now."""
    annotations = (
        {} if due is None else {"kaniko-driver/delete-after": due if isinstance(due, str) else str(int(NOW + due))}
    )
    labels = {"kaniko-driver/job": "7", **({"kaniko-driver/attempt": attempt} if attempt else {})}
    found: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "resourceVersion": "5", "labels": labels}
    return found | {"annotations": annotations} | ({} if deleted is None else {"deletionTimestamp": stamp(deleted)})


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (pod(due=-1), "deadline"),
        (pod(due=-1_000_000), "deadline"),
        (pod(due=1), ""),
        (pod(due=None), ""),
        (pod(due="soon"), ""),
        (pod(due="-5"), ""),
        # Somebody with the tenant's token wrote it.
        (pod(due="9" * 400), ""),
        (pod(due="9" * 5000), ""),
        (pod(due=100, attempt="mine"), "attempt"),
        (pod(due=100, attempt="another"), ""),
        # On its way: its kubelet still has time.
        (pod(due=-500, deleted=10), ""),
        (pod(due=-500, deleted=-100), ""),
        (pod(due=500, deleted=-121), "stuck"),
        (pod(due=500, attempt="mine", deleted=10), ""),
        ({"name": "p", "deletionTimestamp": "now"}, ""),
        ({"name": "p"}, ""),
    ],
)
def test_what_is_left_over(metadata: dict[str, Any], why: str) -> None:
    found = leftovers.of(metadata, NOW, attempt="mine")
    assert (found.why if found else "") == why


@pytest.fixture
def api(connection: Connection) -> Iterator[Api]:
    with Api(connection, patience=10, tries=1) as made:
        yield made


class Pages:
    """A server with some pages of pods."""

    def __init__(self, server: ApiServer, *pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.forgets = False
        self.asked: list[str] = []
        self.deletes: list[dict[str, Any]] = []
        self.answer_to_delete = 200
        server.answers = [self.answer]

    def answer(self, exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            self.deletes.append(exchange.body)
            exchange.refuse(self.answer_to_delete, "no", "Conflict") if self.answer_to_delete != 200 else exchange.json(
                200, {}
            )
            return
        query = dict(exchange.query)
        assert query["labelSelector"] == "kaniko-driver/tenant=tenant-a,kaniko-driver/job"
        self.asked.append(query.get("continue", ""))
        if query.get("continue") and self.forgets:
            self.forgets = False
            exchange.refuse(410, "The provided continue parameter is too old", "Expired")
            return
        number = int(query.get("continue") or 0)
        more = {"continue": str(number + 1)} if number + 1 < len(self.pages) else {}
        exchange.json(200, {"metadata": more, "items": [{"metadata": one} for one in self.pages[number]]})


def test_all_pages_are_looked_through_and_only_the_first_where_one_is_enough(server: ApiServer, api: Api) -> None:
    cluster = Pages(server, [pod("a", due="1")], [pod("b", due=None)], [pod("c", due="1")])
    assert [one.name for one in leftovers.found(api, "tenant-a")] == ["a", "c"]
    assert cluster.asked == ["", "1", "2"]
    assert [one.name for one in leftovers.found(api, "tenant-a", pages=1)] == ["a"]
    assert cluster.asked[3:] == [""]


def test_a_list_that_the_server_forgot_is_begun_anew(server: ApiServer, api: Api) -> None:
    cluster = Pages(server, [pod("a", due="1")], [pod("b", due="1")])
    cluster.forgets = True
    assert [one.name for one in leftovers.found(api, "tenant-a")] == ["a", "a", "b"]
    assert cluster.asked == ["", "1", "", "1"]


def test_one_is_deleted_only_as_it_was_seen(server: ApiServer, api: Api) -> None:
    cluster = Pages(server)
    one = leftovers.of(pod(due=-5), NOW)
    assert one is not None
    assert leftovers.delete(api, one)
    assert cluster.deletes == [{"preconditions": {"uid": "uid-p", "resourceVersion": "5"}}]


@pytest.mark.parametrize("status", [404, 409])
def test_what_somebody_else_deleted_or_kept_is_left_alone(server: ApiServer, api: Api, status: int) -> None:
    cluster = Pages(server)
    cluster.answer_to_delete = status
    one = leftovers.of(pod(due=-5), NOW)
    assert one is not None
    assert not leftovers.delete(api, one)
    assert len(cluster.deletes) == 1


def test_a_pod_whose_node_is_gone_goes_without_its_kubelet(server: ApiServer, api: Api) -> None:
    cluster = Pages(server)
    one = leftovers.of(pod(deleted=-500), NOW)
    assert one is not None
    assert leftovers.delete(api, one)
    assert cluster.deletes[0]["gracePeriodSeconds"] == 0


def test_a_missing_right_is_told(server: ApiServer, api: Api) -> None:
    cluster = Pages(server)
    cluster.answer_to_delete = 403
    one = leftovers.of(pod(due=-5), NOW)
    assert one is not None
    with pytest.raises(ClusterRefused):
        leftovers.delete(api, one)
