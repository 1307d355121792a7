import { hostname } from 'node:os';
import { context, DiagLogLevel, diag, type SpanContext, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  RandomIdGenerator,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../config/index.js';
import { redact } from '../logging/index.js';
import type { Attributes, SpanMaker } from './tracing.js';

const SEND_EVERY_MS = 2_000;
const SEND_TIMEOUT_MS = 5_000;
/** Of the drain's 15 s. */
const STOP_TIMEOUT_MS = 3_000;
const COMPLAIN_EVERY_MS = 60_000;
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * Sends spans as OTLP over HTTP (JSON), in batches and in the background; what a receiver that is away cannot take is
 * dropped, at most 2,048 spans are kept for it. Whether an upload is traced is decided from its id, so that every process
 * decides the same.
 *
 * @param about of this process: version, role
 * @param complain of the receiver, at most once a minute
 */
export function openTelemetry(
  config: TracingConfig,
  about: Attributes,
  complain: (message: string) => void,
): SpanMaker {
  let complainedAt = Number.NEGATIVE_INFINITY;
  const warn = (message: string) => {
    if (performance.now() - complainedAt < COMPLAIN_EVERY_MS) return;
    complainedAt = performance.now();
    complain(message);
  };
  const quiet = () => undefined;
  diag.setLogger(
    { error: warn, warn, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );

  // The next span's ids, where they are not random: beginning a span asks for them before it returns.
  let chosen: { traceId: string; id: string } | undefined;
  const random = new RandomIdGenerator();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': config.serviceName,
      'service.instance.id': `${hostname()}:${process.pid}`,
      ...about,
    }),
    sampler: new TraceIdRatioBasedSampler(config.sampled),
    idGenerator: {
      generateTraceId: () => chosen?.traceId ?? random.generateTraceId(),
      generateSpanId: () => chosen?.id ?? random.generateSpanId(),
    },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({
          url: `${config.endpoint}/v1/traces`,
          headers: { ...config.headers },
          timeoutMillis: SEND_TIMEOUT_MS,
        }),
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_TIMEOUT_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('sluice');
  const ROOT = context.active();

  return {
    begin: ({ name, traceId, parentId, id, startedAt, attributes, traceparent }) => {
      const caller = linkTo(traceparent);
      const links = caller ? [{ context: caller }] : [];
      const parent =
        parentId === null
          ? ROOT
          : trace.setSpanContext(ROOT, { traceId, spanId: parentId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
      chosen = id ? { traceId, id } : undefined;
      const span = tracer.startSpan(name, { startTime: startedAt, attributes, links }, parent);
      chosen = undefined;
      return {
        id: span.spanContext().spanId,
        set: (more) => span.setAttributes(more),
        fail: (error) => {
          const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
          span.recordException({ name, message: redact(message), stack: stack && redact(stack) });
          span.setStatus({ code: SpanStatusCode.ERROR, message: redact(message) });
        },
        end: () => span.end(),
      };
    },
    stop: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_TIMEOUT_MS);
      });
      try {
        await Promise.race([provider.shutdown(), late]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function linkTo(traceparent: string | undefined): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  return traceId && spanId ? { traceId, spanId, traceFlags: Number.parseInt(flags ?? '0', 16), isRemote: true } : null;
}
