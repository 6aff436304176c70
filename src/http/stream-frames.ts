/** The frames that the server sends, channel by channel: for the AsyncAPI document, and for the tests, which hold every frame to them. */
import Type, { type TObject, type TProperties, type TSchema } from 'typebox';
import { ActorRow, HealthState } from './health-schema.ts';
import { BarSize, BarsRow } from './stream-bars-schema.ts';
import { DepthRow } from './stream-depth-schema.ts';
import { TradesRow } from './stream-trades-schema.ts';
import {
  FillView,
  OrderView,
  PnlRow,
  PositionView,
  ProblemView,
  QuoteView,
  TradingView,
} from './view-schema.ts';

const Millis = Type.Integer({ description: 'ms since the epoch' });
const Id = Type.Unsafe<string | number | null>({
  type: ['string', 'integer', 'null'],
  description: 'of the message that is answered',
});
const SubscriptionId = Type.Integer({ minimum: 1 });
const Seq = Type.Integer({ minimum: 1, description: 'per subscription, from 1, without holes' });
const JournalSeq = Type.Integer({ minimum: 0, description: 'what `after` takes' });

const Epoch = Type.String({
  description: 'names the row of numbers that `journalSeq` is of; another one when numbers are given again',
});

interface ConflatedChannel {
  readonly summary: string;
  /** what a snapshot is made of */
  readonly row: TSchema;
  /** what an update is made of */
  readonly change: TSchema;
  /** whether an update may name rows that are gone */
  readonly removes?: boolean;
}
interface LosslessChannel {
  readonly summary: string;
  /** the names of its events; more may come */
  readonly events: readonly string[];
  readonly row: TSchema;
  /** what an event carries */
  readonly fact: TProperties;
}

const { key, ts, ...figures } = QuoteView.properties;

/** Rows of a table change field by field; what names the row is always there. */
function changeOf(row: TObject, identity: string): TSchema {
  const known = Object.entries(row.properties);
  return Type.Object(
    Object.fromEntries(
      known.map(([name, schema]) => [
        name,
        name === identity ? schema : Type.Optional(Type.Union([schema, Type.Null()])),
      ]),
    ),
    { description: 'what changed; null: the field is gone' },
  );
}

/** The newest value per key, one frame per beat. */
export const conflatedChannels = {
  quotes: {
    summary: 'Prices of instruments, named by `keys`.',
    row: QuoteView,
    change: Type.Object(
      { key, ...Type.Partial(Type.Object(figures)).properties, ts },
      { description: 'what changed; `merged` counts the ticks in it' },
    ),
  },
  depth: { summary: 'Order books of instruments.', row: DepthRow, change: DepthRow },
  trades: { summary: 'Prints of instruments, one by one.', row: TradesRow, change: TradesRow },
  bars: { summary: 'Bars of instruments, of one `barSize`.', row: BarsRow, change: BarsRow },
  pnl: {
    summary: 'Profit and loss per account.',
    row: PnlRow,
    change: changeOf(PnlRow, 'account'),
    removes: true,
  },
  actors: {
    summary: 'Where each actor stands.',
    row: ActorRow,
    change: changeOf(ActorRow, 'id'),
    removes: true,
  },
} satisfies Record<string, ConflatedChannel>;

const Told = Type.Record(Type.String(), Type.Unknown());

/** Every durable fact, in journal order. */
export const losslessChannels = {
  orders: {
    summary: 'What happens to orders.',
    events: [
      'order.requested',
      'order.denied',
      'order.discovered',
      'order.sent',
      'order.withheld',
      'order.accepted',
      'order.incarnationEnded',
      'order.idRefused',
      'order.renumbered',
      'order.orphaned',
      'order.reclassified',
      'order.filled',
      'order.legExecuted',
      'order.corrected',
      'order.filledAsStated',
      'order.commissioned',
      'order.modifyRequested',
      'order.modified',
      'order.modifyRejected',
      'order.cancelRequested',
      'order.cancelRejected',
      'order.cancelled',
      'order.expired',
      'order.rejected',
      'order.noticed',
      'order.doubted',
    ] as const,
    row: OrderView,
    fact: { order: OrderView, fill: Type.Optional(FillView) },
  },
  positions: {
    summary: 'What happens to positions.',
    events: ['position.changed'],
    row: PositionView,
    fact: { position: PositionView },
  },
  alerts: {
    summary: 'What a person should know.',
    events: [
      'order.inDoubt',
      'order.doubtResolved',
      'order.failed',
      'order.filledLate',
      'order.liveTwice',
      'order.overfilled',
      'order.surprised',
      'order.unpriced',
      'account.liquidated',
      'discrepancy.raised',
      'discrepancy.resolved',
      'lease.lapsed',
      'reconciliation.faltered',
      'runtime.childRestarted',
      'runtime.failed',
      'tws.absent',
      'tws.returned',
      'tws.noted',
      'tws.otherLogin',
      'tws.undecodable',
    ],
    row: Told,
    fact: { alert: Told },
  },
  health: {
    summary: 'The link, the process and the switch over all orders.',
    events: [
      'tws.ready',
      'tws.lost',
      'tws.severed',
      'tws.restored',
      'tws.farmChanged',
      'session.reconciled',
      'journal.regained',
      'trading.changed',
    ],
    row: HealthState,
    fact: { health: Type.Optional(Told), trading: Type.Optional(TradingView) },
  },
} satisfies Record<string, LosslessChannel>;

/** One kind of frame. */
export interface FrameKind {
  readonly name: string;
  readonly summary: string;
  readonly schema: TSchema;
}

const frame = (type: string, fields: TProperties, options = {}) =>
  Type.Object({ type: Type.Literal(type), ...fields }, options);
const refused = (type: string) => frame(type, { id: Id, ok: Type.Literal(false), problem: ProblemView });
const ok = Type.Literal(true);
const Scopes = Type.Array(Type.Enum(['read', 'trade']));
const Micros = Type.Integer({ minimum: 0, description: 'microseconds' });

/** Frames that belong to no subscription, by `type`; several shapes of one type are told apart by their fields. */
export const plainFrames: Readonly<
  Record<string, { readonly summary: string; readonly shapes: readonly TSchema[] }>
> = {
  welcome: {
    summary: 'The first frame.',
    shapes: [
      frame('welcome', {
        protocol: Type.Literal('1'),
        sessionId: Type.String(),
        serverTime: Millis,
        beatMs: Type.Number({ description: 'between two frames of a conflated channel' }),
        heartbeatMs: Type.Number(),
        auth: Type.Enum(['none', 'required']),
        epoch: Epoch,
      }),
    ],
  },
  ack: {
    summary: 'The answer to auth, subscribe and unsubscribe.',
    shapes: [
      frame('ack', { id: Id, ok, scopes: Scopes }),
      frame('ack', {
        id: Id,
        ok,
        subscription: SubscriptionId,
        keys: Type.Optional(
          Type.Array(Type.String(), {
            description: 'by these names the rows come; the canonical short forms',
          }),
        ),
        rejected: Type.Optional(
          Type.Array(Type.Object({ key: Type.Unknown(), problem: ProblemView }), {
            description: 'keys that name nothing, and why',
          }),
        ),
        barSize: Type.Optional(BarSize),
        mode: Type.Optional(
          Type.Enum(['replay', 'snapshot'], { description: 'replay: events after `after`; else a snapshot' }),
        ),
        epoch: Type.Optional(Epoch),
      }),
      refused('ack'),
    ],
  },
  result: {
    summary: 'The answer to a command.',
    shapes: [
      frame('result', {
        id: Id,
        ok,
        order: OrderView,
        timing: Type.Optional(Type.Object({ reviewUs: Micros, journalUs: Micros, totalUs: Micros })),
      }),
      frame('result', {
        id: Id,
        ok,
        lease: Type.Object({
          client: Type.String(),
          cancelAfterMs: Type.Integer({ minimum: 0 }),
          expiresAt: Type.Union([Type.String(), Type.Null()], { description: 'RFC 3339; null: ended' }),
        }),
      }),
      refused('result'),
    ],
  },
  pong: { summary: 'The answer to a ping.', shapes: [frame('pong', { id: Id, serverTime: Millis })] },
  heartbeat: {
    summary: 'The last seq of each subscription: whoever has less has a hole.',
    shapes: [
      frame('heartbeat', { ts: Millis, last: Type.Record(Type.String(), Type.Integer({ minimum: 0 })) }),
    ],
  },
  notice: {
    summary: 'About one subscription.',
    shapes: [
      frame('notice', {
        level: Type.Literal('warn'),
        code: Type.Literal('slow-consumer'),
        subscription: SubscriptionId,
        skippedBeats: Type.Integer({ minimum: 1, description: 'since the last notice' }),
      }),
      frame('notice', {
        level: Type.Literal('warn'),
        code: Type.Enum(['sequence-unknown', 'epoch-changed'], {
          description: 'the journal holds no such number, or numbers it otherwise now: a snapshot follows',
        }),
        subscription: SubscriptionId,
        after: Type.Integer({ minimum: 0 }),
        lastSeq: Type.Integer({ minimum: 0 }),
        epoch: Epoch,
      }),
      frame('notice', {
        level: Type.Literal('warn'),
        code: Type.Enum(['quote-failed', 'depth-failed', 'trades-failed', 'bars-failed']),
        subscription: SubscriptionId,
        key: Type.String(),
        reason: Type.Object({ code: Type.String(), message: Type.String() }),
        retryAfterMs: Type.Optional(
          Type.Union([Type.Number(), Type.Null()], { description: 'null: nobody asks again by itself' }),
        ),
      }),
    ],
  },
  bye: {
    summary: 'The last frame before close code 1001.',
    shapes: [
      frame('bye', {
        code: Type.Literal('server-shutdown'),
        reconnectInMs: Type.Integer({ minimum: 0, description: 'a different one for each client' }),
      }),
    ],
  },
};

const numbered = { subscription: SubscriptionId, seq: Seq };

/** Frames of a channel, by `type`; undefined: there is no such channel. */
export function framesOf(channel: string): Readonly<Record<string, TSchema>> | undefined {
  const conflated: ConflatedChannel | undefined = own(conflatedChannels, channel);
  if (conflated) {
    const removed = conflated.removes ? { removed: Type.Optional(Type.Array(Type.String())) } : {};
    return {
      snapshot: frame('snapshot', { ...numbered, ts: Millis, rows: Type.Array(conflated.row) }),
      update: frame('update', { ...numbered, ts: Millis, rows: Type.Array(conflated.change), ...removed }),
    };
  }
  const lossless: LosslessChannel | undefined = own(losslessChannels, channel);
  if (!lossless) return undefined;
  const { row, fact, events } = lossless;
  const event = Type.String({ description: `${events.join(', ')}; more may come` });
  return {
    snapshot: frame('snapshot', { ...numbered, ts: Millis, journalSeq: JournalSeq, rows: Type.Array(row) }),
    event: frame('event', { ...numbered, journalSeq: JournalSeq, ts: Millis, event, ...fact }),
  };
}

/** All kinds of frames, each under a name of its own. */
export function frameKinds(): readonly FrameKind[] {
  const plain = Object.entries(plainFrames).map(([name, { summary, shapes }]) => {
    const [only, ...more] = shapes;
    return { name, summary, schema: only && more.length === 0 ? only : Type.Union([...shapes]) };
  });
  const channels = Object.entries({ ...conflatedChannels, ...losslessChannels });
  const ofChannels = channels.flatMap(([channel, { summary }]) =>
    Object.entries(framesOf(channel) ?? {}).map(([type, schema]) => ({
      name: `${channel}.${type}`,
      summary: type === 'snapshot' ? `${summary} As it is when one subscribes.` : summary,
      schema,
    })),
  );
  return [...plain, ...ofChannels];
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
