/** Routes that read what the runtime knows: account, positions, executions, profit and loss, actors, reconciliation, journal. */
import Type from 'typebox';
import { ActorRow } from './health-schema.ts';
import type { HttpOptions } from './options.ts';
import { listOf, PageQuery, pageOf, pageQuery, pageRequest, queried } from './pages.ts';
import { invalid, ProblemError, problem } from './problems.ts';
import type { Server } from './routing.ts';
import { AccountView, ExecutionView, FactView, PnlView, PositionView, ProblemView } from './view-schema.ts';

const config = { scope: 'read' } as const;
const tags = ['reading'];

const JournalQuery = Type.Object(
  { ...pageQuery, after: Type.Optional(Type.String({ description: 'A sequence number.' })) },
  { additionalProperties: false },
);

const FactsView = Type.Object({
  ...listOf('facts', FactView).properties,
  lastSeq: Type.Integer({ description: 'number of the newest fact' }),
  epoch: Type.String({
    description: 'names this row of numbers: in another one a number may be of another fact',
  }),
});

export function addReading(server: Server, { reading }: HttpOptions): void {
  server.get(
    '/v1/account',
    { config, schema: { tags, summary: 'Account values', response: { 200: AccountView } } },
    () => reading.account(),
  );

  server.get(
    '/v1/positions',
    {
      config,
      schema: {
        tags,
        summary: 'Positions',
        querystring: PageQuery,
        response: { 200: listOf('positions', PositionView), 400: ProblemView },
      },
    },
    (request) => {
      const { rows, next } = queried(() => reading.positions(pageRequest(request.query)));
      return { positions: rows, next };
    },
  );

  server.get(
    '/v1/executions',
    {
      config,
      schema: {
        tags,
        summary: 'Executions after corrections, newest first',
        querystring: PageQuery,
        response: { 200: listOf('executions', ExecutionView), 400: ProblemView },
      },
    },
    (request) => {
      const { rows, next } = queried(() => reading.executions(pageRequest(request.query)));
      return { executions: rows, next };
    },
  );

  server.get(
    '/v1/pnl',
    { config, schema: { tags, summary: 'Profit and loss per account', response: { 200: PnlView } } },
    () => reading.pnl(),
  );

  server.get(
    '/v1/actors',
    {
      config,
      schema: {
        tags,
        summary: 'The running actors',
        querystring: PageQuery,
        response: { 200: listOf('actors', ActorRow), 400: ProblemView },
      },
    },
    (request) => {
      const { rows, next } = pageOf(reading.actors(), pageRequest(request.query), (actor) => actor.id);
      return { actors: rows, next };
    },
  );

  server.get(
    '/v1/reconciliations/latest',
    {
      config,
      schema: {
        tags,
        summary: 'The newest comparison with the broker',
        response: { 200: Type.Record(Type.String(), Type.Unknown()), 404: ProblemView },
      },
    },
    () => {
      const latest = reading.latestReconciliation();
      if (!latest) {
        const awaited = reading
          .awaitedLists()
          .map(({ list, attempts, reason }) => `${list}${reason ? ` (${reason}, attempt ${attempts})` : ''}`);
        const what = awaited.length === 0 ? '' : `: the broker has not told its ${awaited.join(', ')}`;
        throw new ProblemError(problem('not-found', `no reconciliation has been made yet${what}`));
      }
      return latest;
    },
  );

  server.get(
    '/v1/journal',
    {
      config,
      schema: {
        tags,
        summary: 'Durable facts, oldest first',
        querystring: JournalQuery,
        response: { 200: FactsView, 400: ProblemView },
      },
    },
    (request) => {
      const { limit, after } = pageRequest(request.query);
      const { records, lastSeq, epoch } = reading.journal({ after: sequenceOf(after), limit });
      const last = records.at(-1)?.seq;
      return {
        facts: records,
        next: last !== undefined && last < lastSeq ? String(last) : null,
        lastSeq,
        epoch,
      };
    },
  );
}

function sequenceOf(after: string | null): number {
  if (after === null) return 0;
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new ProblemError(invalid([{ pointer: '/after', detail: 'is not a sequence number of the journal' }]));
}
