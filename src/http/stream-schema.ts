/** The messages that clients may send. */
import Type, { type Static } from 'typebox';
import { ClientName } from './order-schema.ts';
import { checkOf } from './validation.ts';

const closed = { additionalProperties: false } as const;
const id = Type.Unsafe<string | number>({ type: ['string', 'integer'], description: 'echoed in the answer' });
const text = Type.String({ minLength: 1, maxLength: 64 });

const Auth = Type.Object(
  { type: Type.Literal('auth'), id, token: Type.String({ minLength: 1, maxLength: 512 }) },
  closed,
);
const Subscribe = Type.Object(
  {
    type: Type.Literal('subscribe'),
    id,
    channel: text,
    keys: Type.Optional(Type.Array(Type.Unknown(), { minItems: 1 })),
    after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
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
    ifVersion: Type.Optional(Type.Integer({ minimum: 0 })),
    /** 0 ends the lease */
    cancelAfterMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400_000 })),
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
