/** Routes that show the statecharts themselves: as data, and as diagrams. */
import Type from 'typebox';
import { type MachineDefinition, machineDefinitions } from './machine-definition.ts';
import { diagramOf } from './machine-diagram.ts';
import { listOf, PageQuery, pageOf, pageRequest } from './pages.ts';
import { ProblemError, problem } from './problems.ts';
import type { Server } from './routing.ts';
import { ProblemView } from './view-schema.ts';

const config = { scope: 'read' } as const;
const tags = ['machines'];
const mermaidType = 'text/vnd.mermaid';

const Names = Type.Array(Type.String());
const TextOrNull = Type.Union([Type.String(), Type.Null()]);

const TransitionView = Type.Object({
  event: Type.Union([Type.String(), Type.Null()], { description: 'null: at once, or after `delay`' }),
  delay: Type.Union([Type.String(), Type.Null()], { description: 'name of the wait that ends with it' }),
  guard: TextOrNull,
  targets: Type.Array(Type.String(), { description: 'paths; empty: only the actions run' }),
  reenter: Type.Boolean(),
  actions: Names,
});

const stateFields = {
  key: Type.String(),
  path: Type.String({ description: 'keys from the root on; empty for the root' }),
  type: Type.Enum(['atomic', 'compound', 'parallel', 'final', 'history']),
  description: TextOrNull,
  tags: Names,
  initial: TextOrNull,
  entry: Names,
  exit: Names,
  invokes: Type.Array(Type.String(), { description: 'actors that run while the state lasts' }),
  transitions: Type.Array(TransitionView),
};
/** Of the root; states inside have the same fields, however deep. */
const StateView = Type.Object({
  ...stateFields,
  states: Type.Array(
    Type.Object({
      ...stateFields,
      states: Type.Array(Type.Unknown(), { description: 'states of the same shape' }),
    }),
  ),
});

export const MachineView = Type.Object({
  id: Type.String(),
  description: TextOrNull,
  tags: Names,
  events: Names,
  guards: Names,
  actions: Names,
  delays: Type.Array(
    Type.Object({
      name: Type.String(),
      ms: Type.Union([Type.Number(), Type.Null()], { description: 'null: computed when it begins' }),
    }),
  ),
  actors: Type.Array(
    Type.Object({
      name: Type.String(),
      machine: Type.Union([Type.String(), Type.Null()], { description: 'null: a port, not a machine' }),
    }),
  ),
  states: StateView,
});

const MachinePath = Type.Object(
  { machine: Type.String({ minLength: 1, maxLength: 64 }) },
  { additionalProperties: false },
);
const FormatQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Enum(['json', 'mermaid'], {
        description: `mermaid: the diagram as ${mermaidType}; an Accept header asks for the same`,
      }),
    ),
  },
  { additionalProperties: false },
);

export function addMachines(server: Server): void {
  server.get(
    '/v1/machines',
    {
      config,
      schema: {
        tags,
        summary: 'Every statechart of the runtime, as data',
        querystring: PageQuery,
        response: { 200: listOf('machines', MachineView), 400: ProblemView },
      },
    },
    (request) => {
      const { rows, next } = pageOf(machineDefinitions(), pageRequest(request.query), ({ id }) => id);
      return { machines: rows, next };
    },
  );

  server.get(
    '/v1/machines/:machine',
    {
      config,
      schema: {
        tags,
        summary: 'One statechart, as data or as a Mermaid diagram',
        params: MachinePath,
        querystring: FormatQuery,
        response: { 200: MachineView, 400: ProblemView, 404: ProblemView },
      },
    },
    (request, reply) => {
      const machine = definition(request.params.machine);
      reply.header('Vary', 'Accept');
      const format = request.query.format ?? formatOf(request.headers.accept);
      if (format === 'json') return machine;
      reply.type(`${mermaidType}; charset=utf-8`);
      reply.serializer((text: unknown) => String(text));
      return diagramOf(machine);
    },
  );
}

function definition(id: string): MachineDefinition {
  const all = machineDefinitions();
  const found = all.find((machine) => machine.id === id);
  if (found) return found;
  const detail = `no machine is called "${id}"; there are ${all.map((machine) => machine.id).join(', ')}`;
  throw new ProblemError(problem('not-found', detail));
}

function formatOf(accept = ''): 'json' | 'mermaid' {
  return accept.toLowerCase().includes(mermaidType) ? 'mermaid' : 'json';
}
