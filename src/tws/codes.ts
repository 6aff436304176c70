/** What TWS's numbers mean: the one table of error and notice codes. */
import type { FarmKind, NoteSeverity, OrderNoteDisposition } from '../../machines/tws.ts';

/** A code without an id (-1): about the session, the link, or a data farm. */
export type SystemMeaning =
  | {
      readonly scope: 'farm';
      readonly kind: FarmKind;
      readonly status: 'ok' | 'broken' | 'inactive' | 'connecting';
    }
  | { readonly scope: 'link'; readonly change: 'severed' | 'restored' | 'restoredDataLost' }
  | { readonly scope: 'session'; readonly change: 'clientIdInUse' | 'limited' }
  | { readonly scope: 'note'; readonly severity: NoteSeverity };

/** A code on the id of a request for data. `busy`: worth asking again later. */
export type RequestMeaning = 'failure' | 'busy' | 'notice';

/** A code on the id of a market-data line. `retryAfterMs` null: asking again the same way is useless. */
export type LineMeaning =
  | { readonly scope: 'ends'; readonly retryAfterMs: number | null }
  | { readonly scope: 'note' };

export interface CodeMeaning {
  /** what it says, in a few words */
  readonly means: string;
  readonly system?: SystemMeaning;
  readonly order?: OrderNoteDisposition;
  readonly request?: RequestMeaning;
  readonly line?: LineMeaning;
}

const farm = (kind: FarmKind, status: 'ok' | 'broken' | 'inactive' | 'connecting'): SystemMeaning => ({
  scope: 'farm',
  kind,
  status,
});
const note = (severity: NoteSeverity): SystemMeaning => ({ scope: 'note', severity });
const ends = (retryAfterMs: number | null): LineMeaning => ({ scope: 'ends', retryAfterMs });
const annotates: LineMeaning = { scope: 'note' };

const single: ReadonlyMap<number, CodeMeaning> = new Map<number, CodeMeaning>([
  [
    100,
    {
      means: 'too many messages per second',
      system: { scope: 'session', change: 'limited' },
      request: 'busy',
      line: ends(5_000),
    },
  ],
  [101, { means: 'too many market-data lines', request: 'busy', line: ends(60_000) }],
  [102, { means: 'ticker id used twice', request: 'failure', line: ends(1_000) }],
  [103, { means: 'order id used before', order: 'duplicateOrderId' }],
  [135, { means: 'the order, or its parent, is not in the book', order: 'parentUnknown' }],
  [136, { means: 'this order cannot be cancelled' }],
  [161, { means: 'cancel of an order that is in no state to be cancelled', order: 'cancelTargetClosed' }],
  [162, { means: 'historical data: no data, pacing, or refused; the text tells which', request: 'failure' }],
  [165, { means: 'historical data service note', request: 'notice' }],
  [166, { means: 'expired contract', order: 'refusal', request: 'failure', line: ends(null) }],
  [
    200,
    {
      means: 'no such contract, or an ambiguous one',
      order: 'refusal',
      request: 'failure',
      line: ends(null),
    },
  ],
  [201, { means: 'order rejected', order: 'refusal' }],
  [202, { means: 'order cancelled', order: 'cancelled' }],
  [
    203,
    {
      means: 'security not allowed for this account',
      order: 'refusal',
      request: 'failure',
      line: ends(null),
    },
  ],
  [300, { means: 'no such ticker id' }],
  [309, { means: 'too many market-depth lines', request: 'busy', line: ends(60_000) }],
  [316, { means: 'depth halted', line: ends(5_000) }],
  [317, { means: 'depth reset: the book is told anew', line: annotates }],
  [
    320,
    {
      means: 'TWS could not read a request',
      system: note('urgent'),
      order: 'refusal',
      request: 'failure',
      line: ends(null),
    },
  ],
  [
    321,
    {
      means: 'TWS found a request invalid',
      system: note('warning'),
      order: 'refusal',
      request: 'failure',
      line: ends(null),
    },
  ],
  [
    322,
    {
      means: 'TWS failed to process a request',
      system: note('warning'),
      order: 'refusal',
      request: 'busy',
      line: ends(5_000),
    },
  ],
  [323, { means: 'TWS failed on its own side', order: 'refusal', request: 'busy', line: ends(5_000) }],
  [326, { means: 'client id in use', system: { scope: 'session', change: 'clientIdInUse' } }],
  [354, { means: 'not subscribed to this market data', request: 'failure', line: ends(null) }],
  [366, { means: 'no such historical request', request: 'failure' }],
  [399, { means: 'message about a live order', order: 'notice' }],
  [404, { means: 'shares to sell short are being located', order: 'notice' }],
  [420, { means: 'invalid real-time query', request: 'failure', line: ends(null) }],
  [430, { means: 'no fundamentals for this contract', request: 'failure' }],
  [481, { means: 'order size adjusted', order: 'notice' }],
  [492, { means: 'low precision', request: 'notice' }],
  [1100, { means: 'link between TWS and IB lost', system: { scope: 'link', change: 'severed' } }],
  [
    1101,
    {
      means: 'link restored, data subscriptions lost',
      system: { scope: 'link', change: 'restoredDataLost' },
    },
  ],
  [1102, { means: 'link restored, data subscriptions kept', system: { scope: 'link', change: 'restored' } }],
  [1300, { means: 'TWS moved to another port', system: note('urgent') }],
  [2100, { means: 'account updates ended', system: note('info') }],
  [2101, { means: 'account updates refused: another is subscribed', system: note('warning') }],
  [2103, { means: 'market-data farm broken', system: farm('market', 'broken') }],
  [2104, { means: 'market-data farm OK', system: farm('market', 'ok') }],
  [2105, { means: 'historical-data farm broken', system: farm('history', 'broken') }],
  [2106, { means: 'historical-data farm OK', system: farm('history', 'ok') }],
  [2107, { means: 'historical-data farm asleep', system: farm('history', 'inactive') }],
  [2108, { means: 'market-data farm asleep', system: farm('market', 'inactive') }],
  [2109, { means: 'outside-hours flag ignored', order: 'notice' }],
  [2110, { means: 'link between TWS and its server lost', system: { scope: 'link', change: 'severed' } }],
  [2119, { means: 'market-data farm connecting', system: farm('market', 'connecting') }],
  [2148, { means: 'the broker is about to liquidate positions', system: note('urgent'), order: 'notice' }],
  [2157, { means: 'security-definition farm broken', system: farm('secdef', 'broken') }],
  [2158, { means: 'security-definition farm OK', system: farm('secdef', 'ok') }],
  [10089, { means: 'market data needs a further subscription', request: 'failure', line: ends(null) }],
  [10090, { means: 'part of the market data is not subscribed', request: 'notice', line: annotates }],
  [10092, { means: 'no depth for this kind of contract there', request: 'failure', line: ends(null) }],
  [10147, { means: 'the order to cancel is not in the book', order: 'cancelTargetUnknown' }],
  [10148, { means: 'the order to cancel is closed', order: 'cancelTargetClosed' }],
  [10167, { means: 'delayed data is shown instead', request: 'notice', line: annotates }],
  [10168, { means: 'not subscribed, and delayed data is off', request: 'failure', line: ends(null) }],
  [10182, { means: 'live updates failed: farm disconnected', request: 'busy', line: ends(5_000) }],
  [10186, { means: 'not subscribed, and delayed data is off', request: 'failure', line: ends(null) }],
  [10187, { means: 'historical ticks failed', request: 'failure' }],
  [10189, { means: 'tick-by-tick data failed', request: 'failure', line: ends(null) }],
  [10190, { means: 'too many tick-by-tick lines', request: 'busy', line: ends(60_000) }],
  [10197, { means: 'another session of this user has the market data', request: 'busy', line: ends(30_000) }],
  [10225, { means: 'bust event: the line was ended', request: 'busy', line: ends(1_000) }],
  [10349, { means: 'time in force set by an order preset', order: 'notice' }],
]);

/** Blocks of IB's table in which every number refuses an order or its change, unless it stands in `single`. */
const orderRefusals: readonly (readonly [number, number])[] = [
  [104, 160],
  [163, 164],
  [167, 168],
  [307, 315],
  [318, 319],
  [324, 353],
  [355, 364],
  [367, 391],
  [393, 398],
  [400, 419],
  [421, 429],
  [431, 480],
  [10000, 10088],
  [10091, 10146],
  [10149, 10157],
  [10163, 10166],
  [10239, 10248],
  [10268, 10275],
  [10280, 10348],
];

const unknown: CodeMeaning = { means: 'not in the table' };
const refusal: CodeMeaning = { means: 'an order parameter was refused', order: 'refusal' };

/** What a code means; of one that we do not know, nothing follows. */
export function meaningOf(code: number): CodeMeaning {
  const known = single.get(code);
  if (known) return known;
  return orderRefusals.some(([first, last]) => code >= first && code <= last) ? refusal : unknown;
}

/** What a code says of the order whose id it carries. The order to cancel may be one that is being cancelled. */
export function dispositionOf(code: number, message: string): OrderNoteDisposition {
  const disposition = meaningOf(code).order ?? 'notice';
  return disposition === 'cancelTargetClosed' && /state:\s*PendingCancel/i.test(message)
    ? 'notice'
    : disposition;
}

/** Whether the table has an opinion on a code. */
export const isKnownCode = (code: number): boolean => meaningOf(code) !== unknown;

/** The name of the farm that a notice speaks of, `unnamed` when it names none. */
export function farmNameOf(message: string): string {
  const named = /(?::|demand\.)\s*([\w.-]+)\s*$/.exec(message)?.[1];
  return named ? named.slice(0, 64) : 'unnamed';
}

/** How error 162 is to be read. */
export function historyAnswerOf(message: string): 'pacing' | 'noData' | 'competing' | 'failure' {
  if (/different IP address|competing/i.test(message)) return 'competing';
  if (/pacing|too many|request rate/i.test(message)) return 'pacing';
  if (/no data|no historical data|returned no/i.test(message)) return 'noData';
  return 'failure';
}
