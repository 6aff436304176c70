/** Probes and figures. Answered from memory; no token, no log. */
import type { FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { type CheckStatus, DetailedHealth, HealthAnswer, Service } from './health-schema.ts';
import type { HealthReport, HttpOptions } from './options.ts';
import type { Server } from './routing.ts';

const ProbeQuery = Type.Object(
  {
    verbose: Type.Optional(Type.String({ description: 'Answers with one `[+]name ok` line per check.' })),
    gate: Type.Optional(Type.Enum(['trading'], { description: 'Adds what trading needs.' })),
  },
  { additionalProperties: false },
);
type ProbeQuery = Static<typeof ProbeQuery>;

interface Check {
  readonly name: string;
  readonly ok: boolean;
}

const config = { probe: true, rateLimit: false } as const;
const tags = ['health'];

export function addHealth(server: Server, options: HttpOptions): void {
  const { health, reading } = options;

  server.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config?.probe) reply.header('Cache-Control', 'no-store');
    done();
  });

  server.get('/', { config, schema: { tags, response: { 200: Service } } }, () => ({
    name: options.name,
    version: options.version,
    environment: options.environment,
    status: health.report().status,
    docs: options.debug ? '/docs' : null,
    dashboard: options.dashboard ?? null,
  }));

  const probe = (
    path: string,
    summary: string,
    checksOf: (report: HealthReport, query: ProbeQuery) => Check[],
  ) => {
    const schema = {
      tags,
      summary,
      querystring: ProbeQuery,
      response: { 200: HealthAnswer, 503: HealthAnswer },
    };
    server.get(path, { config, schema }, (request, reply) => {
      const { query } = request;
      const report = health.report();
      return answerProbe(reply, path, report, checksOf(report, query), query.verbose !== undefined);
    });
  };

  probe('/health', 'The worst of all parts', (report, query) => [
    ...Object.entries(report.components).map(([name, part]) => ({ name, ok: part.status !== 'fail' })),
    { name: 'overall', ok: report.status !== 'fail' },
    ...tradingCheck(report, query.gate === 'trading'),
  ]);
  probe('/health/live', 'Restart me?', (report) => [{ name: 'live', ok: report.gates.live }]);
  probe('/health/start', 'Configuration read, journal replayed, HTTP bound', (report) => [
    { name: 'started', ok: report.gates.started },
  ]);
  probe('/health/ready', 'Send me requests?', (report, query) => [
    { name: 'started', ok: report.gates.started },
    { name: 'ready', ok: report.gates.ready },
    ...tradingCheck(report, query.gate === 'trading' || options.readyRequiresTws),
  ]);

  const detailed = {
    tags,
    summary: 'All parts and actors',
    response: { 200: DetailedHealth, 503: DetailedHealth },
  };
  server.get('/health/detailed', { config, schema: detailed }, (_request, reply) => {
    const report = health.report();
    reply.code(report.status === 'fail' ? 503 : 200);
    return {
      status: report.status,
      version: options.version,
      uptimeSeconds: Math.round(process.uptime() * 10) / 10,
      gates: report.gates,
      reasons: report.reasons,
      components: report.components,
      actors: reading.actors(),
    };
  });

  const metrics = { tags, summary: 'Latencies, rates and counters' };
  server.get('/health/metrics', { config, schema: metrics }, async (request, reply) => {
    if (!wantsText(request.headers.accept)) return health.metricsJson();
    return prometheus(reply, await health.metricsText());
  });
  server.get('/metrics', { config, schema: { tags, summary: 'Prometheus text' } }, async (_request, reply) =>
    prometheus(reply, await health.metricsText()),
  );
}

function tradingCheck(report: HealthReport, wanted: boolean): Check[] {
  return wanted ? [{ name: 'trading', ok: report.gates.trading }] : [];
}

function answerProbe(
  reply: FastifyReply,
  path: string,
  report: HealthReport,
  checks: readonly Check[],
  verbose: boolean,
): unknown {
  const passed = checks.every((check) => check.ok);
  reply.code(passed ? 200 : 503);
  if (verbose) {
    const why = report.reasons.map((reason) => reason.code).join(', ') || 'no reason given';
    const lines = checks.map(({ name, ok }) => (ok ? `[+]${name} ok` : `[-]${name} failed: ${why}`));
    const name = path.slice('/health'.length + 1) || 'health';
    reply.type('text/plain; charset=utf-8');
    return `${lines.join('\n')}\n${name} check ${passed ? 'passed' : 'failed'}\n`;
  }
  // a probe that passes while a part is only doubtful still says so
  const status: Static<typeof CheckStatus> = passed ? (path === '/health' ? report.status : 'pass') : 'fail';
  return {
    status,
    reason: passed ? null : (report.reasons[0]?.code ?? null),
    reasons: report.reasons,
    gates: report.gates,
  };
}

function wantsText(accept: string | undefined): boolean {
  return accept !== undefined && /text\/plain|openmetrics/.test(accept) && !/application\/json/.test(accept);
}

function prometheus(reply: FastifyReply, text: string): string {
  reply.type('text/plain; version=0.0.4; charset=utf-8');
  return text;
}
