/** The shapes of order requests: one source for types, validation and the OpenAPI document. */
import Type, { type Static, type TOptional } from 'typebox';
import {
  orderTypes,
  type TwsFieldKind,
  type TwsOrderField,
  timesInForce,
  twsOrderFields,
} from '../../machines/order.ts';

const closed = { additionalProperties: false } as const;

/** A decimal as text or number; text keeps it exact. */
const DecimalInput = Type.Unsafe<string | number>({
  type: ['string', 'number'],
  description: 'A decimal as text ("187.20") or number.',
});

/** Text for the wire of TWS, on which control characters end a field. */
export const plain = { pattern: '^[^\\x00-\\x1f\\x7f]*$' } as const;

const ComboLeg = Type.Object(
  {
    conId: Type.Integer({ minimum: 1 }),
    ratio: Type.Integer({ minimum: 1 }),
    action: Type.Enum(['BUY', 'SELL']),
    exchange: Type.String({ ...plain, minLength: 1, maxLength: 16 }),
  },
  closed,
);

/** A contract in TWS's own field names. */
export const ContractInput = Type.Object(
  {
    conId: Type.Optional(Type.Integer({ minimum: 1 })),
    symbol: Type.Optional(Type.String({ ...plain, minLength: 1, maxLength: 32 })),
    secType: Type.Optional(Type.String({ pattern: '^[A-Z]{2,8}$' })),
    exchange: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9.]{1,16}$' })),
    currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$' })),
    lastTradeDateOrContractMonth: Type.Optional(Type.String({ pattern: '^\\d{6}(\\d{2})?$' })),
    strike: Type.Optional(Type.Number({ minimum: 0 })),
    right: Type.Optional(Type.Enum(['C', 'P'])),
    multiplier: Type.Optional(Type.String({ ...plain, maxLength: 16 })),
    localSymbol: Type.Optional(Type.String({ ...plain, minLength: 1, maxLength: 48 })),
    primaryExch: Type.Optional(Type.String({ ...plain, maxLength: 16 })),
    tradingClass: Type.Optional(Type.String({ ...plain, maxLength: 16 })),
    comboLegs: Type.Optional(Type.Array(ComboLeg, { minItems: 2, maxItems: 6 })),
  },
  { ...closed, description: "A contract in TWS's own field names." },
);

/** What `readInstrument` takes. Its inside is checked there, so that complaints name the field. */
export const InstrumentInput = Type.Unsafe<unknown>({
  type: ['string', 'object'],
  description:
    '[SECTYPE:]LOCAL[@EXCHANGE][/CURRENCY], e.g. AAPL, SAP@IBIS/EUR, FUT:ESZ6@CME, CONID:265598; or a contract object.',
});

export const ClientOrderId = Type.String({
  pattern: '^[A-Za-z0-9._-]{1,32}$',
  description: 'Chosen by the client; sent to the broker as orderRef. A new one is neither "." nor "..".',
});

const Price = Type.Object({ limitPrice: DecimalInput }, closed);
const StopLoss = Type.Object({ stopPrice: DecimalInput, limitPrice: Type.Optional(DecimalInput) }, closed);

const fieldKinds = {
  boolean: Type.Boolean(),
  integer: Type.Integer(),
  number: Type.Number(),
  text: Type.String({ ...plain, maxLength: 64 }),
} as const;

/** How a client names itself: its lease covers its own orders. */
export const ClientName = Type.String({
  pattern: '^[A-Za-z0-9._-]{1,32}$',
  description: 'The name of the client; lease.renew with it covers the order.',
});

/** Further TWS order fields that may be set, with their types: the list that the TWS side translates. */
export const TwsFields = Type.Object(
  Object.fromEntries(
    Object.entries(twsOrderFields).map(([field, kind]) => [field, Type.Optional(fieldKinds[kind])]),
  ) as Record<TwsOrderField, TOptional<(typeof fieldKinds)[TwsFieldKind]>>,
  { ...closed, description: 'Further TWS order fields.' },
);

const terms = {
  limitPrice: Type.Optional(DecimalInput),
  stopPrice: Type.Optional(DecimalInput),
  trailAmount: Type.Optional(DecimalInput),
  trailPercent: Type.Optional(DecimalInput),
  timeInForce: Type.Optional(Type.Enum([...timesInForce])),
  goodTillDate: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339; with timeInForce gtd.' })),
  outsideRegularHours: Type.Optional(Type.Boolean()),
};

/** The body of `POST /v1/orders` and of `order.submit`. */
export const OrderInput = Type.Object(
  {
    clientOrderId: Type.Optional(ClientOrderId),
    instrument: InstrumentInput,
    side: Type.Enum(['buy', 'sell']),
    quantity: DecimalInput,
    type: Type.Enum([...orderTypes]),
    ...terms,
    account: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9]{1,16}$' })),
    client: Type.Optional(ClientName),
    ocaGroup: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,32}$' })),
    parentClientOrderId: Type.Optional(ClientOrderId),
    bracket: Type.Optional(
      Type.Object(
        { takeProfit: Type.Optional(Price), stopLoss: Type.Optional(StopLoss) },
        { ...closed, description: 'Exit orders, sent with this one; at least one of the two.' },
      ),
    ),
    algo: Type.Optional(
      Type.Object(
        {
          strategy: Type.String({ pattern: '^[A-Za-z0-9]{1,32}$' }),
          params: Type.Record(
            Type.String({ pattern: '^[A-Za-z0-9_.-]{1,32}$' }),
            Type.String({ ...plain, maxLength: 64 }),
            {
              ...closed,
              maxProperties: 32,
            },
          ),
        },
        closed,
      ),
    ),
    tws: Type.Optional(TwsFields),
  },
  closed,
);
export type OrderInput = Static<typeof OrderInput>;

/** The body of `PATCH /v1/orders/{clientOrderId}` and `change` of `order.modify`. */
export const ChangeInput = Type.Object(
  { quantity: Type.Optional(DecimalInput), ...terms },
  { ...closed, minProperties: 1 },
);
export type ChangeInput = Static<typeof ChangeInput>;

/** The body of `POST /v1/orders/{clientOrderId}/settle`. */
export const SettlementInput = Type.Object(
  {
    filledQuantity: Type.Unsafe<string | number>({
      type: ['string', 'number'],
      description: 'All that it ever filled, as a decimal; 0: nothing.',
    }),
    averagePrice: Type.Optional(
      Type.Unsafe<string | number>({
        type: ['string', 'number'],
        description: 'Of all that, as a decimal; left out: not known.',
      }),
    ),
    note: Type.Optional(Type.String({ maxLength: 200, description: 'Where that is known from.' })),
  },
  closed,
);
