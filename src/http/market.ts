/** Routes that ask the broker about instruments and prices. */
import Type from 'typebox';
import type { Quote, RequestFailure } from '../../machines/market.ts';
import type { Reason } from '../../machines/order.ts';
import { type NamedContract, readInstrument } from './instrument-input.ts';
import type { HttpOptions, MarketPort } from './options.ts';
import { plain } from './order-schema.ts';
import { listOf, pageOf, pageQuery, pageRequest } from './pages.ts';
import { ProblemError, problem } from './problems.ts';
import { type Server, valid } from './routing.ts';
import { BarView, ContractView, MatchView, ProblemView, QuoteView } from './view-schema.ts';

const closed = { additionalProperties: false } as const;
const Instrument = Type.String({
  minLength: 1,
  maxLength: 2000,
  description: 'The short form, or a contract object as JSON.',
});
const ContractsQuery = Type.Object({ instrument: Instrument, ...pageQuery }, closed);
const SearchQuery = Type.Object(
  { pattern: Type.String({ ...plain, minLength: 1, maxLength: 64 }), ...pageQuery },
  closed,
);
const InstrumentPath = Type.Object({ instrument: Instrument }, closed);
/** `SAP@IBIS/EUR` with its slash unescaped arrives as two parts. */
const SplitPath = Type.Object({ instrument: Instrument, currency: Type.String({ maxLength: 8 }) }, closed);

const barSizes = [
  '1 secs',
  '5 secs',
  '10 secs',
  '15 secs',
  '30 secs',
  '1 min',
  '2 mins',
  '3 mins',
  '5 mins',
  '10 mins',
  '15 mins',
  '20 mins',
  '30 mins',
  '1 hour',
  '2 hours',
  '3 hours',
  '4 hours',
  '8 hours',
  '1 day',
  '1 week',
  '1 month',
];
const priceKinds = [
  'TRADES',
  'MIDPOINT',
  'BID',
  'ASK',
  'BID_ASK',
  'ADJUSTED_LAST',
  'HISTORICAL_VOLATILITY',
  'OPTION_IMPLIED_VOLATILITY',
];
const BarsQuery = Type.Object(
  {
    duration: Type.Optional(
      Type.String({ pattern: '^[1-9]\\d{0,5} [SDWMY]$', default: '1 D', description: 'e.g. 1 D, 3600 S' }),
    ),
    barSize: Type.Optional(Type.Enum(barSizes, { default: '1 min' })),
    whatToShow: Type.Optional(Type.Enum(priceKinds, { description: 'MIDPOINT for currencies, else TRADES' })),
    regularHoursOnly: Type.Optional(Type.Boolean({ default: false })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, default: 500 })),
    after: pageQuery.after,
  },
  closed,
);

const firstQuoteMs = 5000;
const config = { scope: 'read' } as const;
const tags = ['market'];
const refusals = {
  400: ProblemView,
  404: ProblemView,
  422: ProblemView,
  429: ProblemView,
  503: ProblemView,
  504: ProblemView,
};

export function addMarket(server: Server, { market }: HttpOptions): void {
  server.get(
    '/v1/contracts',
    {
      config,
      schema: {
        tags,
        summary: 'What the broker knows of an instrument',
        querystring: ContractsQuery,
        response: { 200: listOf('contracts', ContractView), ...refusals },
      },
    },
    async (request) => {
      const { contract } = valid(readInstrument(request.query.instrument, '/instrument'));
      const details = answered(await market.contracts(contract));
      const page = pageOf(
        details,
        pageRequest(request.query),
        (row) => `${row.contract.conId} ${row.instrument}`,
      );
      return { contracts: page.rows, next: page.next };
    },
  );

  server.get(
    '/v1/contracts/search',
    {
      config,
      schema: {
        tags,
        summary: 'Instruments by name or symbol',
        querystring: SearchQuery,
        response: { 200: listOf('contracts', MatchView), ...refusals },
      },
    },
    async (request) => {
      const matches = answered(await market.search(request.query.pattern));
      const page = pageOf(
        matches,
        pageRequest(request.query),
        (row) => `${row.contract.conId} ${row.instrument}`,
      );
      return { contracts: page.rows, next: page.next };
    },
  );

  const quoteSchema = {
    tags,
    summary: 'The newest quote',
    params: InstrumentPath,
    response: { 200: QuoteView, ...refusals },
  };
  server.get('/v1/quotes/:instrument', { config, schema: quoteSchema }, (request) =>
    quoteOf(market, valid(readInstrument(request.params.instrument, '/instrument'))),
  );
  server.get(
    '/v1/quotes/:instrument/:currency',
    { config, schema: { hide: true, params: SplitPath } },
    (request) => quoteOf(market, valid(readInstrument(joined(request.params), '/instrument'))),
  );

  const barsSchema = {
    tags,
    summary: 'Historical bars, oldest first',
    params: InstrumentPath,
    querystring: BarsQuery,
    response: { 200: listOf('bars', BarView), ...refusals },
  };
  server.get('/v1/bars/:instrument', { config, schema: barsSchema }, (request) =>
    barsOf(market, valid(readInstrument(request.params.instrument, '/instrument')), request.query),
  );
  server.get(
    '/v1/bars/:instrument/:currency',
    { config, schema: { hide: true, params: SplitPath, querystring: BarsQuery } },
    (request) => barsOf(market, valid(readInstrument(joined(request.params), '/instrument')), request.query),
  );
}

async function quoteOf(market: MarketPort, { contract, instrument }: NamedContract): Promise<Quote> {
  const line = market.acquire(contract, instrument);
  try {
    const quote = market.quote(line.key) ?? (await market.firstQuote(line.key, firstQuoteMs));
    const last = isRefusal(quote) ? undefined : market.lastQuote?.(line.key);
    if (last && (quote === undefined || 'failed' in quote)) return last;
    if (quote === undefined) {
      throw new ProblemError(
        problem('data-timeout', `no price of ${instrument} came within ${firstQuoteMs} ms`),
      );
    }
    return 'failed' in quote ? answered<Quote>(quote) : quote;
  } finally {
    line.release();
  }
}

/** The broker's own no, which no memory overrules; everything else may pass. */
function isRefusal(answer: Quote | { readonly failed: Reason } | undefined): boolean {
  return answer !== undefined && 'failed' in answer && /^\d+$/.test(answer.failed.code);
}

interface BarsRequest {
  readonly duration?: string;
  readonly barSize?: string;
  readonly whatToShow?: string;
  readonly regularHoursOnly?: boolean;
  readonly limit?: number;
  readonly after?: string;
}

async function barsOf(market: MarketPort, { contract }: NamedContract, query: BarsRequest) {
  const bars = answered(
    await market.bars(contract, {
      duration: query.duration ?? '1 D',
      barSize: query.barSize ?? '1 min',
      whatToShow: query.whatToShow ?? (contract.secType === 'CASH' ? 'MIDPOINT' : 'TRADES'),
      regularHoursOnly: query.regularHoursOnly ?? false,
    }),
  );
  const page = pageOf(bars, { limit: query.limit ?? 500, after: query.after ?? null }, (bar) => bar.time);
  return { bars: page.rows, next: page.next };
}

function joined({
  instrument,
  currency,
}: {
  readonly instrument: string;
  readonly currency: string;
}): string {
  return `${instrument}/${currency}`;
}

/** The answer, or the problem that its failure is. */
function answered<T>(answer: T | RequestFailure): T {
  if (typeof answer !== 'object' || answer === null || !('failed' in answer)) return answer as T;
  const { failed, retryAfterMs } = answer as RequestFailure;
  const headers: Record<string, string> =
    retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
  throw new ProblemError(problemOfFailure(failed, retryAfterMs !== undefined), headers);
}

const howToName =
  'an instrument is [SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY], e.g. AAPL, SAP@IBIS/EUR, FUT:ESZ6@CME; /v1/contracts/search finds it';

/** Codes that are numbers are the broker's own: its refusals. Ours say why it could not be asked. */
function problemOfFailure(reason: Reason, mayRetry: boolean) {
  const members = { reason: reason.code };
  if (reason.code === '200')
    return problem('instrument-not-found', `${reason.message}; ${howToName}`, members);
  if (reason.code === 'timeout') return problem('data-timeout', reason.message, members);
  if (!/^\d+$/.test(reason.code)) return problem('data-unavailable', reason.message, members);
  return problem(mayRetry ? 'too-many-requests' : 'request-refused', reason.message, members);
}
