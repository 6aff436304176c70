/** Alerts and dashboard name what the running whole exports, are expressions of Prometheus, and have their entries in the runbook. */
import { readFileSync } from 'node:fs';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { eventually, openStream, type Stream, temporaryFolder } from '../program.ts';
import { startWhole, type Whole } from '../whole.ts';
import { readmePath, withSupervision } from './supervision-table.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
const { groups } = parse(read('deploy/prometheus/alerts.yaml')) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[];
};
const alerts = groups.flatMap(({ rules }) => rules);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}
const dashboard = JSON.parse(read('deploy/grafana/dashboard.json')) as {
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
};
/** Grafana's own variables, as it fills them in. */
const filledIn = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({ name: title, expr: filledIn(expr), legendFormat })),
);
const expressions = [...alerts.map(({ alert, expr }) => ({ name: alert, expr })), ...panels];

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}
/** What an expression asks for; throws where it cannot be read. */
function readExpression(expr: string): {
  readonly selectors: readonly Selector[];
  readonly labels: Set<string>;
} {
  const selectors: (Selector & { matchers: Selector['matchers'][number][] })[] = [];
  const labels = new Set<string>();
  parser.parse(expr).iterate({
    enter(node) {
      const text = expr.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`not an expression at ${node.from}: ${expr}`);
      if (node.name === 'VectorSelector')
        selectors.push({ metric: /^[\w:]*/.exec(text)?.[0] ?? '', matchers: [] });
      if (node.name === 'UnquotedLabelMatcher') {
        const [, label = '', operator = '', value = ''] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/s.exec(text) ?? [];
        selectors.at(-1)?.matchers.push({ label, operator, value });
      }
      if (node.name === 'LabelName' && node.node.parent?.name === 'GroupingLabels') labels.add(text);
    },
  });
  return { selectors, labels };
}

/** Labels that a scrape adds, and its own verdict. */
const scrapeLabels = ['instance', 'job'];
const scrapeMetrics = ['up'];
type Samples = ReadonlyMap<string, readonly Readonly<Record<string, string>>[]>;

/** The labels of each sample, by metric. */
function samplesOf(text: string): Samples {
  const samples = new Map<string, Record<string, string>[]>();
  for (const line of text.split('\n')) {
    const [, metric, inside] = /^([\w:]+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (metric === undefined) continue;
    const labels = [...(inside ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    const all = samples.get(metric) ?? [];
    samples.set(metric, all);
    all.push(Object.fromEntries(labels.map(([, name = '', value = '']) => [name, value])));
  }
  return samples;
}

/** What an expression asks for and no sample answers. */
function missing(expr: string, samples: Samples): string[] {
  const { selectors, labels } = readExpression(expr);
  const found: string[] = [];
  const known = new Set(scrapeLabels);
  for (const { metric, matchers } of selectors) {
    const rows = scrapeMetrics.includes(metric) ? [{}] : samples.get(metric);
    if (!rows) {
      found.push(metric);
      continue;
    }
    for (const row of rows) for (const name of Object.keys(row)) known.add(name);
    for (const { label, operator, value } of matchers) {
      if (scrapeLabels.includes(label)) continue;
      const wanted = operator === '=~' ? value.split('|') : operator === '=' ? [value] : [];
      for (const one of wanted)
        if (!rows.some((row) => row[label] === one)) found.push(`${metric}{${label}="${one}"}`);
      if (wanted.length === 0 && !rows.some((row) => label in row)) found.push(`${metric}{${label}}`);
    }
  }
  for (const label of labels) if (!known.has(label)) found.push(`by (${label})`);
  return found;
}

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

describe('the running whole', () => {
  let whole: Whole;
  let stream: Stream;
  let samples: Samples;
  beforeAll(async () => {
    whole = await startWhole();
    stream = await openStream(`${whole.url.replace('http', 'ws')}/v1/stream`);
    stream.send({ type: 'subscribe', id: 1, channel: 'quotes', keys: ['AAPL'] });
    stream.send({ type: 'command', id: 2, command: 'lease.renew', client: 'robot', cancelAfterMs: 60_000 });
    await stream.frame(({ type, id }) => type === 'result' && id === 2);
    await stream.frame(({ type }) => type === 'update');
    await whole.place({ clientOrderId: 'bought', type: 'market' }, '?wait=closed&timeoutMs=5000');
    await whole.place({ clientOrderId: 'quiet-one' });
    await whole.call('DELETE', '/v1/orders/quiet-one');
    await whole.order('quiet-one', ({ state }) => state === 'cancelled');
    const scrape = async () => samplesOf(await (await fetch(`${whole.url}/metrics`)).text());
    // Figures of lanes and lines are read once a second, and a young process may not have collected any garbage.
    samples = await eventually(
      () => {
        Array.from({ length: 500_000 }, (_, n) => ({ n }));
        return scrape();
      },
      (seen) =>
        [
          'tws_runtime_heartbeat_round_trip_seconds',
          'tws_runtime_market_lines',
          'nodejs_gc_duration_seconds_sum',
        ].every((name) => seen.has(name)),
    );
  });
  afterAll(async () => {
    stream?.close();
    await whole?.stop();
  });

  test.each(expressions)('has what $name asks for', ({ expr }) => {
    expect(missing(expr, samples), expr).toEqual([]);
  });

  test('has what the legends of the dashboard name', () => {
    for (const { name, expr, legendFormat } of panels) {
      const { selectors } = readExpression(expr);
      const known = selectors.flatMap(({ metric }) => (samples.get(metric) ?? []).flatMap(Object.keys));
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect(known, `${name}: ${legendFormat}`).toContain(label);
    }
  });

  test('exports base units and names that say what they are', () => {
    const text = [...samples.keys()].filter((name) => name.startsWith('tws_runtime_'));
    expect(text.length).toBeGreaterThan(50);
    for (const name of text) expect(name, name).not.toMatch(/_(ms|milliseconds|minutes|kb|percent)(_|$)/);
  });

  test('labels nothing by account, order, instrument or client, and has few series', () => {
    const own = [...samples].filter(([name]) => name.startsWith('tws_runtime_'));
    const series = own.reduce((sum, [, rows]) => sum + rows.length, 0);
    expect(series).toBeLessThan(1_000);
    const told = JSON.stringify(own);
    for (const secret of ['DU', 'AAPL', 'bought', 'quiet-one', 'robot']) expect(told).not.toContain(secret);
  });
});

describe('expressions', () => {
  test.each(expressions)('$name can be read', ({ expr }) => {
    expect(readExpression(expr).selectors.length).toBeGreaterThan(0);
  });

  test('what is broken or not exported is noticed', () => {
    const samples = samplesOf('up{job="a"} 1\nx_total{lane="order"} 2\n');
    for (const broken of ['sum(', 'rate(x_total[5m]', 'x_total{lane=order}', 'x_total{lane="order"} >'])
      expect(() => readExpression(broken), broken).toThrow();
    expect(missing('sum by (lane) (rate(x_total{lane=~"order"}[5m]))', samples)).toEqual([]);
    expect(missing('y_total', samples)).toEqual(['y_total']);
    expect(missing('x_total{lane="cancel"}', samples)).toEqual(['x_total{lane="cancel"}']);
    expect(missing('x_total{side="buy"}', samples)).toEqual(['x_total{side="buy"}']);
    expect(missing('sum by (side) (x_total)', samples)).toEqual(['by (side)']);
  });
});

describe('alerts', () => {
  const readme = readFileSync(readmePath, 'utf8');
  const anchors = [...readme.matchAll(/^#{2,4} (.+)$/gm)].map(([, heading = '']) => slug(heading));

  test.each(alerts)('$alert says how grave it is, what it means and where to read on', (alert) => {
    expect(alert.alert).toMatch(/^TwsRuntime[A-Z]\w+$/);
    expect(alert.for).toMatch(/^\d+[sm]$/);
    expect(['critical', 'warning']).toContain(alert.labels.severity);
    for (const name of ['summary', 'description'])
      expect(alert.annotations[name]?.length).toBeGreaterThan(10);
    const [file, anchor] = alert.annotations.runbook_url?.split('#') ?? [];
    expect([file, anchor]).toEqual(['README.md', slug(alert.alert)]);
    expect(anchors).toContain(anchor);
    const entry = readme.slice(readme.indexOf(`#### ${alert.alert}\n`)).split('\n#')[0] ?? '';
    expect(entry.replaceAll('\n', ' ')).toMatch(/\*Look at\*.+\*Do\*/);
  });

  test('have a name each, and the runbook has no entry without one', () => {
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
    const entries = [...readme.matchAll(/^#### (TwsRuntime\w+)$/gm)].map(([, name]) => name);
    expect(entries.sort()).toEqual(names.toSorted());
  });

  test('tell one of several runtimes that is gone, and all of them', () => {
    const asked = alerts.map(({ expr }) => expr);
    expect(asked).toContainEqual(expect.stringMatching(/^up == 0 and on \(job\) .*tws_runtime_build_info/));
    expect(asked).toContain('absent(tws_runtime_build_info)');
  });

  test('watch the budget that is the default', () => {
    const folder = temporaryFolder();
    const { maxLatencyMs } = loadConfig({ cwd: folder.path, env: {} });
    folder.remove();
    const slow = alerts.find(({ alert }) => alert === 'TwsRuntimeOrderPathSlow');
    expect(slow?.expr).toContain(`> ${maxLatencyMs / 1_000} and `);
  });
});

describe('the dashboard', () => {
  test('has panels with names of their own that do not cover each other', () => {
    expect(dashboard.title).toBe('tws-runtime');
    const { panels: all } = dashboard;
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { gridPos: a, title } of all) {
      expect(a.x + a.w, title).toBeLessThanOrEqual(24);
      const covered = all.filter(
        ({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h,
      );
      expect(covered.map((panel) => panel.title)).toEqual([title]);
    }
    for (const { type, targets, title } of all)
      if (type !== 'row') expect(targets?.length, title).toBeGreaterThan(0);
  });
});

test('the table of what becomes of parts that fail is the one that the supervisor obeys', () => {
  const readme = readFileSync(readmePath, 'utf8');
  expect(readme).toBe(withSupervision(readme));
});
