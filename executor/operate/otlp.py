"""Spans -> OpenTelemetry's own library, which reads every `OTEL_*` variable that it knows, and sends them.

Ids are made from the name of the attempt's pod: what is sent a second time, since nobody knows whether it arrived, is
the same trace once more and no second one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from executor import __version__
from executor.errors import SettingsInvalid
from executor.figures import spans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.figures.spans import Span
    from executor.figures.trail import Lines

_NANO = 10**9
_SERVICE = "kaniko-driver"
_SPEAKS = "http/protobuf"
_FALSE_ALARMS = frozenset({"", "cancelled"})
"""Ends that are no error to whoever looks at traces."""


class NotTaken(Exception):
    """The collector did not take the spans; they stay to be sent."""


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment wants traces at all."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and environment.get("OTEL_TRACES_EXPORTER", "") != "none"


class Sender:
    """Sends the traces of attempts, some at once."""

    def __init__(self) -> None:
        """Read `OTEL_*`.

        Raises:
            SettingsInvalid: a variable has a value that cannot be used.
        """
        self._heard = _Heard()
        self._exporter = _exporter()
        self._finished = _Finished()
        self._ids = _Ids()
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(self._finished)
        self._tracer = self._provider.get_tracer(_SERVICE, __version__)

    def send(self, jobs: list[Lines]) -> int:
        """Send the traces of these attempts; return how many spans that were, those that are not sampled left out.

        Raises:
            NotTaken: with what the collector or the network said.
        """
        for lines in jobs:
            self._ids.begin(f"{lines[0].get('pod')} {lines[0]['timestamp']}")
            self._add(spans.of_job(lines), Context(), spans.link_of(lines))
        made, self._finished.spans = self._finished.spans, []
        if made and self._exporter.export(made) is not SpanExportResult.SUCCESS:
            raise NotTaken(self._heard.last or "the exporter did not say why")
        return len(made)

    def _add(self, span: Span, parent: Context, traceparent: str = "") -> None:
        made = self._tracer.start_span(
            span.name,
            context=parent,
            start_time=int(span.begin * _NANO),
            attributes=span.attributes,
            links=_links(traceparent),
        )
        for when, what, why in span.moments:
            made.add_event(what, {"reason": why} if why else None, timestamp=int(when * _NANO))
        if span.failure not in _FALSE_ALARMS:
            made.set_attribute("error.type", span.failure)
            made.set_status(trace.Status(trace.StatusCode.ERROR, span.failure.replace("_", " ")))
        below = trace.set_span_in_context(made, parent)
        for child in span.children:
            self._add(child, below)
        made.end(end_time=int(span.end * _NANO))


class _Ids(IdGenerator):
    """Ids that follow from the attempt."""

    def __init__(self) -> None:
        self._seed, self._count = "", 0

    def begin(self, seed: str) -> None:
        """Begin a trace."""
        self._seed, self._count = seed, 0

    def generate_trace_id(self) -> int:
        return self._number(16)

    def generate_span_id(self) -> int:
        self._count += 1
        return self._number(8)

    def _number(self, size: int) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()[:size]) or 1


class _Finished(SpanProcessor):
    """Collects what the sampler lets through."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self.spans.append(span)


class _Heard(logging.Handler):
    """Keeps the last thing that the library logs: it says why something was not taken, and raises nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _exporter() -> SpanExporter:
    kind = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if kind == "console":
        return ConsoleSpanExporter()
    if kind != "otlp":
        raise SettingsInvalid(
            f"Traces cannot be sent by OTEL_TRACES_EXPORTER={kind}.", remedy="Write otlp, console or none."
        )
    speaks = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if speaks not in {None, "", _SPEAKS}:
        raise SettingsInvalid(
            f"Traces cannot be sent by the protocol {speaks}.",
            remedy=f"Write OTEL_EXPORTER_OTLP_PROTOCOL={_SPEAKS} and the collector's port for it, usually 4318.",
        )
    # Imported here: it brings an HTTP client along.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _resource() -> Resource:
    """Say who sends; what the environment says wins."""
    ours = {"service.name": _SERVICE, "service.version": __version__, "host.name": socket.gethostname()}
    told = Resource.create()
    unnamed = str(told.attributes.get("service.name", "")).startswith("unknown_service")
    missing = {name: value for name, value in ours.items() if name not in told.attributes}
    return told.merge(Resource({**missing, **({"service.name": _SERVICE} if unnamed else {})}))


def _links(traceparent: str) -> list[trace.Link]:
    """Link the trace that the author named, and do not join it: its ids are an author's word, and may be anybody's."""
    if not traceparent:
        return []
    named = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    context = trace.get_current_span(named).get_span_context()
    return [trace.Link(context)] if context.is_valid else []
