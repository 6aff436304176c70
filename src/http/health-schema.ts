/** The shapes of health answers. */
import Type from 'typebox';

const CheckStatus = Type.Enum(['pass', 'warn', 'fail']);
const NullableText = Type.Union([Type.String(), Type.Null()]);

const Reasons = Type.Array(
  Type.Object({
    code: Type.String(),
    component: Type.Optional(Type.String({ description: 'The part that it was found in.' })),
    since: Type.String(),
    detail: Type.String(),
  }),
);
const Gates = Type.Object({
  live: Type.Boolean(),
  started: Type.Boolean(),
  ready: Type.Boolean(),
  trading: Type.Boolean(),
});

export const Service = Type.Object({
  name: Type.String(),
  version: Type.String(),
  environment: Type.String({ description: 'simulated, paper or live' }),
  status: CheckStatus,
  docs: NullableText,
  dashboard: NullableText,
});

export const HealthAnswer = Type.Object({
  status: CheckStatus,
  reason: Type.Union([Type.String(), Type.Null()], { description: 'Code of what fails the check.' }),
  reasons: Reasons,
  gates: Gates,
});

export const ActorRow = Type.Object({
  id: Type.String(),
  machine: Type.String(),
  state: Type.String(),
  tags: Type.Array(Type.String()),
  since: Type.String(),
  restarts: Type.Integer(),
});

const state = {
  status: CheckStatus,
  gates: Gates,
  reasons: Reasons,
  components: Type.Record(
    Type.String(),
    Type.Object(
      { status: CheckStatus, since: Type.String() },
      { additionalProperties: true, description: 'and the figures of the part' },
    ),
  ),
};
/** What the stream's channel `health` begins with. */
export const HealthState = Type.Object(state);

export const DetailedHealth = Type.Object({
  ...state,
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  actors: Type.Array(ActorRow),
});
