/** What is deployed is what runs: the image's files start as they are, and the manifests speak of things that exist. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Deployment } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { ConfigMap, PersistentVolumeClaim, Secret, Service } from 'kubernetes-models/v1';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ConfigError, loadConfig, variables } from '../../src/config.ts';
import { eventually, temporaryFolder } from '../program.ts';
import { allowWrites, environmentOf, forbidWrites, layOut, of, readStages, words } from './dockerfile.ts';

const project = join(import.meta.dirname, '../..');
const folder = join(project, 'deploy/kubernetes');
const read = (path: string): string => readFileSync(join(project, path), 'utf8');
// biome-ignore lint/suspicious/noExplicitAny: manifests of every shape, checked against their schemas
type Manifest = any;
const manifests: Record<string, Manifest> = Object.fromEntries(
  readdirSync(folder).map((name) => [name, parse(read(join('deploy/kubernetes', name)))]),
);
const deployment = manifests['deployment.yaml'];
const pod = deployment.spec.template.spec;
const [container] = pod.containers;
const stages = readStages(read('deploy/Dockerfile'));
const [dependencies, image] = stages;
if (!dependencies || !image) throw new Error('deploy/Dockerfile: two stages are expected');
const imageEnvironment = environmentOf(image);

describe('the manifests', () => {
  const kinds: Record<string, new (data: Manifest) => { validate(): void }> = {
    ConfigMap,
    Deployment,
    NetworkPolicy,
    PersistentVolumeClaim,
    Secret,
    Service,
  };
  const described = Object.entries(manifests).filter(([name]) => name !== 'kustomization.yaml');

  test.each(described)('%s fits its schema', (_, manifest) => {
    const Kind = kinds[manifest.kind];
    expect(Kind, manifest.kind).toBeDefined();
    expect(() => Kind && new Kind(manifest).validate()).not.toThrow();
    const broken = { ...manifest, metadata: { name: 5 } };
    expect(() => Kind && new Kind(broken).validate()).toThrow(/name/);
  });

  test('are applied together, but for the example of the secret', () => {
    expect(manifests['kustomization.yaml'].resources.toSorted()).toEqual(
      described.map(([name]) => name).filter((name) => !name.includes('example')),
    );
  });

  test('hold together by names, labels and ports', () => {
    const { name } = deployment.metadata;
    const labels = deployment.spec.template.metadata.labels;
    expect(labels).toMatchObject(deployment.spec.selector.matchLabels);
    const service = manifests['service.yaml'].spec;
    expect(labels).toMatchObject(service.selector);
    expect(labels).toMatchObject(manifests['networkpolicy.yaml'].spec.podSelector.matchLabels);
    for (const source of ['configMapRef', 'secretRef'])
      expect(container.envFrom.map((each: Manifest) => each[source]?.name)).toContain(name);
    expect(
      [manifests['configmap.yaml'], manifests['secret.example.yaml']].map((each) => each.metadata.name),
    ).toEqual([name, name]);
    expect(pod.volumes[0].persistentVolumeClaim.claimName).toBe(manifests['journal.yaml'].metadata.name);

    const port = Number(imageEnvironment.PORT);
    expect(container.ports).toEqual([{ name: 'http', containerPort: port }]);
    expect(service.ports).toEqual([{ name: 'http', port, targetPort: 'http' }]);
    expect(of(image, 'EXPOSE').map(({ rest }) => rest)).toEqual([String(port)]);
    expect(deployment.spec.template.metadata.annotations['prometheus.io/port']).toBe(String(port));
    expect(manifests['networkpolicy.yaml'].spec.ingress[0].ports).toEqual([{ port: 'http' }]);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(container[probe].httpGet.port, probe).toBe('http');
  });

  test('run one process without rights, on a root that cannot be written', () => {
    expect(deployment.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    const [user] = of(image, 'USER').map(({ rest }) => rest);
    expect(user).toBe(`${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}`);
    const writable = container.volumeMounts.map(({ mountPath }: Manifest) => mountPath);
    expect(writable).toEqual(['/data', '/tmp']);
    expect(of(image, 'VOLUME').map(({ rest }) => rest)).toEqual(['/data']);
    expect(imageEnvironment.JOURNAL_PATH).toMatch(/^\/data\//);
  });

  test('set variables that exist, to values that are taken; the placeholders of secrets are not', () => {
    const settings = manifests['configmap.yaml'].data;
    const secrets = manifests['secret.example.yaml'].stringData;
    const { NODE_ENV, ...ours } = imageEnvironment;
    expect(NODE_ENV).toBe('production');
    for (const name of Object.keys({ ...ours, ...settings, ...secrets }))
      expect(Object.keys(variables.properties)).toContain(name);
    const env = { ...imageEnvironment, ...settings };
    const token = { TRADE_TOKEN: 't'.repeat(64), READ_TOKEN: 'r'.repeat(64) };
    const config = loadConfig({ cwd: project, env: { ...env, ...token } });
    expect(config.warnings).toEqual([]);
    expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(config.stop.deadlineMs);
    expect(() => loadConfig({ cwd: project, env: { ...env, ...secrets } })).toThrow(ConfigError);
    expect(() => loadConfig({ cwd: project, env })).toThrow(/TRADE_TOKEN/);
  });
});

/** The image's own user where the test may choose one and it can read the project: root could write everywhere. */
function imageUser(): { readonly uid: number; readonly gid: number } | Record<string, never> {
  if (process.getuid?.() !== 0) return {};
  const user = { uid: 1000, gid: 1000 };
  const reads = `require('node:fs').readdirSync(${JSON.stringify(join(project, 'node_modules'))})`;
  return spawnSync(process.execPath, ['-e', reads], user).status === 0 ? user : {};
}

describe('the image', () => {
  const home = temporaryFolder();
  const app = join(home.path, 'app');
  const data = join(home.path, 'data');
  const node = process.execPath;
  const lines: string[] = [];
  let child: ChildProcess;
  let url = '';
  const user = imageUser();
  const environment = {
    ...imageEnvironment,
    HOST: '127.0.0.1',
    PORT: '0',
    JOURNAL_PATH: join(data, 'journal.db'),
    NODE_OPTIONS: '--preserve-symlinks --preserve-symlinks-main',
  };
  const command = of(image, 'CMD').map(words)[0] ?? [];
  const health = of(image, 'HEALTHCHECK').map(words)[0] ?? [];

  beforeAll(async () => {
    // Temporary folders are their maker's alone.
    chmodSync(home.path, 0o755);
    layOut(image, project, app);
    forbidWrites(app);
    mkdirSync(data);
    if ('gid' in user) chownSync(data, user.uid, user.gid);
    child = spawn(node, command.slice(1), {
      cwd: app,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...user,
    });
    url = await new Promise<string>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        if (!stream) continue;
        createInterface({ input: stream }).on('line', (line) => {
          lines.push(line);
          const found = /Server listening at (http:[^"]+)/.exec(line)?.[1];
          if (found) resolve(found);
        });
      }
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${lines.join('\n')}`)));
    });
  }, 60_000);
  afterAll(async () => {
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    if (existsSync(app)) allowWrites(app);
    home.remove();
  });
  const status = async (path: string): Promise<number> => (await fetch(url + path)).status;
  const checkHealth = (port: string): number | null =>
    spawnSync(node, health.slice(1), { cwd: app, env: { ...environment, PORT: port } }).status;

  test('is built in two stages on the Node.js that the project asks for, without development packages', () => {
    const { engines, files } = JSON.parse(read('package.json'));
    const [, least] = /^>=(\d+)/.exec(engines.node) ?? [];
    for (const { from } of stages) expect(from).toBe(`node:${least}-bookworm-slim`);
    expect(of(dependencies, 'RUN').map(({ rest }) => rest)).toEqual([
      expect.stringMatching(/^npm ci .*--omit=dev/),
    ]);
    const copied = of(image, 'COPY').flatMap(({ flags, rest }) =>
      flags.from ? [] : rest.split(/\s+/).slice(0, -1),
    );
    for (const path of copied) expect(existsSync(join(project, path)), path).toBe(true);
    const needed = files.filter((path: string) => !/\.md$|^LICENSE$|^tsconfig/.test(path));
    expect(copied.toSorted()).toEqual([...needed, 'package.json'].toSorted());
    const ignored = read('deploy/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => /^[^#]/.test(line));
    expect(ignored[0]).toBe('*');
    expect(ignored.slice(1).toSorted()).toEqual(
      [...copied, 'package-lock.json'].map((path) => `!${path}`).toSorted(),
    );
    expect(of(image, 'STOPSIGNAL').map(({ rest }) => rest)).toEqual(['SIGTERM']);
    expect([command[0], health[0]]).toEqual(['node', 'node']);
    expect(existsSync(join(app, 'node_modules/vitest'))).toBe(false);
    expect(existsSync(join(app, 'node_modules/node'))).toBe(false);
  });

  test('starts from its own files alone, trades, and answers the probes', async () => {
    await eventually(
      () => status('/health/ready?gate=trading'),
      (code) => code === 200,
      20_000,
    );
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const { path } = container[probe].httpGet;
      expect(await status(path), path).toBe(200);
    }
    expect(await status(deployment.spec.template.metadata.annotations['prometheus.io/path'])).toBe(200);
    const { port } = new URL(url);
    expect(checkHealth(port)).toBe(0);
    const placed = await fetch(`${url}/v1/orders?wait=closed&timeoutMs=5000`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instrument: 'AAPL', side: 'buy', quantity: '1', type: 'market' }),
    });
    expect(placed.status).toBe(201);
    expect(await placed.json()).toMatchObject({ state: 'filled' });
    expect(readdirSync(data)).toContain('journal.db');

    const ended = once(child, 'exit');
    child.kill(of(image, 'STOPSIGNAL')[0]?.rest as NodeJS.Signals);
    expect((await ended)[0], lines.slice(-5).join('\n')).toBe(0);
    expect(checkHealth(port)).toBe(1);
    expect(readdirSync(data).filter((name) => /-wal$|-shm$|\.pid$/.test(name))).toEqual([]);
  }, 60_000);

  test('refuses to start reachable from outside without a token', () => {
    const run = spawnSync(node, command.slice(1), {
      cwd: app,
      env: { ...imageEnvironment, JOURNAL_PATH: join(data, 'other.db') },
      encoding: 'utf8',
      ...user,
    });
    expect(run.status).toBe(78);
    expect(run.stderr).toContain('TRADE_TOKEN');
    expect(readdirSync(data)).not.toContain('other.db');
  });
});
