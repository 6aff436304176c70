/** Routes of the trading switch: open, reducing, halted; and the kill switch. */
import Type from 'typebox';
import type { HttpOptions } from './options.ts';
import { ProblemError, problem } from './problems.ts';
import { type Server, valid } from './routing.ts';
import { checkOf } from './validation.ts';
import { FateView, ProblemView, TradingView } from './view-schema.ts';

const closed = { additionalProperties: false } as const;
const Message = Type.String({ maxLength: 200, description: 'Why; kept as the reason.' });
const SwitchInput = Type.Object(
  { state: Type.Enum(['open', 'reducing', 'halted']), message: Type.Optional(Message) },
  closed,
);
const KillInput = Type.Object({ message: Type.Optional(Message) }, closed);
const KillView = Type.Object({ trading: TradingView, orders: Type.Array(FateView), next: Type.Null() });

const checkSwitch = checkOf(SwitchInput);
const checkKill = checkOf(KillInput);
const tags = ['trading'];

export function addTrading(server: Server, { trading }: HttpOptions): void {
  server.get(
    '/v1/trading',
    {
      config: { scope: 'read' },
      schema: { tags, summary: 'Whether orders may be placed', response: { 200: TradingView } },
    },
    () => trading.status(),
  );

  server.put(
    '/v1/trading',
    {
      config: { scope: 'trade', rateLimit: false },
      schema: {
        tags,
        summary: 'Open, reduce only, or halt',
        description:
          'Latched; survives a restart. After a part has failed for good it can only be halted until the runtime is restarted.',
        body: SwitchInput,
        response: { 200: TradingView, 400: ProblemView, 409: ProblemView },
      },
    },
    async (request) => {
      const { state, message } = valid(checkSwitch(request.body));
      const result = await trading.setStatus(state, message ?? 'asked for over the API');
      if (result.outcome === 'switched') return result.status;
      const { parts, status } = result;
      const detail = `the ${parts.join(' and the ')} failed and no order is taken: restart the runtime, then open trading`;
      throw new ProblemError(problem('part-failed', detail, { parts, trading: status }));
    },
  );

  server.post(
    '/v1/kill',
    {
      config: { scope: 'trade', rateLimit: false },
      schema: {
        tags,
        summary: 'Halt, and cancel everything',
        description: 'The body may be left out.',
        response: { 200: KillView, 400: ProblemView },
      },
    },
    async (request) => {
      const { message } = valid(checkKill(request.body ?? {}));
      const orders = await trading.kill(message ?? 'kill switch');
      return { trading: trading.status(), orders, next: null };
    },
  );
}
