/** The messages that clients may send. */
import Type, { type Static, type TProperties, type TSchema } from 'typebox';
import { ChangeInput, ClientName, ClientOrderId, InstrumentInput, OrderInput } from './order-schema.ts';
import { BarSize } from './stream-bars-schema.ts';
import { checkOf } from './validation.ts';

const closed = { additionalProperties: false } as const;
const id = Type.Unsafe<string | number>({ type: ['string', 'integer'], description: 'echoed in the answer' });
const textLimits = { minLength: 1, maxLength: 64 } as const;
const text = Type.String(textLimits);
const ifVersion = Type.Integer({ minimum: 0, description: 'refused unless the order is at this version' });
const cancelAfterMs = Type.Integer({
  minimum: 0,
  maximum: 86_400_000,
  description: 'open orders are cancelled when it is not renewed in this time; 0 ends it',
});

const Auth = Type.Object(
  { type: Type.Literal('auth'), id, token: Type.String({ minLength: 1, maxLength: 512 }) },
  closed,
);
const Subscribe = Type.Object(
  {
    type: Type.Literal('subscribe'),
    id,
    channel: Type.String({
      ...textLimits,
      description:
        'conflated: quotes, depth, trades, bars, pnl, actors; lossless: orders, positions, alerts, health',
    }),
    keys: Type.Optional(
      Type.Array(Type.Unknown(), { minItems: 1, description: 'instruments or contracts; for market data' }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'the journalSeq up to which everything is known; lossless channels go on after it',
      }),
    ),
    epoch: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'of which `after` is; when it is another by now, a snapshot is sent',
      }),
    ),
    barSize: Type.Optional(BarSize),
  },
  closed,
);
const Unsubscribe = Type.Object(
  { type: Type.Literal('unsubscribe'), id: Type.Optional(id), subscription: Type.Integer({ minimum: 1 }) },
  closed,
);
const Ping = Type.Object({ type: Type.Literal('ping'), id: Type.Optional(id) }, closed);
const Command = Type.Object(
  {
    type: Type.Literal('command'),
    id,
    command: text,
    order: Type.Optional(Type.Unknown()),
    change: Type.Optional(Type.Unknown()),
    clientOrderId: Type.Optional(text),
    ifVersion: Type.Optional(ifVersion),
    cancelAfterMs: Type.Optional(cancelAfterMs),
    client: Type.Optional(ClientName),
  },
  closed,
);

export type SubscribeMessage = Static<typeof Subscribe>;
export type CommandMessage = Static<typeof Command>;

/** One check per `type`. */
export const messageChecks = {
  auth: checkOf(Auth),
  subscribe: checkOf(Subscribe),
  unsubscribe: checkOf(Unsubscribe),
  ping: checkOf(Ping),
  command: checkOf(Command),
};

/** One kind of message, for readers: as checked, and where something else checks the inside (orders, instruments) with that. */
export interface MessageKind {
  readonly name: string;
  readonly summary: string;
  readonly schema: TSchema;
  /** the frame that answers it */
  readonly answer: 'ack' | 'pong' | 'result';
}

const command = (name: string, fields: TProperties): TSchema =>
  Type.Object({ type: Type.Literal('command'), id, command: Type.Literal(name), ...fields }, closed);

export const messageKinds: readonly MessageKind[] = [
  { name: 'auth', summary: 'Who I am, where no header can say it.', schema: Auth, answer: 'ack' },
  {
    name: 'subscribe',
    summary: 'Send me this channel: a snapshot and what changes, or what I missed and what comes.',
    schema: Type.Object(
      {
        ...Subscribe.properties,
        keys: Type.Optional(
          Type.Array(InstrumentInput, { minItems: 1, description: 'of channels that have keys' }),
        ),
      },
      closed,
    ),
    answer: 'ack',
  },
  { name: 'unsubscribe', summary: 'No more of this one.', schema: Unsubscribe, answer: 'ack' },
  { name: 'ping', summary: 'Are you there?', schema: Ping, answer: 'pong' },
  {
    name: 'order.submit',
    summary: 'Like POST /v1/orders.',
    schema: command('order.submit', { order: OrderInput }),
    answer: 'result',
  },
  {
    name: 'order.modify',
    summary: 'Like PATCH /v1/orders/{clientOrderId}.',
    schema: command('order.modify', {
      clientOrderId: ClientOrderId,
      change: ChangeInput,
      ifVersion: Type.Optional(ifVersion),
    }),
    answer: 'result',
  },
  {
    name: 'order.cancel',
    summary: 'Like DELETE /v1/orders/{clientOrderId}.',
    schema: command('order.cancel', { clientOrderId: ClientOrderId }),
    answer: 'result',
  },
  {
    name: 'lease.renew',
    summary: 'Cancel my open orders when I stop saying this.',
    schema: command('lease.renew', { cancelAfterMs, client: Type.Optional(ClientName) }),
    answer: 'result',
  },
];
