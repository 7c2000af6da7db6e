"""config: resolve everything once, write the job file, print the contract's JSON.

The job response and the settings are trusted; of the job's own variables only its wishes for the pod are read.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from executor import __version__
from executor.cache import use
from executor.cluster import kubeconfig
from executor.job import Job, Limits
from executor.pod import names, overrides, secrets
from executor.pod.image import choose_image
from executor.pod.logins import merged_logins
from executor.pod.manifest import PodRequest, render
from executor.pod.services import choose_services
from executor.runner.contract import JOB_FILE_VARIABLE, is_asked_for, job_variables, required
from executor.runner.response import JobResponse, read_job_response
from executor.scrub import readable
from executor.settings.files import Authorities, authorities, text_of
from executor.settings.load import Settings, load, log_file, tenant_of_root_namespace
from executor.settings.units import Bytes, Cpu
from executor.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.cache.use import Use
    from executor.journal import Journal
    from executor.pod.image import BuildImage
    from executor.pod.services import Services
    from executor.settings.model import Resources, Tenant
    from executor.stages.joblog import JobLog

_DELETE_SLACK = 600
_SHOW_SERVICES, _PRINT_EVENTS = "CI_DEBUG_SERVICES", "FF_PRINT_POD_EVENTS"
_USUAL_UMASK = "FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR"
_LONGEST_NAME = 255
"""Of a job, in characters: GitLab's own limit."""
_TRACEPARENT = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
"""Version 00 of W3C's Trace Context, which later versions are read as."""
_LONGEST_ANNOTATION = 4096
"""Characters, four bytes each at most."""


def config(folder: str, tenant: str | None, journal: Journal, log: JobLog) -> int:
    """Carry out the stage.

    Args:
        folder: of the settings.
        tenant: name of the tenant whose runner this is; None: the one that owns the job's root namespace.
        journal: operator log.
        log: job log.

    Raises:
        SettingsInvalid: unknown tenant, or settings that cannot be used.
        CredentialsInvalid: no way to the cluster.
        JobRefused: the job asks for what its tenant does not allow.
    """
    began = time.monotonic()
    journal.path = log_file(folder) or None
    response = read_job_response(required(os.environ, "JOB_RESPONSE_FILE"))
    name = tenant or tenant_of_root_namespace(folder, response.root_namespace_id)
    journal.bind(tenant=name)
    settings = load(folder, name)
    # The runner's temporary folder of this attempt: private to its user, removed by the runner.
    private = os.path.dirname(os.path.abspath(os.environ["JOB_RESPONSE_FILE"]))
    wishes: dict[str, str] = {}
    for prefix in (overrides.PREFIX, _SHOW_SERVICES, _PRINT_EVENTS, _USUAL_UMASK):
        wishes |= job_variables(os.environ, prefix)
    job = resolve(settings, response, wishes, private=private, now=time.time())
    path = os.path.join(private, "kaniko-driver.json")
    job.write(path)
    journal.bind(job=job.id, tenant=job.tenant, pod=job.pod)
    image = next(one["image"] for one in job.manifest["spec"]["containers"] if one["name"] == names.BUILD)
    journal.info(
        "configured",
        project=response.project_path,
        name=readable(response.name, _LONGEST_NAME),
        namespace=job.connection.namespace,
        image=image,
        traceparent=_traceparent(response),
        seconds=round(time.monotonic() - began, 3),
        wished=_wished(job.limits, settings.tenant.resources.build),
        **job.limits.figures(),
    )
    if journal.complaint:
        log.say(f"the operator log cannot be written ({journal.complaint}); the operator should correct [log] file")
    json.dump(answer(job, path), sys.stdout)
    return 0


def resolve(settings: Settings, response: JobResponse, wishes: Mapping[str, str], *, private: str, now: float) -> Job:
    """Put settings and job together.

    Args:
        settings: the operator's.
        response: the job as GitLab describes it.
        wishes: variables of the job that may be about its pod.
        private: folder for credentials.
        now: Unix time.
    """
    tenant, notes = overrides.apply(settings.tenant, wishes)
    image, services = choose_image(response, tenant), choose_services(response, tenant)
    attempt, pod = names.attempt_id(), names.pod_name(response.id)
    connection = kubeconfig.connect(
        path=tenant.cluster.kubeconfig,
        context=tenant.cluster.context,
        namespace=tenant.cluster.namespace,
        folder=private,
    )
    deadline = response.timeout + tenant.timeouts.after_job.seconds
    kept_seconds = tenant.debug.keep_failed.seconds if tenant.debug.keep_failed else 0
    cache = use.of_job(tenant.cache, tenant.name, response)
    trusted = authorities(tenant)
    logins = merged_logins(text_of(tenant.registry.logins_file, "registry.logins_file"), response.logins)
    cache, keys = _cache_keys(tenant, cache, pod, seconds=deadline)
    own_secrets = [*_secrets(pod, response, image, services, logins), *keys]
    manifest = render(
        tenant,
        PodRequest(
            name=pod,
            attempt=attempt,
            job_id=response.id,
            project_id=response.project_id,
            annotations=_gitlab_annotations(response),
            build_image=image.name,
            build_pull_policies=image.pull_policies,
            services=services,
            pull_secrets=tuple(
                secret["metadata"]["name"] for secret in own_secrets if ".dockerconfigjson" in secret["data"]
            ),
            cache=cache,
            authorities=trusted,
            # A kept pod must not be ended by its deadline; one that nobody keeps has the others.
            deadline=deadline + kept_seconds,
            delete_after=int(now) + tenant.timeouts.schedule.seconds + deadline + _DELETE_SLACK,
        ),
    )
    secrets.gate(manifest, own_secrets)
    warm, cold_because = _warmth(settings.tenant, manifest, trusted)
    return Job(
        id=response.id,
        tenant=tenant.name,
        pod=pod,
        attempt=attempt,
        connection=connection,
        manifest=manifest,
        logins=logins,
        build_shell=image.shell,
        output_limit=tenant.volumes.output.count,
        schedule_timeout=tenant.timeouts.schedule.seconds,
        start_timeout=tenant.timeouts.start.seconds,
        pull_timeout=tenant.timeouts.pull.seconds,
        new_node_timeout=tenant.timeouts.new_node.seconds if tenant.timeouts.new_node else 0,
        stop_grace=tenant.timeouts.stop_grace.seconds,
        connection_timeout=tenant.timeouts.connection.seconds,
        journal=settings.driver.log.file,
        sections=response.trace_sections and not response.no_color,
        limits=limits_of(manifest),
        when_full=tenant.capacity.when_full,
        keep_failed=kept_seconds,
        keep_failed_most=tenant.debug.keep_failed_most,
        secrets=tuple(own_secrets),
        health_ports=services.health_ports,
        services_wait=tenant.services.wait.seconds,
        print_events=is_asked_for(wishes, _PRINT_EVENTS),
        usual_umask=is_asked_for(wishes, _USUAL_UMASK),
        service_logs=services.log_names if is_asked_for(wishes, _SHOW_SERVICES) else {},
        warm=warm,
        cold_because=cold_because,
        pull_policies=_further_policies(image, services),
        authors_image=image.authors,
        notes=(*image.notes, *services.notes, *notes, *cache.notes),
    )


def _warmth(tenant: Tenant, manifest: dict[str, Any], trusted: Authorities) -> tuple[str, str]:
    """Return the fingerprint of warm pods that could serve the job, or why none could; neither where there are none."""
    if not tenant.capacity.warm_pods:
        return "", ""
    # Imported here: few tenants have some.
    from executor.pod import warm

    own = warm.template(manifest)
    # What `tenant apply` rendered, without the job's wishes.
    waiting = warm.template(warm.usual(tenant, trusted))
    if differing := warm.differences(own, waiting):
        return "", f"its pod differs from those that wait in {', '.join(differing)}"
    return warm.fingerprint_of(own), ""


def _further_policies(image: BuildImage, services: Services) -> dict[str, list[str]]:
    """Return what is left to try where an image cannot be pulled with the first policy of its list."""
    lists = {names.BUILD: image.pull_policies} | {one.container: one.pull_policies for one in services.sidecars}
    return {container: list(policies[1:]) for container, policies in lists.items() if policies[1:]}


def limits_of(manifest: dict[str, Any]) -> Limits:
    """Read from the finished manifest what the build container may use, whoever decided it."""
    spec = manifest["spec"]
    build = next(container for container in spec["containers"] if container["name"] == names.BUILD)
    limits = build.get("resources", {}).get("limits", {})
    volumes = {volume["name"]: volume.get("emptyDir") or {} for volume in spec.get("volumes", ())}
    cores = Cpu.parse(limits["cpu"]).cores if "cpu" in limits else 0
    return Limits(
        memory=_count(limits.get("memory")),
        disk=_count(limits.get("ephemeral-storage")),
        builds=_count(volumes.get("builds", {}).get("sizeLimit")),
        cpu=int(cores * 1000),
    )


def _wished(limits: Limits, usual: Resources) -> bool:
    """Tell whether this job's limits are others than its tenant's: its peaks say nothing about those."""
    usual_cpu = int(usual.cpu_limit.cores * 1000)
    own = (usual.memory_limit.count, usual.ephemeral_storage_limit.count, usual_cpu)
    return (limits.memory, limits.disk, limits.cpu) != own


def _count(quantity: str | None) -> int:
    return Bytes.parse(quantity).count if quantity else 0


def _cache_keys(tenant: Tenant, cache: Use, pod: str, *, seconds: int) -> tuple[Use, list[dict[str, Any]]]:
    """Get S3 keys for this job alone, where the tenant wants that; without them the build is cold."""
    if tenant.cache.credentials != "sts" or cache.mode == "off":
        return cache, []
    # Imported here: boto3 takes longer than all the rest of this stage.
    from executor.cache import bucket, sts

    try:
        keys = sts.assume(tenant, session=pod, seconds=seconds, read_only=cache.mode == "read-only")
    except bucket.BucketFailed as error:
        note = f"built without the layer cache: {error.what} {error.why}"
        return replace(cache, mode="off", notes=(*cache.notes, readable(note, _LONGEST_ANNOTATION))), []
    values = {
        "AWS_ACCESS_KEY_ID": keys.access,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_SESSION_TOKEN": keys.token,
    }
    return cache, [secrets.cache_secret(pod, values)]


def _secrets(
    pod: str, response: JobResponse, image: BuildImage, services: Services, logins: str
) -> list[dict[str, Any]]:
    """Make the Secrets that this job's pod needs: none for the usual job."""
    images = [*([image.name] if image.authors else ()), *(sidecar.image for sidecar in services.sidecars)]
    variables = {variable.key: variable.value for variable in response.variables}
    found = secrets.pull_logins(images, logins, variables.get("DOCKER_AUTH_CONFIG", ""))
    return [*([secrets.pull_secret(pod, found)] if found else ()), *secrets.variable_secrets(pod, services)]


def answer(job: Job, path: str) -> dict[str, object]:
    """Make what the runner reads from stdout (executors/custom/api/config.go)."""
    return {
        "driver": {"name": "kaniko-driver", "version": f"v{__version__}"},
        "hostname": job.pod,
        "builds_dir": names.BUILDS_FOLDER,
        "cache_dir": names.CACHE_FOLDER,
        "builds_dir_is_shared": False,
        "shell": "bash",
        "job_env": {JOB_FILE_VARIABLE: path},
    }


def _traceparent(response: JobResponse) -> str:
    """Return the trace that the job's author says the job belongs to; empty where no well-formed one is named."""
    given = response.last_value("TRACEPARENT")
    return given if re.fullmatch(_TRACEPARENT, given) else ""


def _gitlab_annotations(response: JobResponse) -> dict[str, str]:
    """Say of which job the pod is, in the words of GitLab's own executor."""
    said = {
        "project.runner.gitlab.com/id": str(response.project_id),
        names.PROJECT_ANNOTATION: response.project_path,
        "job.runner.gitlab.com/id": str(response.id),
        "job.runner.gitlab.com/name": response.name,
        "job.runner.gitlab.com/ref": response.ref,
        "job.runner.gitlab.com/sha": response.sha,
        "job.runner.gitlab.com/timeout": f"{response.timeout}s",
    }
    # The API server takes 256 KiB of annotations in all, and its clients no half characters.
    return {key: readable(text, _LONGEST_ANNOTATION) for key, text in said.items()}
