/** The reference of the HTTP routes, made from the OpenAPI document. */
import { fields, kind, mark, notes, renderPage, type SchemaNode, text } from './schema-page.ts';

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
  return renderPage({ title, version, description, menu: menu.join(''), body: body.join('') });
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

function anchor(method: string, path: string): string {
  return `${method}-${path}`.replaceAll(/[^A-Za-z0-9]+/g, '-');
}
