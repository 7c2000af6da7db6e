"""cache: look at and look after the layer caches in S3. One file for each command."""

from __future__ import annotations

import click

from executor.operate.cache_lifecycle import lifecycle
from executor.operate.cache_purge import purge
from executor.operate.cache_usage import usage
from executor.operate.cache_verify import verify


@click.group()
def cache() -> None:
    """Look at the tenants' layer caches in S3, and look after them.

    \b
    kaniko-driver cache usage                    what lies there, of every tenant
    kaniko-driver cache lifecycle --apply        let the bucket expire old generations
    kaniko-driver cache verify tenant-a          find entries whose layers are lost
    kaniko-driver cache purge tenant-a           delete a tenant's cache; its next builds are cold

    Keys are those that AWS' own tools would find here (AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws, the machine's role).
    With --tenant-keys they are the tenant's own, read from its Secret in the cluster with your rights there.
    """


for command in (usage, lifecycle, verify, purge):
    cache.add_command(command)
