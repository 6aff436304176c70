/** `npm run diagrams`: draws every statechart into the README, between its markers. Without `--write` it prints them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { type MachineDefinition, machineDefinitions } from './http/machine-definition.ts';
import { diagramOf } from './http/machine-diagram.ts';

export const readmeUrl = new URL('../README.md', import.meta.url);
const markers = ['<!-- machines -->', '<!-- /machines -->'] as const;

/** One folded block per machine, the supervisor first. */
export function diagrams(machines: readonly MachineDefinition[] = machineDefinitions()): string {
  return [...machines]
    .sort((a, b) => Number(b.id === 'runtime') - Number(a.id === 'runtime'))
    .map((machine) => {
      const { id, description } = machine;
      const title = description === null ? `<b>${id}</b>` : `<b>${id}</b> ${inHtml(description)}`;
      return `<details>\n<summary>${title}</summary>\n\n\`\`\`mermaid\n${diagramOf(machine)}\`\`\`\n\n</details>`;
    })
    .join('\n\n');
}

const inHtml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** The README with the diagrams in their place. Throws when the markers are missing. */
export function withDiagrams(readme: string, drawn: string): string {
  const [start, end] = [readme.indexOf(markers[0]), readme.indexOf(markers[1])];
  if (start < 0 || end < start)
    throw new Error(`README.md: ${markers.join(' and ')} must stand in it, in order`);
  return `${readme.slice(0, start + markers[0].length)}\n\n${drawn}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  if (process.argv.includes('--write'))
    writeFileSync(readmeUrl, withDiagrams(readFileSync(readmeUrl, 'utf8'), diagrams()));
  else process.stdout.write(`${diagrams()}\n`);
}
