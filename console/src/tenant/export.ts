import type { KeyEvent } from '../api/client.js';

export type Format = 'ndjson' | 'csv';

const COLUMNS = ['occurredAt', 'type', 'keyId', 'actor', 'address', 'requestId', 'id'] as const;

export function exportText(events: KeyEvent[], format: Format): string {
  if (format === 'ndjson') return events.map((event) => `${JSON.stringify(event)}\n`).join('');
  const rows = events.map((event) => [...COLUMNS.map((column) => event[column] ?? ''), JSON.stringify(event.details)]);
  return [[...COLUMNS, 'details'], ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** RFC 4180; a cell that a spreadsheet would run as a formula starts with an apostrophe. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function download(text: string, name: string, type: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // Not at once: the browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
