/** A reference to read, made from the OpenAPI document: one page, no script, nothing loaded from elsewhere. */

interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}
interface Media {
  readonly schema?: SchemaNode;
}
interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema?: SchemaNode;
  }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, Media>> };
  readonly responses?: Readonly<
    Record<string, { readonly description?: string; readonly content?: Readonly<Record<string, Media>> }>
  >;
}
/** The part of an OpenAPI document that is shown. */
export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 62rem); gap: 2rem; }
nav { position: sticky; top: 0; max-height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); box-sizing: border-box; }
nav a { display: block; text-decoration: none; color: inherit; padding: .1rem 0; font-size: 13px; }
main { padding: 1rem 1rem 6rem; }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
code { font: 13px ui-monospace, monospace; }
h3 code { font-size: 15px; }
.muted { opacity: .7; }
.required { color: #c2410c; }
summary { cursor: pointer; }
@media (max-width: 60rem) { body { display: block; } nav { position: static; max-height: none; } }
`;

/** Nested objects are shown this deep. */
const maxDepth = 5;

/** The whole page as HTML. */
export function renderReference(document: ApiDocument): string {
  const entries: Entry[] = Object.entries(document.paths ?? {}).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method, path, operation })),
  );
  const groups = (document.tags ?? []).map((tag) => ({
    ...tag,
    entries: entries.filter(({ operation }) => operation.tags?.includes(tag.name)),
  }));
  const { title, version, description = '' } = document.info;
  const menu = groups.map((group) => `<h4>${text(group.name)}</h4>${group.entries.map(menuLink).join('')}`);
  const body = groups.map(
    (group) =>
      `<section><h2>${text(group.name)}</h2><p>${text(group.description ?? '')}</p>${group.entries.map(article).join('')}</section>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${text(title)} ${text(version)}</title><style>${style}</style></head><body>
<nav><strong>${text(title)}</strong> <span class="muted">${text(version)}</span>${menu.join('')}</nav>
<main><h1>${text(title)}</h1><p>${text(description)}</p>${body.join('')}</main></body></html>`;
}

function menuLink({ method, path, operation }: Entry): string {
  return `<a href="#${anchor(method, path)}"><code>${method.toUpperCase()}</code> ${text(operation.summary ?? path)}</a>`;
}

function article({ method, path, operation }: Entry): string {
  const scope = operation.security?.flatMap((entry) => Object.values(entry).flat()).join(', ');
  return `<article id="${anchor(method, path)}"><h3><code>${method.toUpperCase()} ${text(path)}</code></h3>
<p>${text(operation.summary ?? '')}${scope ? ` <span class="muted">scope ${text(scope)}</span>` : ''}</p>
${operation.description ? `<p>${text(operation.description)}</p>` : ''}${parameters(operation)}${requestBody(operation)}${responses(operation)}</article>`;
}

function parameters({ parameters: list = [] }: Operation): string {
  if (list.length === 0) return '';
  const rows = list.map(
    ({ name, in: place, required = false, schema = {} }) =>
      `<tr><td><code>${text(name)}</code>${mark(required)}</td><td>${text(place)}, ${kind(schema)}</td><td>${notes(schema)}</td></tr>`,
  );
  return `<h4>Parameters</h4><table>${rows.join('')}</table>`;
}

function requestBody({ requestBody: body }: Operation): string {
  const schema = body?.content?.['application/json']?.schema;
  return schema ? `<h4>Body</h4>${fields(schema, 0)}` : '';
}

function responses({ responses: list = {} }: Operation): string {
  const parts = Object.entries(list).map(([status, { description = '', content = {} }]) => {
    const schema = Object.values(content)[0]?.schema;
    const head = `${text(status)} ${text(description)}`;
    return schema ? `<details><summary>${head}</summary>${fields(schema, 0)}</details>` : `<p>${head}</p>`;
  });
  return parts.length > 0 ? `<h4>Answers</h4>${parts.join('')}` : '';
}

function fields(schema: SchemaNode, depth: number): string {
  const inner = objectOf(schema);
  if (!inner?.properties || depth >= maxDepth) return `<p>${kind(schema)} ${notes(schema)}</p>`;
  const rows = Object.entries(inner.properties).map(([name, field]) => {
    const nested = objectOf(field)?.properties
      ? `<details><summary>fields</summary>${fields(field, depth + 1)}</details>`
      : '';
    const required = inner.required?.includes(name) ?? false;
    return `<tr><td><code>${text(name)}</code>${mark(required)}</td><td>${kind(field)}</td><td>${notes(field)}${nested}</td></tr>`;
  });
  return `<table>${rows.join('')}</table>`;
}

/** The object in a schema, in an array of it, or beside null. */
function objectOf(schema: SchemaNode): SchemaNode | undefined {
  if (schema.properties) return schema;
  if (schema.items) return objectOf(schema.items);
  return schema.anyOf?.map(objectOf).find((node) => node !== undefined);
}

function kind(schema: SchemaNode): string {
  if (schema.enum) return schema.enum.map((value) => `<code>${text(String(value))}</code>`).join(' ');
  if (schema.const !== undefined) return `<code>${text(String(schema.const))}</code>`;
  if (schema.anyOf) return schema.anyOf.map(kind).join(' or ');
  if (schema.items) return `list of ${kind(schema.items)}`;
  return text([schema.type ?? 'any'].flat().join(' or '));
}

function notes({ description = '', default: usual, pattern, minimum, maximum }: SchemaNode): string {
  const parts = [text(description)];
  if (usual !== undefined) parts.push(`default <code>${text(String(usual))}</code>`);
  if (pattern !== undefined) parts.push(`<code>${text(pattern)}</code>`);
  if (minimum !== undefined) parts.push(`from ${minimum}`);
  if (maximum !== undefined) parts.push(`to ${maximum}`);
  return parts.filter((part) => part !== '').join('; ');
}

function mark(required: boolean): string {
  return required ? ' <span class="required">required</span>' : '';
}

function anchor(method: string, path: string): string {
  return `${method}-${path}`.replaceAll(/[^A-Za-z0-9]+/g, '-');
}

function text(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
