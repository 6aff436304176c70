import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, type Snapshot, setup } from 'xstate';
import {
  type AuditEvent,
  type AuditReport,
  type AuditStanding,
  auditMachine,
  emptyStanding,
} from '../../machines/audit.machine.ts';
import { type Finding, uncertainPositions } from '../../machines/discrepancy.ts';
import type { Reconciliation } from '../../machines/reconciliation.machine.ts';
import { matrix } from './matrix.ts';
import { at as noon, order } from './orders.ts';

const dayMs = 86_400_000;
const midnight = Math.floor(noon / dayMs) * dayMs;
const account = 'DU1234567';

function openAudit(standing: AuditStanding = emptyStanding) {
  const said: AuditReport[] = [];
  const supervisor = setup({
    types: { events: {} as AuditReport },
    actors: { audit: auditMachine },
    actions: { keep: ({ event }) => said.push(event) },
  }).createMachine({
    invoke: { src: 'audit', id: 'audit' },
    on: { 'audit.differed': { actions: 'keep' }, 'audit.covered': { actions: 'keep' } },
  });
  const actor = createActor(supervisor).start().getSnapshot().children.audit as ActorRefFrom<
    typeof auditMachine
  >;
  actor.send({ type: 'audit.restored', standing });
  return {
    said,
    send: (event: AuditEvent) => actor.send(event),
    persisted: () => actor.getPersistedSnapshot() as Snapshot<unknown>,
    open: () => actor.getSnapshot().context.book.open.map(({ code }) => code),
    told: () =>
      said.flatMap((report) =>
        report.type === 'audit.differed'
          ? [
              ...report.raised.map(({ code }) => `+${code}`),
              ...report.resolved.map(({ code, done }) => `-${code} ${done?.how}`),
            ]
          : [],
      ),
  };
}

const compared = (at: number, day = { from: midnight, to: midnight + dayMs }): AuditEvent => ({
  type: 'audit.compared',
  accounts: [account],
  reconciliation: { at, executionsSince: at, day } as Reconciliation,
});
const lost = (at: number): AuditEvent => ({
  type: 'tws.lost',
  sessionId: 's',
  cause: 'closed',
  message: '',
  at,
});
const differed = (findings: readonly Finding['code'][], at = noon): AuditEvent => ({
  type: 'ledger.differed',
  account,
  instrument: 'AAPL',
  findings: findings.map((code) => ({
    code,
    subject: { kind: 'position', account, instrument: 'AAPL' },
    evidence: {},
  })),
  how: 'agreed',
  at,
});
const doubted = (code: string): AuditEvent => ({
  type: 'audit.orderNoted',
  fact: { type: 'order.doubted', clientOrderId: 'c-1', at: noon, reason: { code, message: '' } },
  order: order({ state: 'inDoubt' }),
});

test('a difference begins once and ends once, however often it is stated', () => {
  const audit = openAudit();
  for (const codes of [['position-missing'], ['position-missing'], [], []] as const)
    audit.send(differed([...codes]));
  expect(audit.told()).toEqual(['+position-missing', '-position-missing agreed']);
});

test('an acknowledged order that the lists lack differs until it is found or has ended', () => {
  const audit = openAudit();
  audit.send(doubted('unanswered'));
  expect(audit.open()).toEqual([]);
  audit.send(doubted('missing-at-broker'));
  expect(audit.open()).toEqual(['order-missing']);
  audit.send({
    type: 'audit.orderNoted',
    fact: {
      type: 'order.accepted',
      clientOrderId: 'c-1',
      at: noon,
      permId: '1',
      alive: true,
      contract: null,
      heldBecause: '',
    },
    order: order({ state: 'working' }),
  });
  expect(audit.told()).toEqual(['+order-missing', '-order-missing agreed']);
});

test('a night in a session is no gap; a night without one is, at midnight already', () => {
  const audit = openAudit();
  audit.send(compared(midnight + dayMs - 30_000));
  audit.send({ type: 'audit.tick', at: midnight + dayMs + 1 });
  expect(audit.open()).toEqual([]);
  const next = { from: midnight + dayMs, to: midnight + 2 * dayMs };
  audit.send(compared(midnight + dayMs + 2, next));
  audit.send(lost(midnight + dayMs + 3));
  audit.send({ type: 'audit.tick', at: midnight + 2 * dayMs - 1 });
  expect(audit.open()).toEqual([]);
  audit.send({ type: 'audit.tick', at: midnight + 2 * dayMs });
  expect(audit.open()).toEqual(['executions-gap']);
});

test('lists that hung over midnight are a gap: what others traded is known from lists alone', () => {
  const audit = openAudit();
  audit.send(compared(midnight + dayMs - 60_000));
  const next = { from: midnight + dayMs, to: midnight + 2 * dayMs };
  audit.send(compared(midnight + dayMs + 2, next));
  expect(audit.open()).toEqual(['executions-gap']);
  audit.send(compared(midnight + dayMs + 30_000, next));
  expect(audit.open()).toEqual([]);
});

test('a gap ends when positions were compared twice and none of them is uncertain', () => {
  const audit = openAudit({ coveredAt: midnight - 1_000, accounts: [account], open: [] });
  audit.send(compared(noon));
  audit.send(differed(['position-unexplained']));
  audit.send(compared(noon + 1));
  audit.send(compared(noon + 2));
  expect(audit.open()).toEqual(['executions-gap', 'position-unexplained']);
  audit.send(differed([], noon + 3));
  expect(audit.told().slice(-2)).toEqual(['-position-unexplained agreed', '-executions-gap agreed']);
});

test('a loss before anything was ever compared is no gap', () => {
  const audit = openAudit();
  audit.send(lost(midnight - 1_000));
  audit.send(compared(noon));
  expect(audit.open()).toEqual([]);
});

test('up to when executions are complete is kept every few minutes, not each time', () => {
  const audit = openAudit();
  for (let second = 0; second < 900; second += 30) audit.send(compared(noon + second * 1_000));
  expect(audit.said.filter(({ type }) => type === 'audit.covered')).toHaveLength(3);
});

test('every state against every event', async () => {
  const agreeing = openAudit();
  const differing = openAudit();
  differing.send(differed(['position-missing']));
  const states = { agreeing: agreeing.persisted(), differing: differing.persisted() };
  const events: AuditEvent[] = [
    { type: 'audit.restored', standing: emptyStanding },
    differed(['position-missing']),
    differed([]),
    doubted('missing-at-broker'),
    compared(noon),
    lost(noon),
    { type: 'tws.severed', sessionId: 's', at: noon },
    { type: 'audit.tick', at: noon },
  ];
  await expect(matrix(auditMachine, { states, events })).toMatchFileSnapshot('./audit.matrix.txt');
});

test('a difference that makes no position uncertain any more is told to whom it shut out, and stands', () => {
  const audit = openAudit();
  const valued = (certain: { readonly isCertain?: true }): AuditEvent => ({
    type: 'ledger.differed',
    account,
    instrument: 'AAPL',
    findings: [
      {
        code: 'portfolio-differs',
        subject: { kind: 'position', account, instrument: 'AAPL' },
        evidence: {},
        ...certain,
      },
    ],
    how: 'agreed',
    at: noon,
  });
  audit.send(valued({}));
  audit.send(valued({}));
  audit.send(valued({ isCertain: true }));
  const uncertain = audit.said.flatMap((report) =>
    report.type === 'audit.differed' ? [uncertainPositions(report.book).length] : [],
  );
  expect(uncertain).toEqual([1, 0]);
  expect(audit.told()).toEqual(['+portfolio-differs']);
  expect(audit.open()).toEqual(['portfolio-differs']);
});
