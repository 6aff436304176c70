/** Pages to read, made from schemas: no script, nothing loaded from elsewhere. */

/** The part of a JSON Schema that is shown. */
export interface SchemaNode {
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

export interface Page {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** HTML */
  readonly menu: string;
  /** HTML */
  readonly body: string;
}

/** The only policy that such a page needs. */
export const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'";

/** The whole page as HTML. */
export function renderPage({ title, version, description, menu, body }: Page): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${text(title)} ${text(version)}</title><style>${style}</style></head><body>
<nav><strong>${text(title)}</strong> <span class="muted">${text(version)}</span>${menu}</nav>
<main><h1>${text(title)}</h1><p>${text(description)}</p>${body}</main></body></html>`;
}

export function fields(schema: SchemaNode, depth: number): string {
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

export function kind(schema: SchemaNode): string {
  if (schema.enum) return schema.enum.map((value) => `<code>${text(String(value))}</code>`).join(' ');
  if (schema.const !== undefined) return `<code>${text(String(schema.const))}</code>`;
  if (schema.anyOf) return schema.anyOf.map(kind).join(' or ');
  if (schema.items) return `list of ${kind(schema.items)}`;
  return text([schema.type ?? 'any'].flat().join(' or '));
}

export function notes({ description = '', default: usual, pattern, minimum, maximum }: SchemaNode): string {
  const parts = [text(description)];
  if (usual !== undefined) parts.push(`default <code>${text(String(usual))}</code>`);
  if (pattern !== undefined) parts.push(`<code>${text(pattern)}</code>`);
  if (minimum !== undefined) parts.push(`from ${minimum}`);
  if (maximum !== undefined) parts.push(`to ${maximum}`);
  return parts.filter((part) => part !== '').join('; ');
}

export function mark(required: boolean): string {
  return required ? ' <span class="required">required</span>' : '';
}

export function text(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
