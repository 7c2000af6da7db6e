"""`services:` of a job run beside its build, under their names, and what is wrong with one is said in words."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from executor.pod.names import HELPER
from testbed import api, ci, layout
from testbed.containers import container_id, processes
from testbed.errors import BedError
from testbed.joblog import plain
from testbed.jobs import Image, JobSpec, Variable
from testbed.wait import wait_for

if TYPE_CHECKING:
    from testbed.coordinator_job import SubmittedJob

    from .conftest import Author

BUSYBOX = f"{layout.REGISTRY}/library/busybox:1"
SECRET = "open-sesame-for-services"
SERVE = 'sleep 2; mkdir /www; echo "$GREETING for $CI_JOB_ID" > /www/index.html; exec httpd -f -p 8080 -h /www'


def service(*command: str, image: str = BUSYBOX, alias: str = "", **variables: str) -> Image:
    """A service that runs a command of a shell."""
    return Image(
        image,
        alias=alias,
        entrypoint=("sh", "-c"),
        command=command,
        variables=tuple(Variable(key, value) for key, value in variables.items()),
    )


def test_a_service_is_reached_by_its_names_and_gets_its_variables(author: Author) -> None:
    alias = "web, www.$ZONE"
    web = service(
        SERVE, image="$CI_REGISTRY/library/$IMAGE", alias=alias, GREETING="hello $PASSWORD", HEALTHCHECK_TCP_PORT="8080"
    )
    job = author.submits(
        JobSpec(
            author.tenant.name,
            script=(
                "for host in web www.internal 10.77.0.1-library-busybox; do wget -q -O - http://$host:8080/; done",
                'ls "$CI_PROJECT_DIR"',
            ),
            services=(web,),
            variables=(
                Variable("PASSWORD", SECRET, public=False),
                Variable("IMAGE", "busybox:1"),
                Variable("ZONE", "internal"),
            ),
        )
    )
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert log.count(f"hello {SECRET} for {job.ident}\n") == 3, log
    assert "warning" not in log


def test_no_variable_of_a_service_stands_in_the_pod_and_its_secret_goes_with_it(author: Author) -> None:
    job = author.submits(
        JobSpec(
            author.tenant.name,
            script=('echo at" "work', ci.GATE),
            services=(service("sleep 600", GREETING="$PASSWORD"),),
            variables=(Variable("PASSWORD", SECRET, public=False),),
        )
    )
    job.wait_for("at work")
    (pod,) = ci.job_pods(author.tenant, job.ident)
    assert SECRET not in str(pod)
    name = f"{pod['metadata']['name']}-svc-0"
    secret = api.get("Secret", name, author.tenant.name)
    assert secret is not None
    assert secret["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
    ci.let_go(pod)
    assert job.wait().state == "success"
    wait_for("the end of the Secret", lambda: api.get("Secret", name, author.tenant.name) is None, 180)


def test_what_services_print_is_in_the_job_log_where_the_job_asks_for_it(author: Author) -> None:
    talks = service(
        "n=0; echo $SECRET; while :; do n=$((n + 1)); echo tick $n >&2; sleep 0.2; done",
        alias="clock",
        SECRET="$PASSWORD",
    )
    job = author.submits(
        JobSpec(
            author.tenant.name,
            script=("printf 'half a '; sleep 2; echo li''ne", ci.GATE),
            services=(talks,),
            variables=(
                Variable("CI_DEBUG_SERVICES", "true"),
                Variable("PASSWORD", SECRET, public=False, masked=True),
            ),
        )
    )
    # While the script runs, and not within its line.
    shown = "a line of the service below that of the script"
    wait_for(shown, lambda: "tick" in plain(job.trace).partition("\nhalf a line\n")[2], 180)
    ci.let_go(*ci.job_pods(author.tenant, job.ident))
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    ticks = re.findall(r"\[service:10\.77\.0\.1:5000/library/busybox-clock\] [0-9T:.-]+Z tick ([0-9]+)\n", log)
    assert ticks == [str(n) for n in range(1, len(ticks) + 1)], log
    assert SECRET not in log
    assert "[MASKED]" in log


def test_a_service_that_ends_at_once_is_told_with_its_last_words_and_the_job_goes_on(author: Author) -> None:
    ends = service("echo no password given >&2; exit 3")
    job = author.submits(JobSpec(author.tenant.name, script=("echo goes on",), services=(ends,)))
    result = job.wait()
    log = plain(result.trace)
    assert result.state == "success", log
    assert f"warning: The service {BUSYBOX}" in log.replace("the service", "The service")
    assert "exit code 3" in log
    assert "no password given" in log


def test_a_service_that_ends_later_does_not_end_the_job(author: Author) -> None:
    ends = service("until [ -e /builds/end ]; do sleep 0.2; done; exit 3")
    script = ("touch /builds/end; sleep 2", "echo done")
    job = author.submits(JobSpec(author.tenant.name, script=script, services=(ends,)))
    result = job.wait()
    assert result.state == "success", plain(result.trace)


def test_a_service_whose_image_does_not_exist_is_the_authors_to_mend(author: Author) -> None:
    missing = f"{layout.REGISTRY}/library/nowhere:1"
    job = author.submits(
        JobSpec(author.tenant.name, script=("echo never",), services=(service("true", image=missing),))
    )
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("failed", "script_failure"), log
    assert missing in log
    assert "not found" in log
    assert log.count("The job pod did not start") == 1, log


def test_one_that_ended_while_its_port_was_waited_for_fails_the_job_and_a_deaf_one_does_not(author: Author) -> None:
    deaf = service("sleep 600", HEALTHCHECK_TCP_PORT="5432")
    # Not before its port is waited for, which would be another failure.
    dead = service(f"{ci.GATE}; echo no password given >&2; exit 3", HEALTHCHECK_TCP_PORT="5432")
    # Side by side: both wait half a minute.
    waits = author.submits(JobSpec(author.tenant.name, script=("echo done",), services=(deaf,)))
    fails = author.submits(JobSpec(author.tenant.name, script=("echo never",), services=(dead,)))
    pod = wait_for("the wait for its port", lambda: waiting_for_port(author, fails), 300)
    ci.let_go(pod)
    log = plain(waits.wait().trace)
    assert waits.wait().state == "success", log
    assert "does not listen on port 5432" in log

    result = fails.wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("failed", "script_failure"), log
    assert "ended before it listened on port 5432" in log
    assert "no password given" in log


def waiting_for_port(author: Author, job: SubmittedJob) -> dict[str, Any] | None:
    """The job's pod, once a port is tried in it."""
    for pod in ci.job_pods(author.tenant, job.ident):
        with suppress(BedError):  # its helper does not run yet
            if any("health-check" in one.command for one in processes(container_id(pod, HELPER))):
                return pod
    return None


def test_what_the_tenant_does_not_allow_is_refused_in_words(author: Author) -> None:
    job = author.submits(JobSpec(author.tenant.name, script=("echo never",), services=(Image("postgres:16"),)))
    result = job.wait()
    log = plain(result.trace)
    assert (result.state, result.failure_reason) == ("failed", "script_failure"), log
    assert "postgres:16 is not among those that tenant-a allows" in log
