"""The categories of failures: names that never change, for whoever counts failures in the operator log.

A line of the operator log that tells of a failure carries one as `category`. What each means, and whose it is, stands
in docs/en/explanation/when-things-break.md; a test holds page and list together.
"""

from __future__ import annotations


class Category:
    """Why a job, or one stage of it, failed. New ones may come; none is renamed or given another meaning.

    Plain text and no enumeration, since every stage imports it.
    """

    # The job's own.
    SCRIPT_FAILED = "script_failed"
    JOB_REFUSED = "job_refused"
    SERVICE_FAILED = "service_failed"
    CANCELLED = "cancelled"
    # Kaniko's, by its last lines.
    KANIKO_PUSH_DENIED = "kaniko_push_denied"
    KANIKO_BASE_IMAGE_DENIED = "kaniko_base_image_denied"
    KANIKO_BASE_IMAGE_NOT_FOUND = "kaniko_base_image_not_found"
    KANIKO_REGISTRY_UNREACHABLE = "kaniko_registry_unreachable"
    KANIKO_TLS = "kaniko_tls"
    KANIKO_RATE_LIMITED = "kaniko_rate_limited"
    KANIKO_DOWNLOAD_FAILED = "kaniko_download_failed"
    KANIKO_NO_SUCH_FILE = "kaniko_no_such_file"
    KANIKO_DOCKERFILE = "kaniko_dockerfile"
    KANIKO_FLAGS = "kaniko_flags"
    KANIKO_NO_SHELL = "kaniko_no_shell"
    KANIKO_SNAPSHOT_TIMEOUT = "kaniko_snapshot_timeout"
    KANIKO_DISK_FULL = "kaniko_disk_full"
    KANIKO_LOST_CACHE_LAYER = "kaniko_lost_cache_layer"
    KANIKO_NOT_PERMITTED = "kaniko_not_permitted"
    # An image of the pod.
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_DENIED = "image_denied"
    IMAGE_RATE_LIMITED = "image_rate_limited"
    IMAGE_TLS = "image_tls"
    IMAGE_DNS = "image_dns"
    IMAGE_UNREACHABLE = "image_unreachable"
    IMAGE_PLATFORM = "image_platform"
    IMAGE_FAILED = "image_failed"
    IMAGE_SLOW = "image_slow"
    # A place for the pod.
    NO_MATCHING_NODE = "no_matching_node"
    UNTOLERATED_TAINT = "untolerated_taint"
    TOO_LARGE = "too_large"
    NO_ROOM = "no_room"
    QUOTA = "quota"
    UNSCHEDULABLE = "unschedulable"
    # Its start.
    ADMISSION_REFUSED = "admission_refused"
    MANIFEST_INVALID = "manifest_invalid"
    SANDBOX_FAILED = "sandbox_failed"
    VOLUME_FAILED = "volume_failed"
    SECRET_MISSING = "secret_missing"  # noqa: S105 - no secret, and neither are the words beside it
    CONTAINER_NOT_STARTED = "container_not_started"
    CONTAINER_ENDED = "container_ended"
    NOT_READY_IN_TIME = "not_ready_in_time"
    # Its end under a script.
    DISK_LIMIT = "disk_limit"
    NODE_PRESSURE = "node_pressure"
    OUT_OF_MEMORY = "out_of_memory"
    DEADLINE = "deadline"
    PREEMPTED = "preempted"
    DRAINED = "drained"
    NODE_LOST = "node_lost"
    POD_DELETED = "pod_deleted"
    SUPERVISOR_LOST = "supervisor_lost"
    # The way to the cluster.
    API_UNREACHABLE = "api_unreachable"
    API_THROTTLED = "api_throttled"
    API_FAILED = "api_failed"
    RIGHT_MISSING = "right_missing"
    CREDENTIALS = "credentials"
    # The runner and its host.
    RUNNER_GONE = "runner_gone"
    SETTINGS = "settings"
    CONTRACT = "contract"
    HOST_FILE = "host_file"
    INTERNAL = "internal"


CATEGORIES = frozenset(value for name, value in vars(Category).items() if name.isupper())
"""All of them."""
