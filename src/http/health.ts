/** Probes and figures. Answered from memory; no token, no log. */
import type { FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { DetailedHealth, HealthAnswer, Service } from './health-schema.ts';
import type { HealthReason, HealthReport, HealthStatus, HttpOptions } from './options.ts';
import { invalid, ProblemError } from './problems.ts';
import type { Server } from './routing.ts';

const ProbeQuery = Type.Object(
  {
    verbose: Type.Optional(Type.String({ description: 'Answers with one `[+]name ok` line per check.' })),
    gate: Type.Optional(Type.Enum(['trading'], { description: 'Adds what trading needs.' })),
    exclude: Type.Optional(
      Type.Union([Type.Array(Type.String()), Type.String()], {
        description: 'Checks that shall not count, by their names in `?verbose`; may be repeated.',
      }),
    ),
  },
  { additionalProperties: false },
);
type ProbeQuery = Static<typeof ProbeQuery>;

/** `why`: what is wrong with it, also when that is no failure yet. */
interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly why: readonly HealthReason[];
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
    server.get(path, { config, schema }, (request, reply): unknown => {
      const { query } = request;
      const report = health.report();
      const all = checksOf(report, query);
      const checks = without(all, [query.exclude ?? []].flat());
      const passed = checks.every((check) => check.ok);
      reply.code(passed ? 200 : 503);
      if (query.verbose !== undefined) {
        reply.type('text/plain; charset=utf-8');
        return linesOf(path, checks, passed);
      }
      const isWhole = checks.length === all.length;
      const reasons = report.reasons.filter((reason) => checks.some(({ why }) => why.includes(reason)));
      return {
        status: passed ? passedStatus(path, isWhole ? report.status : worstOf(reasons)) : 'fail',
        reason: passed ? null : (reasons[0]?.code ?? null),
        reasons: isWhole ? [...report.reasons] : reasons,
        gates: report.gates,
      } satisfies Static<typeof HealthAnswer>;
    });
  };

  probe('/health', 'The worst of all parts', (report, query) => [
    ...Object.entries(report.components).map(([name, { status }]) => {
      const why = report.reasons.filter(({ component }) => component === name);
      return { name, ok: status !== 'fail', why };
    }),
    gateCheck('live', report),
    ...(query.gate === 'trading' ? [gateCheck('trading', report)] : []),
  ]);
  probe('/health/live', 'Restart me?', (report) => [gateCheck('live', report)]);
  probe('/health/start', 'Configuration read, journal replayed, HTTP bound', (report) => [
    gateCheck('started', report),
  ]);
  probe('/health/ready', 'Send me requests?', (report, query) => [
    gateCheck('started', report),
    gateCheck('ready', report),
    ...(query.gate === 'trading' || options.readyRequiresTws ? [gateCheck('trading', report)] : []),
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

function gateCheck(name: keyof HealthReport['gates'], { gates, reasons }: HealthReport): Check {
  return { name, ok: gates[name], why: gates[name] ? [] : reasons };
}

/** A name that is no check is a probe that tests less, or other things, than was meant. */
function without(checks: readonly Check[], excluded: readonly string[]): readonly Check[] {
  const names = checks.map(({ name }) => name);
  const unknown = excluded.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const detail = `"${unknown}" is no check of this probe; there are ${names.join(', ')}`;
    throw new ProblemError(invalid([{ pointer: '/exclude', detail }]));
  }
  return checks.filter(({ name }) => !excluded.includes(name));
}

/** A probe of one gate that passes is all well; the whole says also what is only doubtful. */
function passedStatus(path: string, status: HealthStatus): HealthStatus {
  return path === '/health' ? status : 'pass';
}

/** Of a probe that passes. */
function worstOf(reasons: readonly HealthReason[]): HealthStatus {
  return reasons.length > 0 ? 'warn' : 'pass';
}

function linesOf(path: string, checks: readonly Check[], passed: boolean): string {
  const name = path.slice('/health'.length + 1) || 'health';
  return `${checks.map(lineOf).join('\n')}\n${name} check ${passed ? 'passed' : 'failed'}\n`;
}

function lineOf({ name, ok, why }: Check): string {
  const codes = why.map(({ code }) => code).join(', ');
  if (!ok) return `[-]${name} failed: ${codes || 'no reason given'}`;
  return codes === '' ? `[+]${name} ok` : `[+]${name} ok, but ${codes}`;
}

function wantsText(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const weights = new Map<string, number>();
  for (const range of accept.toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim());
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    weights.set(name, quality === undefined ? 1 : Number(quality) || 0);
  }
  const weight = (...names: readonly string[]): number =>
    Math.max(0, ...names.flatMap((name) => weights.get(name) ?? []));
  const text = weight('text/plain', 'text/*', 'application/openmetrics-text');
  return text > weight('application/json', 'application/*');
}

function prometheus(reply: FastifyReply, text: string): string {
  reply.type('text/plain; version=0.0.4; charset=utf-8');
  return text;
}
