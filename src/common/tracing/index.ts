export { beginUpload, type Span, traceStep, traceUpload } from './tracing.js';
export { TracingModule } from './tracing.module.js';
