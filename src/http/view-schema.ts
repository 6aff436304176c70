/** The shapes of answers: orders, positions, executions, money, instruments, prices. For the OpenAPI document and its tests. */
import Type from 'typebox';
import { orderStates, orderTypes, timesInForce } from '../../machines/order.ts';
import { ContractInput, TwsFields } from './order-schema.ts';

const DecimalText = Type.String({ description: 'A decimal as text.' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Time = Type.String({ description: 'RFC 3339 UTC' });

const ReasonView = Type.Object({ code: Type.String(), message: Type.String() });

const terms = {
  quantity: DecimalText,
  limitPrice: Type.Optional(DecimalText),
  stopPrice: Type.Optional(DecimalText),
  trailAmount: Type.Optional(DecimalText),
  trailPercent: Type.Optional(DecimalText),
  timeInForce: Type.Enum([...timesInForce]),
  goodTillDate: Type.Optional(Time),
  outsideRegularHours: Type.Optional(Type.Boolean()),
};

export const FillView = Type.Object({
  execId: Type.String(),
  quantity: DecimalText,
  price: DecimalText,
  at: Time,
  commission: orNull(DecimalText),
  commissionCurrency: Type.Optional(Type.String({ description: 'of commission and realizedPnl' })),
  realizedPnl: orNull(DecimalText),
  permId: Type.Optional(Type.String({ description: "the broker's order that filled" })),
  exchange: Type.Optional(Type.String({ description: 'where it was traded' })),
});

export const OrderView = Type.Object({
  clientOrderId: Type.String(),
  origin: Type.Enum(['api', 'external', 'liquidation']),
  account: Type.String(),
  instrument: Type.String(),
  contract: ContractInput,
  side: Type.Enum(['buy', 'sell']),
  type: Type.Enum([...orderTypes, 'other'], {
    description: 'other: an order of somebody else, of a type that we do not know',
  }),
  brokerType: Type.Optional(Type.String({ description: "TWS's own word for a type `other`" })),
  ...terms,
  ocaGroup: Type.Optional(Type.String()),
  parentClientOrderId: Type.Optional(
    Type.String({ description: 'the order whose exit it is; it waits until that has filled' }),
  ),
  client: Type.Optional(Type.String({ description: 'the client whose lease covers it' })),
  algo: Type.Optional(
    Type.Object({ strategy: Type.String(), params: Type.Record(Type.String(), Type.String()) }),
  ),
  tws: Type.Optional(TwsFields),
  quantityUnknown: Type.Optional(
    Type.Literal(true, {
      description: 'an order of others, met by its executions: `quantity` is what they have filled so far',
    }),
  ),
  state: Type.Enum([...orderStates]),
  filledQuantity: DecimalText,
  remainingQuantity: DecimalText,
  averageFillPrice: orNull(DecimalText),
  commission: orNull(DecimalText),
  orderId: orNull(Type.Integer()),
  permIds: Type.Array(Type.String()),
  incarnations: Type.Optional(
    Type.Array(
      Type.Object({
        permId: Type.String(),
        state: Type.String({ description: 'live, or how it ended' }),
        quantity: Type.Optional(DecimalText),
      }),
      { description: 'the broker orders behind `permIds`, oldest first, each with its own end' },
    ),
  ),
  refusedOrderIds: Type.Optional(
    Type.Array(Type.Integer(), {
      description: 'ids that TWS refused as used before; nothing was placed under them',
    }),
  ),
  orphaned: Type.Optional(
    Type.Boolean({ description: "true: its parent is gone from the broker's book, it stands on its own" }),
  ),
  heldBecause: Type.Optional(
    Type.String({ description: 'why TWS holds it back, e.g. `child`, `trigger`, `locate`' }),
  ),
  cancelRequestedAt: Type.Optional(Time),
  version: Type.Integer(),
  reason: orNull(ReasonView),
  notices: Type.Array(Type.Object({ code: Type.Integer(), message: Type.String(), at: Time })),
  pendingChange: orNull(Type.Partial(Type.Object(terms))),
  fills: Type.Array(FillView),
  legFills: Type.Optional(
    Type.Array(
      Type.Intersect([
        FillView,
        Type.Object({ side: Type.Enum(['buy', 'sell']), conId: Type.Optional(Type.Integer()) }),
      ]),
      { description: 'of a combo: the executions of its legs, whose commissions are its own' },
    ),
  ),
  statedFilled: Type.Optional(
    Type.Object(
      {
        quantity: DecimalText,
        averagePrice: orNull(DecimalText),
        settled: Type.Optional(Type.Literal(true, { description: 'a person stated it' })),
      },
      { description: 'filled as the broker states it, though no execution explains it' },
    ),
  ),
  busted: Type.Optional(Type.Array(Type.String(), { description: 'executions that the broker took back' })),
  createdAt: Time,
  updatedAt: Time,
  confirmed: Type.Optional(
    Type.Boolean({
      description: 'false: open or in doubt, and the lists of this session have not confirmed it yet',
    }),
  ),
});

export const FateView = Type.Object({
  clientOrderId: Type.String(),
  fate: Type.String({ description: 'requested, closed, unavailable, ...' }),
  order: OrderView,
});

export const TradingView = Type.Object({
  state: Type.Enum(['open', 'reducing', 'halted']),
  reasons: Type.Array(Type.Object({ code: Type.String(), message: Type.String(), since: Time })),
  durable: Type.Optional(
    Type.Boolean({ description: 'false: not on disk yet, and so forgotten by a restart; absent: it is' }),
  ),
});

export const PreviewView = Type.Object({
  accepted: Type.Boolean({ description: 'whether the broker would take it' }),
  reason: orNull(ReasonView),
  preview: orNull(Type.Record(Type.String(), orNull(Type.String()))),
  gate: Type.Object({
    approved: Type.Boolean(),
    reasons: Type.Array(ReasonView),
    unapplied: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Limits, by their settings, that cannot be applied: there is no price.',
      }),
    ),
  }),
});

export const PositionView = Type.Object({
  account: Type.String(),
  instrument: Type.String(),
  contract: ContractInput,
  quantity: Type.String({
    description: 'A decimal as text; short is below 0. "0": the position is closed, its row is gone.',
  }),
  averageCost: Type.Union([DecimalText, Type.Null()], {
    description: "TWS's own: with commission, and of a derivative times its multiplier",
  }),
  marketPrice: Type.Union([DecimalText, Type.Null()], {
    description:
      'per unit; null until TWS has valued this quantity. It changes without an event: read it here.',
  }),
  unrealizedPnl: Type.Union([DecimalText, Type.Null()], {
    description: "in the contract's currency; else as marketPrice",
  }),
  realizedPnl: Type.Union([DecimalText, Type.Null()], {
    description: "in the contract's currency; else as marketPrice",
  }),
  confirmed: Type.Boolean({ description: "whether the broker's own position agrees" }),
});

export const ExecutionView = Type.Object({
  execId: Type.String(),
  clientOrderId: orNull(Type.String()),
  account: Type.String(),
  instrument: Type.String(),
  side: Type.Enum(['buy', 'sell']),
  quantity: DecimalText,
  price: DecimalText,
  commission: orNull(DecimalText),
  currency: Type.String(),
  realizedPnl: orNull(DecimalText),
  at: Time,
});

export const AccountView = Type.Object({
  accounts: Type.Array(Type.String()),
  values: Type.Array(
    Type.Object({
      account: Type.String(),
      key: Type.String(),
      value: Type.String(),
      currency: Type.String(),
      at: Time,
    }),
  ),
  summary: orNull(Type.Record(Type.String(), Type.String())),
  balances: Type.Optional(
    Type.Array(
      Type.Object(
        {
          account: Type.String(),
          outcome: Type.Enum(['complete', 'asking']),
          at: orNull(Time),
          ageMs: orNull(Type.Number()),
        },
        { description: "how old each account's figures are; complete: told in this session" },
      ),
    ),
  ),
});

export const PnlRow = Type.Object({
  account: Type.String(),
  daily: orNull(DecimalText),
  unrealized: orNull(DecimalText),
  realized: orNull(DecimalText),
  at: orNull(Time),
});
export const PnlView = Type.Object({ accounts: Type.Array(PnlRow) });

export const ContractView = Type.Object({
  instrument: Type.String(),
  contract: ContractInput,
  longName: Type.String(),
  minTick: Type.Number(),
  timeZone: Type.String(),
  tradingHours: Type.String(),
  liquidHours: Type.String(),
  validExchanges: Type.Array(Type.String()),
  orderTypes: Type.Array(Type.String()),
});

export const MatchView = Type.Object({
  instrument: Type.String(),
  contract: ContractInput,
  description: Type.String(),
  derivativeSecTypes: Type.Array(Type.String()),
});

const figure = Type.Optional(Type.Number());

export const QuoteView = Type.Object({
  key: Type.String(),
  bid: figure,
  ask: figure,
  bidSize: figure,
  askSize: figure,
  last: figure,
  lastSize: figure,
  volume: figure,
  open: figure,
  high: figure,
  low: figure,
  close: figure,
  status: Type.Enum(['live', 'delayed', 'frozen', 'stale', 'halted']),
  merged: figure,
  ts: Type.Number({ description: "when TWS's bytes were read, ms since the epoch" }),
});

export const BarView = Type.Object({
  time: Time,
  open: Type.Number(),
  high: Type.Number(),
  low: Type.Number(),
  close: Type.Number(),
  volume: Type.Number(),
  wap: Type.Number(),
  count: Type.Number(),
  partial: Type.Optional(
    Type.Literal(true, { description: 'on the last bar while it is still forming; its figures may change' }),
  ),
});

export const FactView = Type.Object({
  seq: Type.Integer(),
  ts: Type.Number(),
  channel: orNull(Type.Enum(['orders', 'positions', 'alerts', 'health'])),
  event: Type.String(),
  payload: Type.Record(Type.String(), Type.Unknown()),
});

export const ProblemView = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
    reason: Type.Optional(
      Type.String({ description: "why, of a 503: `connecting`, `halted`, ...; else the broker's code" }),
    ),
    order: Type.Optional(OrderView),
  },
  { description: 'RFC 9457' },
);
